"""`.ci/audit` fails for a known vulnerability, and only for that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

AUDIT = Path(__file__).parents[2] / ".ci" / "audit"
BUG = {"id": "PYSEC-1", "fix_versions": ["2.0"]}


def audited(folder: Path, program: str, seconds: int = 30) -> subprocess.CompletedProcess[str]:
    """Run it with a stand-in for pip-audit: what is tested is what becomes of its answers."""
    (folder / "pip_audit").mkdir()
    (folder / "pip_audit" / "__init__.py").write_text("")
    (folder / "pip_audit" / "__main__.py").write_text(program)
    (folder / "python").symlink_to(sys.executable)
    return subprocess.run(
        [AUDIT, folder, folder / "pins.txt", str(seconds)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(folder)}, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(("bugs", "status"), [([], 0), ([BUG], 1)])
def test_a_vulnerability_fails(bugs: list[Any], status: int, tmp_path: Path) -> None:
    answer = json.dumps({"dependencies": [{"name": "x", "version": "1.0", "vulns": bugs}, {"name": "y", "skip": ""}]})
    done = audited(tmp_path, f"import sys\nprint({answer!r})\nsys.exit({status})\n")
    assert done.returncode == status, done.stderr
    assert f"2 packages asked about, {status} known" in done.stdout
    assert ("x 1.0: PYSEC-1, mended in 2.0" in done.stdout) == bool(status)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys\nsys.exit('ERROR: no route to host')", "no route to host"),
        ("import time\ntime.sleep(60)", "no answer in time"),
        ("print('{')", "no answer in time"),
    ],
)
def test_an_index_out_of_reach_does_not(program: str, said: str, tmp_path: Path) -> None:
    done = audited(tmp_path, program, seconds=3)
    assert done.returncode == 0 and "could not be asked" in done.stdout and said in done.stdout
