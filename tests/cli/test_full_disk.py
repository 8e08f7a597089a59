"""No room for a file, or a folder that takes none: one line, nothing half-written, and a rerun that finishes.

A limit on the size of a file stands in for the full disk: the write of a large file fails in its middle.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frostline.imaging import write_tiff16

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files have no limit of their size there")

LIMIT = 60_000
LIMITED = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({LIMIT}, {LIMIT}));"
RUN = "from frostline.cli import main; main()"

COMMANDS = {
    "chroma": (["chroma", "convert", "{src}/linear", "{out}", "--isd", "0.68,0.58,0.45"], "images/small.tiff"),
    "raw": (
        ["raw", "convert", "{src}/raw", "{out}", "--width", "200", "--height", "200", "--compression", "deflate"],
        "small.tiff",
    ),
    "shadows": (["shadows", "cast", "{src}/linear", "{out}"], "images/small.tiff"),
    "data": (["data", "convert", "--from", "kitti", "{src}/kitti", "{out}"], "images/small.png"),
}


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """For each command one file whose result is small, and, later in the order of names, one whose result is not."""
    rng = np.random.default_rng(0)
    for name, side in (("small", 40), ("tall", 200)):
        pixels = rng.integers(0, 65535, (side, side, 3)).astype(np.uint16)
        write_tiff16(tmp_path / "linear" / "images" / f"{name}.tiff", pixels)
        for folder in ("raw", "kitti/image_2", "kitti/label_2"):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels >> 8).astype(np.uint8)).save(tmp_path / "kitti/image_2" / f"{name}.png")
        (tmp_path / "kitti/label_2" / f"{name}.txt").write_text("Car 0 0 0 1 1 30 30 1 1 1 1 1 1 1\n")
        sensor = rng.integers(0, 65535, (200, 200)) if name == "tall" else np.full((200, 200), 999)
        (tmp_path / "raw" / f"{name}.raw").write_bytes(sensor.astype("<u2").tobytes())
    return tmp_path


def run(program: str, words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program, *words], check=False, capture_output=True, text=True)


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("command", list(COMMANDS))
def test_a_full_disk_is_one_line_and_a_rerun_finishes(command: str, src: Path):
    words, survivor = COMMANDS[command]
    clean, out = src / "clean", src / "out"
    assert run(RUN, [word.format(src=src, out=clean) for word in words]).returncode == 0
    words = [word.format(src=src, out=out) for word in words]
    done = run(LIMITED + RUN, words)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"error: {out}: cannot be written (") and "make room" in done.stderr
    written, whole = files(out), files(clean)
    assert survivor in written and not any("tall" in name and "labels" not in name for name in written)
    assert all(written[name] == whole[name] for name in written if not name.endswith(".json"))
    assert run(RUN, words).returncode == 0
    assert files(out) == whole


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="/proc is a folder that nobody can write to")
@pytest.mark.parametrize("command", list(COMMANDS))
def test_a_folder_that_takes_no_files_is_one_line(command: str, src: Path):
    words = [word.format(src=src, out="/proc/frostline/out") for word in COMMANDS[command][0]]
    done = run(RUN, words)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: /proc/frostline/out: cannot be written (")
