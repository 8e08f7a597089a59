"""One side of `parity.py`: all its runs in one process, with the loss of every batch written down.

`plain` is what a user would run without Frostline: one `train` call of Ultralytics a run with `freeze=`, evaluated
afterwards from its checkpoint by the same code as ours. `reference` and `full` are a study of ours. What is finished is
not run again.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
from pathlib import Path
from typing import Any

LOSSES = "batch_losses.csv"
PARTS = ("box_loss", "cls_loss", "dfl_loss")


def record_losses() -> None:
    """Let every trainer made in this process write its losses, a row a batch, into its save folder.

    Ultralytics hands a copy of its default callbacks to each trainer: the same hook for its own trainer and for ours.
    """
    from ultralytics.utils import callbacks

    rows: list[list[float]] = []

    def start(trainer: Any) -> None:
        rows.clear()

    def batch(trainer: Any) -> None:
        rows.append([float(trainer.loss), *(float(trainer.loss_items[part]) for part in PARTS)])

    def write(trainer: Any) -> None:
        with (Path(trainer.save_dir) / LOSSES).open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["loss", *PARTS])
            writer.writerows([[repr(value) for value in row] for row in rows])

    for event, hook in (("on_train_start", start), ("on_train_batch_end", batch), ("on_train_epoch_end", write)):
        callbacks.default_callbacks[event].append(hook)


def run_plain(job: dict[str, Any], folder: Path) -> None:
    """Train every arm and seed by Ultralytics alone; then make the predictions that the statistics need."""
    from frostline.training.evaluating import evaluate
    from frostline.training.settings import for_ultralytics, resolve_settings

    # The arguments that our own side hands to Ultralytics, in full.
    settings = for_ultralytics(resolve_settings({**job["train"], "reference": True}))
    for seed in job["seeds"]:
        for arm, depth in job["arms"].items():
            place = folder / arm / f"seed{seed}"
            if (place / "evaluation.json").is_file():
                continue
            train_plain(job, settings, place, depth, seed)
            evaluate([place], data=job["data"], device=job["device"])
            print(f"plain/{arm}/seed{seed}", flush=True)


def train_plain(job: dict[str, Any], settings: dict[str, Any], place: Path, depth: int, seed: int) -> None:
    from ultralytics import YOLO

    YOLO(job["model"]).train(
        **settings, data=job["data"], freeze=depth or None, seed=seed, device=job["device"],
        project=str(place.parent.absolute()), name=place.name, exist_ok=True,
    )  # fmt: skip


def run_ours(job: dict[str, Any], folder: Path) -> None:
    """Train every arm and seed as a study, with the arithmetic of plain Ultralytics or at full speed."""
    from frostline import Study
    from frostline.studies import ablation
    from frostline.training.record import LoggingObserver

    depths = [depth for depth in job["arms"].values() if depth]
    train = {**job["train"], "reference": job["reference"]}
    file = ablation(job["model"], job["data"], depths, train, name=job["side"], seeds=job["seeds"])
    outcome = Study(file, folder).run(
        device=job["device"],
        observer=LoggingObserver(),
        on_run=lambda _number, _count, run: print(f"{job['side']}/{run.label}", flush=True),
    )
    if not outcome.complete:
        raise SystemExit("; ".join(f"{label}: {reason}" for label, reason in outcome.failed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", type=Path, help="what parity.py wrote")
    job = json.loads(parser.parse_args().job.read_text(encoding="utf-8"))
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # First, for torch's threads: Ultralytics sets OMP_NUM_THREADS as it is imported.
    import frostline.training  # noqa: F401

    record_losses()
    folder = Path(job["out"]) / job["side"]
    (run_plain if job["side"] == "plain" else run_ours)(job, folder)


if __name__ == "__main__":
    main()
