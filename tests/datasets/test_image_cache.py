"""One file of decoded images a split: made once, whole or not at all, and never that of other images."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frostline.datasets.image_cache import DecodedImages, ImageCache

KINDS = ["uint8", "uint16", "float32"]


class Source:
    """Files, and a count of how often each is decoded."""

    def __init__(self, folder: Path, kind: str = "uint16", count: int = 5) -> None:
        folder.mkdir(exist_ok=True)
        self.kind = kind
        self.files = [folder / f"{number}.bin" for number in range(count)]
        for number, file in enumerate(self.files):
            if not file.exists():
                file.write_bytes(bytes([number]))
        self.decoded = 0

    def decode(self, position: int) -> tuple[np.ndarray, tuple[int, int]]:
        self.decoded += 1
        seed = self.files[position].read_bytes()[0]
        values = np.random.default_rng(seed).random((7 + seed, 11, 3)) * (1 if self.kind == "float32" else 255)
        return values.astype(self.kind), (70 + seed, 110)

    def images(self, cache: ImageCache, key: str = "k") -> DecodedImages | None:
        return cache.images([str(file) for file in self.files], self.files, key, self.decode)


def assert_right(images: DecodedImages | None, source: Source) -> None:
    assert images is not None and len(images) == len(source.files)
    for position in range(len(source.files)):
        image, original = images[position]
        expected, size = source.decode(position)
        assert image.dtype == expected.dtype and np.array_equal(image, expected) and original == size


@pytest.mark.parametrize("kind", KINDS)
def test_images_come_back_in_their_own_type_and_cannot_be_written_to(kind: str, tmp_path: Path) -> None:
    source = Source(tmp_path / "in", kind)
    images = source.images(ImageCache(tmp_path / "cache"))
    assert_right(images, source)
    assert images is not None
    with pytest.raises(ValueError, match="read-only"):
        images[0][0][0] = 1
    assert_right(pickle.loads(pickle.dumps(images)), source)
    assert len(pickle.dumps(images)) < 2000, "another process maps the file itself"


def test_images_are_decoded_once_for_all_runs_and_for_another_process(tmp_path: Path) -> None:
    source = Source(tmp_path / "in")
    cache = ImageCache(tmp_path / "cache")
    source.images(cache)
    source.decoded = 0
    assert source.images(cache) is not None and source.decoded == 0
    assert source.images(pickle.loads(pickle.dumps(cache))) is not None and source.decoded == 0
    code = (
        "import sys; from pathlib import Path; from frostline.datasets.image_cache import ImageCache\n"
        "files = sorted(Path(sys.argv[1]).iterdir())\n"
        "images = ImageCache(Path(sys.argv[2])).images([str(f) for f in files], files, 'k', lambda _: 1 / 0)\n"
        "print(images[3][0].shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "in"), str(tmp_path / "cache")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "(10, 11, 3)"


def test_of_two_processes_at_once_one_decodes(tmp_path: Path) -> None:
    code = (
        "import sys, time, numpy as np; from pathlib import Path\n"
        "from frostline.datasets.image_cache import ImageCache\n"
        "files = sorted(Path(sys.argv[1]).iterdir()); log = open(sys.argv[3], 'a')\n"
        "def decode(i):\n"
        "    print('decoded', file=log, flush=True); time.sleep(0.3)\n"
        "    return np.zeros((9, 9, 3), np.uint16), (9, 9)\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "assert len(ImageCache(Path(sys.argv[2])).images([str(f) for f in files], files, 'k', decode)) == 5\n"
    )
    source, log = Source(tmp_path / "in"), tmp_path / "log"
    command = [sys.executable, "-c", code, str(tmp_path / "in"), str(tmp_path / "cache"), str(log)]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in both:
        process.communicate("go\n")
        assert process.returncode == 0
    assert len(log.read_text().split()) == 2 * len(source.files), "a sample for the room that it takes, and all"


def test_the_order_of_a_dataset_does_not_matter(tmp_path: Path) -> None:
    source = Source(tmp_path / "in")
    cache = ImageCache(tmp_path / "cache")
    source.images(cache)
    source.files.reverse()
    source.decoded = 0
    images = source.images(cache)
    assert source.decoded == 0
    assert_right(images, source)


def test_a_changed_image_is_another_one_even_with_its_old_time(tmp_path: Path) -> None:
    source = Source(tmp_path / "in")
    cache = ImageCache(tmp_path / "cache")
    before = source.images(cache)
    old = source.files[2].stat()
    source.files[2].write_bytes(bytes([9, 9]))
    os.utime(source.files[2], ns=(old.st_atime_ns, old.st_mtime_ns))
    assert_right(source.images(cache), source)
    source.files[2].write_bytes(bytes([8, 8]))
    assert_right(source.images(cache), source)
    assert before is not None and before[2][1] == (72, 110), "who reads the old one goes on with it"
    assert len(list((tmp_path / "cache").glob("*.pixels"))) == 1, "and nobody can use it any more"


def test_what_pixels_depend_on_tells_files_apart(tmp_path: Path) -> None:
    source = Source(tmp_path / "in")
    cache = ImageCache(tmp_path / "cache")
    source.images(cache, "imgsz 640")
    source.decoded = 0
    source.images(cache, "imgsz 320")
    assert source.decoded >= 5 and len(list((tmp_path / "cache").glob("*.pixels"))) == 2


def test_a_killed_process_leaves_nothing_that_is_taken_for_images(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    code = (
        "import os, sys, numpy as np; from pathlib import Path\n"
        "from frostline.datasets.image_cache import ImageCache\n"
        "files = sorted(Path(sys.argv[1]).iterdir()); calls = []\n"
        "def decode(i):\n"
        "    calls.append(i)\n"
        "    if len(calls) > 7: os._exit(9)\n"
        "    return np.zeros((9, 9, 3), np.uint16), (9, 9)\n"
        "ImageCache(Path(sys.argv[2])).images([str(f) for f in files], files, 'k', decode)\n"
    )
    source = Source(tmp_path / "in")
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "in"), str(folder)], check=False)
    assert killed.returncode == 9 and list(folder.glob(".*.part-*")) and not list(folder.glob("*.json"))
    (folder / "0123.pixels").write_bytes(b"renamed, and killed before its index")
    (folder / "notes.txt").write_text("a user's")
    assert_right(source.images(ImageCache(folder)), source)
    names = sorted(path.suffix for path in folder.iterdir() if path.name != ".lock")
    assert names == [".json", ".pixels", ".txt"], "and what it left is gone"


@pytest.mark.parametrize("damage", ["index", "short", "gone"])
def test_a_damaged_file_is_made_again(damage: str, tmp_path: Path) -> None:
    source = Source(tmp_path / "in")
    source.images(ImageCache(tmp_path / "cache"))
    (pixels,), (index,) = ((tmp_path / "cache").glob(pattern) for pattern in ("*.pixels", "*.json"))
    if damage == "index":
        index.write_text(index.read_text()[:50])
    elif damage == "short":
        pixels.write_bytes(pixels.read_bytes()[:-64])
    else:
        pixels.unlink()
    assert_right(source.images(ImageCache(tmp_path / "cache")), source)


def test_without_room_images_are_decoded_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 2000))
    source = Source(tmp_path / "in")
    assert source.images(ImageCache(tmp_path / "cache")) is None
    assert "decoded in every epoch" in caplog.text and not list((tmp_path / "cache").glob("*.p*"))


def test_a_disk_that_fills_meanwhile_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("frostline.datasets.image_cache._write", full)
    assert Source(tmp_path / "in").images(ImageCache(tmp_path / "cache")) is None
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_a_folder_that_cannot_be_made_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    assert Source(tmp_path / "in").images(ImageCache(tmp_path / "file" / "cache")) is None
    assert "Not a directory" in caplog.text


def test_the_index_is_small_and_readable(tmp_path: Path) -> None:
    Source(tmp_path / "in").images(ImageCache(tmp_path / "cache"))
    (path,) = (tmp_path / "cache").glob("*.json")
    index = json.loads(path.read_text())
    assert index["type"] == "uint16" and len(index["images"]) == len(index["sources"]) == 5
