"""The drop-in scripts: the reference scripts' flags, doing what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRAINING = "--model --data --imgsz --batch --close_mosaic --workers --device --optimizer --amp --project --shutdown"


def script(name: str, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / name, *map(str, words)], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("name", "flags", "defaults"),
    [
        (
            "train_freeze.py",
            f"{TRAINING} --epochs1 --epochs2 --layers --name1 --name2",
            {"model": "yolo11s.pt", "imgsz": "1280", "batch": "12", "close_mosaic": "10", "workers": "40",
             "device": "0", "epochs1": "50", "epochs2": "250", "layers": "6", "project": "runs/train",
             "name1": "exp_stage1", "name2": "exp_stage2"},
        ),
        ("train_freeze_ablation.py", f"{TRAINING} --epochs --freeze_list", {"epochs": "300", "freeze_list": "3,4,5,6"}),
        ("plot_comparison.py", "--exp_dirs --metrics --out --shutdown", {}),
    ],
)  # fmt: skip
def test_every_flag_of_the_reference_is_there_with_its_default(name: str, flags: str, defaults: dict[str, str]) -> None:
    told = script(name, "--help").stdout
    assert [flag for flag in flags.split() if f"{flag} " not in told and f"{flag}\n" not in told] == []
    flat = " ".join(told.split())
    for flag, value in defaults.items():
        assert re.search(rf"--{flag} [A-Z0-9_]+ [^(]*\(default: {re.escape(value)}\)", flat), flag


def test_data_is_required_and_an_absent_file_is_one_line() -> None:
    assert script("train_freeze.py").returncode == 2
    done = script("train_freeze_ablation.py", "--data", "nothing.yaml", "--device", "cpu", "--model", "yolov5n.yaml")
    assert done.returncode == 2 and done.stderr.startswith("error: nothing.yaml") and done.stderr.count("\n") == 1
