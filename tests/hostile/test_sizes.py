"""What is too large, too deep or without end is refused before there is room made for it."""

from __future__ import annotations

import os
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml

from frostline.analysis.curves import read_results
from frostline.datasets.formats.sizes import whole_image_size
from frostline.datasets.headers import stored_as
from frostline.datasets.kitti import _read_label
from frostline.datasets.rows import read_rows
from frostline.errors import InputError
from frostline.files import MOST_YAML_BYTES, parse_yaml, read_bounded, read_lines, read_yaml
from frostline.imaging.stored import read_stored


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(path: Path, side: int) -> Path:
    """A PNG of a few kilobytes that unpacks to side x side bytes, or would."""
    data = zlib.compress(bytes(10_000))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path


def jpeg(path: Path, side: int) -> Path:
    import cv2

    data = bytearray(cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes())
    place = data.index(b"\xff\xc0")
    data[place + 5 : place + 9] = struct.pack(">HH", side, side)
    path.write_bytes(bytes(data))
    return path


def bmp(path: Path, side: int) -> Path:
    import cv2

    data = bytearray(cv2.imencode(".bmp", np.zeros((16, 16, 3), np.uint8))[1].tobytes())
    data[18:26] = struct.pack("<ii", side, -side)
    path.write_bytes(bytes(data))
    return path


def tiff(path: Path, side: int) -> Path:
    tifffile.imwrite(path, np.zeros((16, 16, 3), np.uint8), photometric="rgb")
    with tifffile.TiffFile(path) as opened:
        page: Any = opened.pages[0]
        places = [page.tags[name].valueoffset for name in ("ImageWidth", "ImageLength")]
        kinds = [page.tags[name].dtype for name in ("ImageWidth", "ImageLength")]
    data = bytearray(path.read_bytes())
    for place, kind in zip(places, kinds, strict=True):
        size = 2 if int(kind) == 3 else 4
        data[place : place + size] = min(side, 65_535 if size == 2 else side).to_bytes(size, "little")
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize(("make", "suffix"), [(png, "png"), (jpeg, "jpg"), (bmp, "bmp"), (tiff, "tif")])
def test_an_image_bomb_is_refused_by_its_header(make: Any, suffix: str, tmp_path: Path) -> None:
    path = make(tmp_path / f"bomb.{suffix}", 60_000)
    assert path.stat().st_size < 20_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (stored_as, read_stored, whole_image_size):
        with pytest.raises(InputError, match="pixels, more than"):
            read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB
    small = make(tmp_path / f"small.{suffix}", 16)
    if suffix != "png":
        assert read_stored(small).shape == (16, 16, 3)


def laughs(levels: int) -> str:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, levels):
        one, before = chr(97 + level), chr(96 + level)
        lines.append(f"{one}: &{one} [{', '.join([f'*{before}'] * 10)}]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (laughs(9), "stands for more than"),
        ("a: &a [*a]", "stands within what it stands for"),
        ("[" * 5000 + "]" * 5000, "nested more than"),
        ("- " * 5000 + "x", "nested more than"),
        ("".join(f"{' ' * n}a:\n" for n in range(300)), "nested|Recursion"),
        ("a: " + "x" * (MOST_YAML_BYTES + 1), "larger than"),
        ("a: !!python/object/apply:os.system ['true']", "constructor"),
        ("a: 2001-99-99", "month"),
        ("? [a, b]\n: c", "hashable|unhashable"),
    ],
)
def test_yaml_is_of_a_size_a_depth_and_a_meaning(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=reason) as caught:
        read_yaml(path, "the study file")
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError):
        read_yaml(path, "the study file", unique=False)


def test_ordinary_yaml_with_anchors_is_read_as_before(tmp_path: Path) -> None:
    text = laughs(3) + "\nd: &d {lr0: 0.01}\ne: {<<: *d, epochs: 3}\n" + "f: [" + "[1], " * 100 + "]\n"
    assert parse_yaml(text) == yaml.safe_load(text) == parse_yaml(text, unique=False)


@pytest.mark.parametrize("content", ["0 " * 3_000_000, "0 0.5 0.5 0.1 0.1\n" * 2_000_000])
def test_a_label_file_without_end_is_refused_by_its_size(content: str, tmp_path: Path) -> None:
    path = tmp_path / "label.txt"
    path.write_text(content)
    for read in (lambda: read_rows(path, 1), lambda: _read_label(path)):
        with pytest.raises(InputError, match="MiB"):
            read()


def test_a_table_of_a_million_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text(",".join(f"c{n}" for n in range(1_000_000)) + "\n1\n")
    with pytest.raises(InputError, match="a line of it is longer"):
        read_results(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_device_or_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "zero").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    for name in ("zero", "pipe"):
        for read in (read_bounded, read_lines, lambda path: read_rows(path, 1), lambda path: read_yaml(path, "it")):
            with pytest.raises(InputError, match="a device or a pipe"):
                read(tmp_path / name)


def test_a_gigabyte_line_takes_no_gigabyte(tmp_path: Path) -> None:
    """A sparse file takes no disk; reading it whole would take its size in memory."""
    path = tmp_path / "results.csv"
    with path.open("wb") as stream:
        stream.truncate(2**30)
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from frostline.analysis.curves import read_results\n"
        "from frostline.errors import InputError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    read_results(Path(sys.argv[1]))\nexcept InputError as error:\n    print(error)\n"
        "print('KIB', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True, timeout=120
    )
    assert "larger than 64 MiB" in done.stdout
    assert int(done.stdout.rpartition("KIB ")[2]) < 200_000
