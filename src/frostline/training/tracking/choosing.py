"""Which tracker, and a run kept by it from its first stage to its end."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from frostline.errors import InputError, did_you_mean
from frostline.training.tracking.base import Track, Tracker, files_of

logger = logging.getLogger(__name__)
TRACKERS = ("mlflow", "tensorboard", "wandb")


def check_tracker(name: str | None) -> str | None:
    """Make sure that a tracker is one, and is installed; None and `none` are none.

    Raises:
        InputError: it is not.
    """
    if name is None or name == "none":
        return None
    if name not in TRACKERS:
        raise InputError(
            f"track '{name}': no such tracker{did_you_mean(name, TRACKERS)}; there are {', '.join(TRACKERS)}"
        )
    if importlib.util.find_spec(name) is None:
        extra = "frostline[track]" if name != "wandb" else "wandb"
        raise InputError(f"track '{name}': it is not installed; pip install '{extra}'")
    return name


def make_tracker(track: Track, folder: Path) -> Tracker:
    """Make a tracker for a run; MLflow's default store is made beside the study or the run folders."""
    if track.tracker == "mlflow":
        from frostline.training.tracking.mlflow import MlflowTracker

        return MlflowTracker(track, folder, store_of(folder, track))
    if track.tracker == "tensorboard":
        from frostline.training.tracking.tensorboard import TensorboardTracker

        return TensorboardTracker(track, folder)
    from frostline.training.tracking.wandb import WandbTracker

    return WandbTracker(track, folder)


def store_of(folder: Path, track: Track) -> Path:
    """Return the folder that holds the study's, or the run's where there is no study."""
    up = len(Path(track.label).parts)  # arm/seed0 lies two levels below the study
    return folder.absolute().parents[up] if up > 1 else folder.absolute().parent


@contextmanager
def tracked(track: Track | None, folder: Path, record: Mapping[str, Any]) -> Iterator[Tracker | None]:
    """Keep a run with a tracker while the block runs.

    What goes wrong in a tracker is told and never ends a run.

    Args:
        track: what is tracked, or None.
        folder: the run's.
        record: of the run; read again at the end.
    """
    if track is None:
        yield None
        return
    tracker = Careful(track, folder)
    tracker.begin(_params(record))
    try:
        yield tracker
    finally:
        status = str(record.get("status", "failed"))
        tracker.end(
            status if status != "running" else "failed", _metrics(record), files_of(folder) if folder.is_dir() else []
        )


class Careful:
    """A tracker whose failures are warnings.

    Args:
        track: what is tracked.
        folder: the run's.
    """

    def __init__(self, track: Track, folder: Path) -> None:
        self._track = track
        self._folder = folder
        self._tracker: Tracker | None = None
        self._broken = False

    def _do(self, name: str, *values: Any) -> Any:
        if self._broken:
            return None
        try:
            self._tracker = self._tracker or make_tracker(self._track, self._folder)
            return getattr(self._tracker, name)(*values)
        except Exception as error:
            self._broken = True
            told = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            logger.warning("warning: this run is not tracked any longer: %s", told)
            return None

    def begin(self, params: Mapping[str, Any]) -> None:
        """See `Tracker`."""
        self._do("begin", params)

    def stage(self, number: int, count: int) -> Mapping[str, Any]:
        """See `Tracker`."""
        return self._do("stage", number, count) or {}

    def end(self, status: str, metrics: Mapping[str, float], files: list[Path]) -> None:
        """See `Tracker`."""
        self._do("end", status, metrics, files)


def _params(record: Mapping[str, Any]) -> dict[str, Any]:
    plan = {f"plan.{key}": str(value)[:500] for key, value in dict(record.get("plan") or {}).items()}
    told = ("arm", "seed", "model", "weights", "data", "freeze_depth", "device")
    return {**{f"frostline.{key}": record.get(key) for key in told}, **plan}


def _metrics(record: Mapping[str, Any]) -> dict[str, float]:
    found = dict(record.get("metrics") or {})
    found |= {"wall_seconds": record.get("wall_seconds")}
    return {key: float(value) for key, value in found.items() if isinstance(value, int | float)}


def tracking_study(tracker: str, experiment: str, folder: Path, files: list[Path]) -> None:
    """Keep a study's report with its experiment; what goes wrong is told.

    Args:
        tracker: one of `TRACKERS`; with TensorBoard there is nothing to do.
        experiment: the study's name.
        folder: the study's.
        files: the report's.
    """
    try:
        if tracker == "mlflow":
            from frostline.training.tracking import mlflow

            mlflow.log_study(experiment, folder.absolute().parent, files)
        elif tracker == "wandb":
            from frostline.training.tracking import wandb

            wandb.log_study(experiment, folder, files)
    except Exception as error:
        logger.warning("warning: the report was not kept by %s: %s", tracker, " ".join(str(error).split())[:300])
