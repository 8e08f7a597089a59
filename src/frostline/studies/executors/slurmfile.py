"""What `slurm:` in a study file says: what each job asks SLURM for, and what is done on the node before a run."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, model_validator

from frostline.errors import did_you_mean, shown

TIMES = "minutes, 12:00:00 or 1-12:00:00"
EARLY_SECONDS = 60
"""That SLURM may be early with a signal. Source: sbatch(1), `--signal`."""

_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")
_OPTION = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_OURS = frozenset(
    {"array", "error", "job-name", "nodes", "no-requeue", "ntasks", "ntasks-per-node", "open-mode", "output"}
    | {"parsable", "requeue", "signal", "test-only", "wait", "wrap"}
)
"""Options of sbatch that are not the user's: a run is one task of one job, which is requeued."""


def minutes_of(time: str) -> int:
    """Return a time limit in whole minutes, rounded up, as sbatch reads it.

    Args:
        time: `minutes`, `minutes:seconds`, `hours:minutes:seconds`, `days-hours`, `days-hours:minutes` or
            `days-hours:minutes:seconds`. Source: sbatch(1), `--time`.

    Raises:
        ValueError: none of these, or no time at all.
    """
    match = _TIME.fullmatch(time)
    if match is None:
        raise ValueError(f"expected a time such as {TIMES}, got {shown(time)}")
    days, *parts = match.groups()
    first, second, third = (int(part or 0) for part in parts)
    if days is not None:
        seconds = int(days) * 86400 + first * 3600 + second * 60 + third
    elif parts[2] is not None:
        seconds = first * 3600 + second * 60 + third
    else:
        seconds = first * 60 + second
    if seconds == 0:
        raise ValueError(f"expected a time such as {TIMES}, got {shown(time)}, which SLURM takes for no limit")
    return math.ceil(seconds / 60)


def _line(value: Any) -> str:
    """Take one line of text: what is more than a line would be read by the shell that reads the script."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"expected text, got {shown(value)}")
    text = str(value)
    if not text.strip() or not text.isprintable() or text != text.strip():
        raise ValueError(f"expected one line of text, got {shown(text)}")
    return text


def _time(value: Any) -> str:
    text = _line(value)
    minutes_of(text)
    return text


def _shell_lines(value: Any) -> tuple[str, ...]:
    lines = [value] if isinstance(value, str) else value
    if not isinstance(lines, list | tuple) or not all(isinstance(line, str) for line in lines):
        raise ValueError(f"expected lines such as [module load cuda, source env/bin/activate], got {shown(value)}")
    return tuple(lines)


def _options(value: Any) -> dict[str, str | bool]:
    if not isinstance(value, dict):
        raise ValueError(f"expected options of sbatch such as {{constraint: a100}}, got {shown(value)}")
    found: dict[str, str | bool] = {}
    for key, given in value.items():
        name = str(key)
        if _OPTION.fullmatch(name) is None or len(name) < 2:
            raise ValueError(f"{shown(name)}: expected the long name of an option of sbatch, such as constraint")
        if name in _OURS:
            raise ValueError(f"{name}: is not yours to set, as every run is a task of its own, which is requeued")
        own = name.replace("-", "_")
        if own in SlurmSettings.model_fields:
            raise ValueError(f"{name}: stands directly under slurm, as {own}")
        try:
            found[name] = True if given is True else _line(given)
        except ValueError as error:
            raise ValueError(f"{name}: {error}; an option without a value is {name}: true") from error
    return found


def _place(value: Any) -> bool | str:
    if isinstance(value, bool):
        return value
    text = _line(value)
    if not text.startswith(("/", "$")):
        raise ValueError(f"expected true, or a folder of the node such as /scratch or $TMPDIR, got {shown(text)}")
    return text


Line = Annotated[str, BeforeValidator(_line)]


class SlurmSettings(BaseModel):
    """What a study's runs ask SLURM for.

    Attributes:
        time: that a job gets at a time; a run that needs longer is requeued and goes on.
        partition: see sbatch(1), as for account, qos, gres, cpus_per_task and mem.
        account: that is charged.
        qos: quality of service.
        gres: generic resources, such as `gpu:1`.
        cpus_per_task: cores of a run; it computes with as many threads.
        mem: memory of a run, such as `32G`.
        setup: lines of shell that a job begins with, such as `module load cuda`: the only ones that are written here.
        options: any other option of sbatch by its long name; `true` for one without a value.
        at_a_time: runs at a time, or None for as many as SLURM lets run.
        warn_seconds: before the time limit, at which a run stops, is requeued and leaves.
        max_timeouts: how often a run may meet its time limit.
        stage_data: copy the dataset to the node's disk first: `true` for $SLURM_TMPDIR, or a folder of the node.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    time: Annotated[str, BeforeValidator(_time)]
    partition: Line | None = None
    account: Line | None = None
    qos: Line | None = None
    gres: Line | None = None
    cpus_per_task: int | None = Field(default=None, ge=1)
    mem: Line | None = None
    setup: Annotated[tuple[str, ...], BeforeValidator(_shell_lines)] = ()
    options: Annotated[dict[str, str | bool], PlainValidator(_options)] = Field(default_factory=dict)
    at_a_time: int | None = Field(default=None, ge=1)
    warn_seconds: int = Field(default=90, ge=1, le=65535)
    max_timeouts: int = Field(default=100, ge=0)
    stage_data: Annotated[bool | str, PlainValidator(_place)] = False

    @model_validator(mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        for key in value:
            if key not in cls.model_fields:
                more = did_you_mean(str(key), cls.model_fields)
                raise ValueError(f"no such key {shown(str(key))}{more}; other options of sbatch go under options")
        return value

    @model_validator(mode="after")
    def _in_time(self) -> SlurmSettings:
        if self.warn_seconds + EARLY_SECONDS >= self.minutes * 60:  # the signal would end a job that is just starting
            raise ValueError(
                f"time: {self.time} is too short: a job is told {self.warn_seconds} seconds (warn_seconds) before its "
                f"end, and up to {EARLY_SECONDS} earlier, as SLURM looks once a minute"
            )
        return self

    @property
    def minutes(self) -> int:
        """The time limit in minutes."""
        return minutes_of(self.time)

    def to_dict(self) -> dict[str, Any]:
        """Return what differs from the defaults, as it stands in a study file."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def describe(self) -> str:
        """Name what a job asks for, in one line."""
        told = [f"{key} {value}" for key in ("partition", "account", "qos", "gres") if (value := getattr(self, key))]
        return ", ".join([*told, f"{self.time} at a time"])

    def parameters(self, name: str) -> dict[str, Any]:
        """Return the parameters of submitit's executor.

        Args:
            name: of the jobs.
        """
        srun: list[str] = []
        if self.cpus_per_task is not None:
            # since SLURM 22.05 a step no longer has its job's cores by itself, and torch asks the machine for them
            srun = [f"--cpus-per-task={self.cpus_per_task}", f"--export=ALL,OMP_NUM_THREADS={self.cpus_per_task}"]
        return {
            "job_name": name,
            "time": self.minutes,
            **{key: getattr(self, key) for key in ("partition", "account", "qos", "gres", "cpus_per_task", "mem")},
            "setup": list(self.setup) or None,
            "signal_delay_s": self.warn_seconds,
            "stderr_to_stdout": True,
            "wckey": None,  # submitit's own is refused where they are counted
            "additional_parameters": {**self.options, "requeue": True},
            "srun_args": srun,
            **({} if self.at_a_time is None else {"array_parallelism": self.at_a_time}),
        }
