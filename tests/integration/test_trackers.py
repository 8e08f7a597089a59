"""TensorBoard and Weights & Biases in programs of their own, as both are silent under pytest. Nobody else is told."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import SETTINGS

from frostline import InputError
from frostline.training.tracking import check_tracker
from frostline.training.tracking.quiet import Asked, without_unasked

pytestmark = pytest.mark.integration
WORDS = [f"{key}={value}" for key, value in SETTINGS.items()]


def train(
    checkpoint: Path, data: Path, project: Path, *more: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    return subprocess.run(
        [sys.executable, "-m", "frostline", "train", str(checkpoint), str(data), "--device", "cpu", "--project",
         str(project), *WORDS, *more],
        capture_output=True, text=True, check=False, env={**kept, **environment}, timeout=300,
    )  # fmt: skip


@pytest.mark.extra
@pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed (extra track)"
)
def test_tensorboard_has_the_curves_and_the_plan(tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = train(tiny_checkpoint, tiny_data, tmp_path / "runs", "--freeze", "0-2", "--track", "tensorboard")
    assert done.returncode == 0, done.stderr
    events = EventAccumulator(str(tmp_path / "runs" / "freeze_1_to_3"))
    events.Reload()
    tags = events.Tags()
    assert [point.step for point in events.Scalars("metrics/mAP50(B)")] == [1, 2]
    assert "final/ultralytics/mAP50" in tags["scalars"]
    assert any(tag.startswith("audit.json") for tag in tags["tensors"])


@pytest.mark.extra
@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed (extra track)")
def test_wandb_keeps_a_run_offline(tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path) -> None:
    done = train(
        tiny_checkpoint, tiny_data, tmp_path / "runs", "--freeze", "0-2", "--track", "wandb", WANDB_MODE="offline"
    )
    assert done.returncode == 0, done.stderr
    assert "not tracked" not in done.stderr
    (log,) = (tmp_path / "runs" / "freeze_1_to_3" / "wandb").glob("offline-run-*/*.wandb")
    assert log.stat().st_size > 1000


def test_a_tracker_that_is_none_is_refused_in_one_line(tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path) -> None:
    with pytest.raises(InputError, match=r"track 'mlfow': no such tracker, did you mean 'mlflow'\?"):
        check_tracker("mlfow")
    done = train(tiny_checkpoint, tiny_data, tmp_path / "runs", "--track", "mlfow")
    assert done.returncode == 2 and not (tmp_path / "runs").exists()
    assert check_tracker(None) is None and check_tracker("none") is None


def test_what_nobody_asked_for_is_taken_out_and_the_rest_stays() -> None:
    from ultralytics.utils.callbacks import clearml, get_default_callbacks
    from ultralytics.utils.events import on_train_end

    def own(trainer: object) -> None:
        """A user's."""

    asked = Asked(clearml.on_train_end)
    callbacks = get_default_callbacks()
    callbacks["on_train_end"] += [on_train_end, own, clearml.on_train_end, asked]
    without_unasked(callbacks)
    assert {own, asked} <= set(callbacks["on_train_end"])
    assert not {on_train_end, clearml.on_train_end} & set(callbacks["on_train_end"])


# Ultralytics asks for two names when it is imported, to learn whether there is a network, and for a font once.
ALLOWED = {"ask one.one.one.one", "ask dns.google", "ask github.com"}
WATCHED = """
import socket, sys, runpy
told = open(sys.argv.pop(1), "w", buffering=1)
def refuse(self, address, *rest):
    if self.family != socket.AF_UNIX:
        told.write(f"connect {address}\\n")
        raise OSError("the network is cut")
    return connect(self, address, *rest)
connect = socket.socket.connect
socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = lambda host, *rest, **more: told.write(f"ask {host}\\n") and []
from ultralytics.utils import events
events.events.enabled = True  # as where there is a network, and its setting `sync` was left alone
events._post = lambda url, data, timeout=5.0: told.write(f"post {url}\\n")
sys.argv[0] = "frostline"
runpy.run_module("frostline", run_name="__main__")
"""


def test_nothing_is_sent_anywhere_by_default(tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path) -> None:
    told, project = tmp_path / "told.txt", tmp_path / "runs"
    kept = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    images = tiny_data.parent / "images" / "val"
    weights = project / "baseline" / "weights" / "best.pt"
    for words in (
        ["train", str(tiny_checkpoint), str(tiny_data), "--device", "cpu", "--project", str(project), *WORDS],
        ["predict", str(weights), str(images), "--device", "cpu", "--out", str(tmp_path / "predicted")],
    ):
        done = subprocess.run(
            [sys.executable, "-c", WATCHED, str(told), *words],
            capture_output=True, text=True, check=False, env=kept, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        assert set(told.read_text().splitlines()) <= ALLOWED
