"""Whether files are still the same: digests of a checkpoint, and of what an evaluation depends on in a dataset."""

from __future__ import annotations

import hashlib
from pathlib import Path

from frostline.datasets import Dataset, label_path


def data_fingerprint(dataset: Dataset, split: str) -> str:
    """Condense what an evaluation depends on: the classes, and name, size and labels of each image of a split."""
    digest = hashlib.sha256(repr((dataset.names, dataset.pixels)).encode())
    for image in dataset.splits[split]:
        labels = label_path(image)
        digest.update(f"\0{image.name}\0{image.stat().st_size}\0".encode())
        digest.update(labels.read_bytes() if labels.is_file() else b"")
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal digits, without holding the file in memory."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
