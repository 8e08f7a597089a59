"""Ultralytics' pictures of a run, none of them drawn twice."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from frostline.datasets.image_cache import ImageCache
from frostline.files import written_beside

LABELS = "labels.jpg"


def draw_labels(
    labels: list[dict[str, Any]],
    names: dict[int, str],
    picture: Path,
    cache: ImageCache | None,
    draw: Callable[[], None],
) -> bool:
    """Draw `labels.jpg`, or copy what another run has drawn of the same labels.

    Args:
        labels: of the training split, as Ultralytics' datasets hold them.
        names: of the classes.
        picture: where to.
        cache: of the decoded images that the runs share; the picture is kept beside them.
        draw: draws it.

    Returns:
        Whether it was copied.
    """
    if cache is None:
        draw()
        return False
    state = hashlib.sha256(repr(sorted(names.items())).encode())
    for label in labels:
        state.update(np.ascontiguousarray(label["bboxes"]).tobytes() + np.ascontiguousarray(label["cls"]).tobytes())
    kept = cache.folder / f"{state.hexdigest()[:24]}.{LABELS}"
    if kept.is_file():
        shutil.copyfile(kept, picture)
        return True
    draw()
    if picture.is_file():  # Ultralytics says what hinders it, and goes on
        kept.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(kept) as beside:
            shutil.copyfile(picture, beside)
    return False
