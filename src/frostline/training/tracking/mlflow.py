"""MLflow: a study is an experiment, an arm with a seed a run, a stage of several a run within it."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from frostline.files import read_json, write_json
from frostline.training.tracking.base import Callbacks, Track, environment, stage_callbacks

logger = logging.getLogger(__name__)
KNOWN = "tracking.json"
STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


class MlflowTracker:
    """See `Tracker`.

    Args:
        track: what is tracked.
        folder: the run's.
        store: folder that the default store is made in, where MLFLOW_TRACKING_URI names none.
    """

    def __init__(self, track: Track, folder: Path, store: Path) -> None:
        self.track = track
        self.folder = folder
        self.client = open_client(store)
        self.experiment = experiment_of(self.client, track.experiment, store)
        self.run: str = ""
        self.stages: dict[str, str] = {}

    def begin(self, params: Mapping[str, Any]) -> None:
        """Open the run."""
        known = self._known()
        if known is not None:
            self.run, self.stages = known
            self.client.update_run(self.run, "RUNNING")
        else:
            self.run = self._create(self.track.label, {"frostline.folder": str(self.folder.absolute())})
            for key, value in params.items():
                self.client.log_param(self.run, key, value)
        self._remember()

    def _create(self, name: str, tags: Mapping[str, str]) -> str:
        run = self.client.create_run(self.experiment, run_name=name, tags=dict(tags))
        return str(run.info.run_id)

    def stage(self, number: int, count: int) -> Callbacks:
        """Make ready for a stage."""
        from ultralytics.utils.callbacks import mlflow as theirs

        run = self.run
        if count > 1:
            name = f"stage{number}"
            if name not in self.stages:
                self.stages[name] = self._create(f"{self.track.label}/{name}", {"mlflow.parentRunId": self.run})
                self._remember()
            run = self.stages[name]
        calls = dict(stage_callbacks(theirs, ("on_train_epoch_end", "on_fit_epoch_end")))
        calls["on_pretrain_routine_end"] = _begin
        if self.client.get_run(run).data.params.keys() & {"imgsz"}:  # resumed: parameters are written once
            calls["on_pretrain_routine_end"] = _go_on
            self._fill_in(run, self.folder / f"stage{number}" if count > 1 else self.folder)
        return {event: partial(self._within, run, call) for event, call in calls.items()}

    def _fill_in(self, run: str, folder: Path) -> None:
        """Write the epochs that were saved and not tracked, as the process ended between the two."""
        curves = folder / "results.csv"
        if not curves.is_file():
            return
        with curves.open(encoding="utf-8", newline="") as stream:
            rows = [{key.strip(): value.strip() for key, value in row.items()} for row in csv.DictReader(stream)]
        known = {point.step for point in self.client.get_metric_history(run, "metrics/mAP50B")}
        for row in rows:
            step = int(row["epoch"]) - 1
            for key, value in row.items() if step not in known else ():
                if "/" in key:
                    self.client.log_metric(run, key.replace("(", "").replace(")", ""), float(value), step=step)

    def _within(self, run: str, call: Callable[..., Any], trainer: Any) -> None:
        """Let Ultralytics' callback find our run as the active one: several runs can be in one process."""
        import mlflow

        mlflow.set_experiment(experiment_id=self.experiment)  # another one may be set from before
        with environment(MLFLOW_EXPERIMENT_NAME=self.track.experiment), mlflow.start_run(run_id=run, nested=True):
            call(trainer)
        self.client.update_run(run, status="RUNNING")  # leaving the block has closed it

    def end(self, status: str, metrics: Mapping[str, float], files: list[Path]) -> None:
        """Close the run."""
        for run in (*self.stages.values(), self.run):
            if run == self.run:
                for key, value in metrics.items():
                    self.client.log_metric(run, key, value)
                log_files(self.client, run, files)
            self.client.set_terminated(run, STATUS[status])

    def _known(self) -> tuple[str, dict[str, str]] | None:
        try:
            value = read_json(self.folder / KNOWN)["mlflow"]
            self.client.get_run(value["run"])
            return str(value["run"]), dict(value["stages"])
        except Exception:  # no such file, or another store that does not know the run
            return None

    def _remember(self) -> None:
        write_json(self.folder / KNOWN, {"mlflow": {"run": self.run, "stages": self.stages}})


def _begin(trainer: Any) -> None:
    """Write a trainer's arguments, as Ultralytics' first callback does, but without `mlflow.autolog`.

    That changes other libraries for the rest of the process.
    """
    import mlflow

    mlflow.log_params(dict(trainer.args))
    _go_on(trainer)


def _go_on(trainer: Any) -> None:
    """Mark a trainer as tracked, as Ultralytics' first callback does."""
    trainer._mlflow_active, trainer._mlflow_started_run = True, False


def open_client(store: Path) -> Any:
    """Open the store: the one that MLFLOW_TRACKING_URI names, else an SQLite file."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # what the user says there holds
    import mlflow

    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(store / 'mlflow.db').absolute()}"
    mlflow.set_tracking_uri(uri)
    return mlflow.MlflowClient(uri)


def experiment_of(client: Any, name: str, store: Path) -> str:
    """Return the experiment of a name, made if it is not there."""
    known = client.get_experiment_by_name(name)
    if known is not None:
        return str(known.experiment_id)
    local = not os.environ.get("MLFLOW_TRACKING_URI")
    place = (store / "mlartifacts" / name).absolute().as_uri() if local else None
    try:
        return str(client.create_experiment(name, artifact_location=place))
    except Exception:  # another process of the same study was quicker
        return str(client.get_experiment_by_name(name).experiment_id)


def log_files(client: Any, run: str, files: Iterable[Path]) -> None:
    """Keep files with a run; one that cannot be kept is told of, and the run is none the worse."""
    for file in files:
        try:
            client.log_artifact(run, str(file))
        except Exception as error:
            logger.warning("warning: %s was not kept by MLflow: %s", file, error)


def log_study(experiment: str, store: Path, files: Iterable[Path]) -> None:
    """Keep a study's report, as a run called `report` of its experiment."""
    client = open_client(store)
    number = experiment_of(client, experiment, store)
    known = client.search_runs([number], "attributes.run_name = 'report'", max_results=1)
    run = known[0].info.run_id if known else client.create_run(number, run_name="report").info.run_id
    log_files(client, run, files)
    client.set_terminated(run, "FINISHED")
