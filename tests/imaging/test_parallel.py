from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")

PROGRAM = """
import os, sys, time
from pathlib import Path
from frostline.imaging.parallel import each, worker_pool

def held(_):
    sizes = dict(line.split(":") for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    loaded = "frostline.imaging.fused" in sys.modules
    return loaded, os.environ["OPENBLAS_NUM_THREADS"], int(sizes["Pss"].split()[0]) < int(sizes["Rss"].split()[0]) / 1.5

def sleep(folder):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(600)

if __name__ == "__main__":
    if sys.argv[1] == "memory":
        with worker_pool(2, "frostline.imaging.preload") as pool:
            print(*set(pool.map(held, range(4))), "OPENBLAS_NUM_THREADS" in os.environ)
    else:
        list(each(sleep, [sys.argv[2]] * 2, 2))
"""


@pytest.fixture
def program(tmp_path: Path) -> list[str]:
    (tmp_path / "program.py").write_text(PROGRAM)
    return [sys.executable, str(tmp_path / "program.py")]


def test_workers_share_what_was_loaded_and_have_one_thread_each(program: list[str]):
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run([*program, "memory"], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "(True, '1', True) False\n"
    assert done.stderr == ""


def test_workers_end_with_a_parent_that_was_killed(program: list[str], tmp_path: Path):
    (tmp_path / "pids").mkdir()
    with subprocess.Popen([*program, "kill", str(tmp_path / "pids")], stderr=subprocess.DEVNULL) as parent:
        wait_until(lambda: len(list((tmp_path / "pids").iterdir())) == 2)
        parent.kill()
    wait_until(lambda: not any(alive(int(path.name)) for path in (tmp_path / "pids").iterdir()))


def wait_until(condition, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # ended, and nobody asked for its status
