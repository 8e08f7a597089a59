"""What must hold of a study's folder at any moment, whatever was killed in it, and what must hold at its end."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import polars as pl
import torch
from killing import ARMS, EPOCHS
from typer.testing import CliRunner, Result

import frostline as fl
from frostline.analysis import RunFolder, read_predictions
from frostline.cli import app
from frostline.training import Run

KEPT = ("run.json", "audit.json", "results.csv", "gradients.csv", "predictions.parquet", "weights/best.pt")


def call(*words: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})


def epochs_of(path: Path) -> list[int]:
    """Return the first column of a CSV file; a row that was cut off has no line end and does not count."""
    text = path.read_text(encoding="utf-8")
    lines = text[: text.rfind("\n") + 1].splitlines()
    return [int(row[0]) for row in csv.reader(lines[1:])]


class Ledger:
    """What was seen of a study before: finished runs stay as they are, and saved epochs stay saved."""

    def __init__(self) -> None:
        self.finished: dict[str, dict[str, tuple[int, bytes]]] = {}
        self.epochs: dict[str, int] = {}

    def look(self, project: Path, out: Path) -> None:
        """Look at a study that nobody works on now.

        Args:
            project: its folder.
            out: a folder for what `compare` writes.
        """
        for path in sorted(project.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                _whole(path)
        records = {arm: project / arm / "seed0" for arm in ARMS if (project / arm / "seed0" / "run.json").exists()}
        for arm, folder in records.items():
            run = Run.open(folder)
            assert run is not None and run.status in {"running", "interrupted", "finished"}, run
            assert RunFolder.open(folder).damage is None
            if arm in self.finished:
                assert run.status == "finished", f"{arm} was finished, and is {run.status}"
                assert _snapshot(folder) == self.finished[arm], f"{arm} was finished, and changed"
            elif run.status == "finished":
                self.finished[arm] = _snapshot(folder)
        if not (project / "study.yaml").exists():
            return
        for state in fl.Study.from_yaml(project).states():
            before = self.epochs.get(state.arm, 0)
            # a kill between a checkpoint and the memory of its epoch hides that epoch until the run goes on
            assert state.epochs_done >= before - 1, f"{state.label}: {before} epochs saved, now {state.epochs_done}"
            self.epochs[state.arm] = max(before, state.epochs_done)
        status = call("study", "status", project)
        assert status.exit_code == 0 and f"{len(self.finished)} of {len(ARMS)} runs finished" in status.output
        compared = call("compare", project, "--out", out / "comparison.png", "--format", "json")
        if records:
            assert compared.exit_code == 0, compared.output
            rows = json.loads(compared.stdout)["runs"]
            assert {row["arm"] for row in rows} == set(records)
            assert {row["arm"] for row in rows if row["status"] == "finished"} == set(self.finished)
        else:
            assert compared.exit_code != 0

    def conclude(self, project: Path, out: Path) -> None:
        """Look at a study that is said to be complete."""
        self.look(project, out)
        assert set(self.finished) == set(ARMS)
        for arm in ARMS:
            _complete(arm, project / arm / "seed0")
        frame = fl.compare([project])
        assert frame.height == len(ARMS) and frame["audit"].to_list() == ["PASS"] * len(ARMS)
        for column in ("mAP50", "mAP50-95", "coco_mAP50", "best_epoch", "epoch_seconds", "inference_ms"):
            assert frame[column].null_count() == 0, column
        left = [path for arm in ARMS for path in (project / arm).rglob(".*.part-*")]
        assert not left, left
        reported = call("report", project, "--out", out / f"report-{project.name}", "--draws", 100)
        assert reported.exit_code == 0, reported.output
        page = (out / f"report-{project.name}" / "index.html").read_text(encoding="utf-8")
        assert all(arm in page for arm in ARMS)
        held = [path for path in (project / "claims").glob("*/*") if not path.parent.name.startswith(".")]
        assert not held, held


def _snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {name: ((folder / name).stat().st_mtime_ns, (folder / name).read_bytes()) for name in KEPT}


def _whole(path: Path) -> None:
    """A file under its own name is whole, whenever its writer was killed."""
    if path.suffix == ".json":
        assert isinstance(json.loads(path.read_text(encoding="utf-8")), dict), path
    elif path.suffix == ".pt":
        checkpoint = torch.load(path, map_location="cpu", weights_only=False)
        assert checkpoint["ema"] is not None or checkpoint["model"] is not None, path
    elif path.name == "predictions.parquet":
        read_predictions(path)
    elif path.suffix == ".parquet":
        pl.read_parquet(path)
    elif path.suffix == ".csv":
        found = epochs_of(path) if path.stat().st_size else []
        assert found == list(range(1, len(found) + 1)), (path, found)


def _complete(arm: str, folder: Path) -> None:
    record: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    every = list(range(1, EPOCHS + 1))
    assert record["status"] == "finished" and record["audit"] == "PASS" and record["notes"] == []
    assert epochs_of(folder / "results.csv") == every and epochs_of(folder / "gradients.csv") == every
    assert len(record["epoch_seconds"]) == EPOCHS, (arm, record["epoch_seconds"])
    assert len(record["best"]["weights"]) and (folder / record["best"]["weights"]).is_file()
    for stage in record["stages"]:
        own = folder / f"stage{stage['stage']}" if len(record["stages"]) > 1 else folder
        with (own / "results.csv").open(newline="") as stream:
            rows = [{key.strip(): value for key, value in row.items()} for row in csv.DictReader(stream)]
        scores = [float(row["metrics/mAP50-95(B)"]) for row in rows]
        assert scores[stage["best_epoch"] - 1] == max(scores), (arm, stage["best_epoch"], scores)
    assert read_predictions(folder / "predictions.parquet") is not None
