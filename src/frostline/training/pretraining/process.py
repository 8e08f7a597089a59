"""lightly-train's process, seen from the one that waits for it: started, watched, and its end put into words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from frostline.errors import InputError
from frostline.training.pretraining import worker
from frostline.training.pretraining.images import Progress
from frostline.training.pretraining.settings import Pretraining
from frostline.training.pretraining.start import PretrainError

LOG = "lightly.log"


def carry_out_job(
    job: dict[str, Any], work: Path, epochs: int, settings: Pretraining, model: str, progress: Progress | None = None
) -> list[float]:
    """Let lightly-train work in a process of its own.

    Args:
        job: what `worker` reads, as `work/job.json`.
        work: folder that it works in; its log stays there when it fails.
        epochs: that are asked for.
        settings: for messages.
        model: its name, for messages.
        progress: called with (epochs done, epochs in all).

    Returns:
        The loss of every epoch.

    Raises:
        InputError: lightly-train cannot take this model, or cannot get the teacher.
        PretrainError: it failed, or stopped early.
    """
    environment = {
        **os.environ,
        "LIGHTLY_TRAIN_EVENTS_DISABLED": "1",  # it would tell its makers that a training began
        "LIGHTLY_TRAIN_DATA_CACHE_DIR": str(work / "lists"),
        "LIGHTLY_TRAIN_TMP_DIR": str(work / "lists"),
        "NO_ALBUMENTATIONS_UPDATE": "1",  # it would ask the network for a newer version of itself
        "OMP_NUM_THREADS": str(job["threads"]),
        "MPLBACKEND": "Agg",
        "TQDM_MININTERVAL": "10",  # its bar goes to a file
    }
    command = [sys.executable, "-m", worker.__name__, str(work / "job.json")]
    with (work / LOG).open("w", encoding="utf-8") as log:
        # a session of its own, so that Ctrl-C is dealt with here
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        try:
            while process.poll() is None:
                time.sleep(0.2)
                if progress:
                    progress(len(_losses(work)), epochs)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
    losses = _losses(work)
    if process.returncode != 0 or not (work / worker.RESULT).is_file():
        raise _failure(work, settings, model, process.returncode)
    if len(losses) < epochs:
        raise PretrainError(
            f"lightly-train stopped after {len(losses)} of {epochs} epochs, as the loss was no number any more; try a "
            f"lower learning rate or a larger batch; see {work / LOG}"
        )
    return losses


def _losses(work: Path) -> list[float]:
    """Read the loss of each epoch from lightly-train's metrics, which may be written to just now."""
    try:
        lines = (work / "lightly" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = {}
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if "train_loss" in row and "epoch" in row:
            found[int(row["epoch"])] = float(row["train_loss"])
    return [found[epoch] for epoch in sorted(found)]


def _failure(work: Path, settings: Pretraining, model: str, status: int) -> Exception:
    """Tell in one line why lightly-train ended."""
    try:
        told = json.loads((work / worker.ERROR).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        told = {"kinds": [], "type": "", "message": f"it ended with status {status}"}
    message = " ".join(str(told["message"]).split())[:300]
    if "Could not identify backbone" in message:
        return InputError(
            f"{model}: lightly-train finds no backbone in this model; it takes YOLOv5u, v6, v8, 11, 12 and 26"
        )
    if settings.method == "distillation":
        name = settings.teacher or "lightly-train's own teacher"
        if settings.teacher_weights is None and {"OSError", "ConnectionError", "TimeoutError"} & set(told["kinds"]):
            return InputError(
                f"{name}: not on this disk, and the download failed ({message}); give teacher and teacher_weights, a "
                "file, or use method simclr"
            )
        if any(word in message for word in ("Unknown model", "available models", "Error(s) in loading state_dict")):
            return InputError(f"teacher {name}: {message}")
    return PretrainError(f"lightly-train failed ({told['type']}: {message}); see {work / LOG}")
