from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from frostline.imaging import write_tiff16

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no process group to send Ctrl-C to")


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_ctrl_c_in_the_middle_and_a_rerun_give_the_bytes_of_one_run(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 65535, (700, 900, 3)).astype(np.uint16)
    for index in range(60):
        write_tiff16(tmp_path / "in ö" / "images" / f"{index:02d}.tiff", np.roll(pixels, index, axis=0))

    def command(out: Path) -> list[str]:
        words = ["chroma", "convert", str(tmp_path / "in ö"), str(out), "--isd", "0.68,0.58,0.45", "--workers", "2"]
        return [sys.executable, "-m", "frostline", *words]

    subprocess.run(command(tmp_path / "clean"), check=True, capture_output=True)
    out = tmp_path / "out"
    running = subprocess.Popen(command(out), stderr=subprocess.PIPE, text=True, start_new_session=True)
    end = time.monotonic() + 120
    while len(list(out.glob("images/[0-9]*"))) < 3:
        assert running.poll() is None and time.monotonic() < end
        time.sleep(0.005)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, told = running.communicate()
    assert running.returncode == 130
    assert told == "interrupted; what was finished is kept, run the same command again\n"
    assert 0 < len(list(out.glob("images/[0-9]*"))) < 60
    assert not list(out.rglob(".*"))
    done = subprocess.run(command(out), check=True, capture_output=True, text=True)
    assert "skipped 0 " not in done.stdout
    assert files(out) == files(tmp_path / "clean")


@pytest.mark.parametrize("seconds", [0.1, 0.25, 0.4])
def test_ctrl_c_while_the_command_line_is_loading_is_no_traceback(seconds: float):
    running = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); from frostline.cli import main; main()", "layers", "yolo11n.yaml"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert running.stdout is not None
    running.stdout.readline()  # Python itself is up
    time.sleep(seconds)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate()
    assert running.returncode in (130, 0) and "Traceback" not in told
