"""What is handed in to SLURM: submitit's executor with a study's settings, and the script that it writes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frostline.errors import InputError
from frostline.studies.executors.slurmfile import SlurmSettings
from frostline.studies.executors.slurmqueue import FOLDER, JobState, QueueError, Submissions
from frostline.training.threads import ASKED_THREADS

if TYPE_CHECKING:
    from frostline.studies.study import Study


def sbatch_script(study: Study, device: str | None) -> str:
    """Return the script that the runs of a study which are not finished would be submitted with.

    Args:
        study: the study; nothing of it is written, and SLURM need not be on this machine.
        device: asked for, or None.

    Raises:
        InputError: there is nothing to submit, or see `make_submitit`.
    """
    folder = study.folder.absolute()
    name = job_name(study.file.name)
    executor = make_submitit(folder, name, slurm_settings(study.file.slurm))
    waiting = [planned for planned in study.runs() if not planned.finished]
    try:
        known: dict[str, JobState] = dict(Submissions(folder).states())
    except QueueError as error:
        raise InputError(f"on: slurm: {error}; it is asked as runs of this study were submitted before") from error
    count = sum(not (planned.label in known and known[planned.label].active) for planned in waiting)
    if count == 0:
        raise InputError(f"{folder}: nothing to submit: every run is finished or in the queue")
    check_device(device)
    if count > 1:
        executor.parameters["map_count"] = count
    return str(executor._make_submission_file_text(executor._submitit_command_str, ""))


def make_submitit(folder: Path, name: str, settings: SlurmSettings) -> Any:
    """Make submitit's executor.

    Args:
        folder: the study's.
        name: of the jobs.
        settings: what they ask for.

    Raises:
        InputError: submitit is not installed, or the folder cannot be named to SLURM.
    """
    try:
        from submitit.slurm.slurm import SlurmExecutor as Base
    except ImportError as error:
        raise InputError("on: slurm: submitit is not installed; pip install 'frostline[slurm]'") from error
    if re.search(r"[%\\]", str(folder)) or not str(folder).isprintable():
        raise InputError(
            f"{folder}: SLURM reads '%' and '\\' in the names of logs as patterns; choose another --project"
        )

    class Anywhere(Base):  # type: ignore[misc]
        """Makes scripts where there is no SLURM, too."""

        @classmethod
        def affinity(cls) -> int:
            return 2

    executor = Anywhere(folder=folder / FOLDER, max_num_timeout=settings.max_timeouts)
    executor.update_parameters(**settings.parameters(name))
    return executor


def slurm_settings(settings: SlurmSettings | None) -> SlurmSettings:
    """Return a study's settings.

    Raises:
        InputError: it has none.
    """
    if settings is None:
        raise InputError(
            "on: slurm: the study file says nothing of it; give at least `slurm: {time: 12:00:00}`, the time that a "
            "job gets; examples/slurm.yaml has the rest"
        )
    return settings


def check_device(device: str | None) -> None:
    """Refuse several devices: a run of SLURM has those of its job.

    Raises:
        InputError: there are several.
    """
    if device is not None and "," in device:
        raise InputError(f"--device {device}: SLURM deals out devices, as `gres` under `slurm:` asks; leave it out")


def job_name(name: str) -> str:
    """Return what jobs of a study are called."""
    return f"frostline-{name}"


@contextmanager
def clean_environment() -> Iterator[None]:
    """Hide from jobs what is true of this process alone: they are given its environment.

    Importing Ultralytics has set OMP_NUM_THREADS to 1, which would hold in the jobs; and a job that hands in others
    would pass its own limits on.
    """
    from submitit.helpers import clean_env

    inside = "SLURM_JOB_ID" in os.environ
    conf = os.environ.get("SLURM_CONF")
    threads = os.environ.pop("OMP_NUM_THREADS", None) if ASKED_THREADS is None else None
    try:
        if not inside:
            yield
            return
        with clean_env():
            if conf is not None:
                os.environ["SLURM_CONF"] = conf
            yield
    finally:
        if threads is not None:
            os.environ["OMP_NUM_THREADS"] = threads
