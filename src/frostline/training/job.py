"""What a trainer must know to carry out one stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frostline.datasets.image_cache import ImageCache
from frostline.freezing import Stage
from frostline.training.arithmetic import Arithmetic
from frostline.training.lockstep import Seat
from frostline.training.machine import MemoryPeak
from frostline.training.progress import Progress
from frostline.training.tracking.quiet import all_callbacks

if TYPE_CHECKING:
    from frostline.training.several import Post

CARRIED = "frostline"
"""Where a job stands among a trainer's callbacks. No event of Ultralytics is called that."""


@dataclass(frozen=True)
class StageJob:
    """What the trainer must know beside Ultralytics' arguments.

    Attributes:
        stage: the stage to carry out.
        tag: stands in the summary line that is printed before training.
        freeze_fresh: freeze tensors that did not come from the checkpoint, too.
        progress: of an interrupted stage that is resumed, else None.
        memory: told to sample after every optimizer step.
        on_epoch: called with (epochs done, epochs in all, validation metrics) after every epoch.
        say: called with a line for the user.
        exact: keep what resuming to the bit needs; see `training.exact`.
        teacher: fingerprint of the teacher's checkpoint, or None without one.
        arithmetic: how the network computes.
        images: keeps images decoded, or None.
        direct_mosaic: see `datasets.build.build_split`.
        features: file to keep the frozen backbone's outputs in, or None.
        seat: its place among runs in lockstep, or None.
        callbacks: of a tracker, by Ultralytics' event.
        notes: what its user was told about its checkpoints before.
        data_here: a copy of the data.yaml that is read in its place, or None.
        fill_memory: see `arithmetic.filling_memory`.
        post: takes what a process of several tells the run, or None in a run of one process.
    """

    stage: Stage
    tag: str
    freeze_fresh: bool
    progress: Progress | None
    memory: MemoryPeak
    on_epoch: Callable[[int, int, dict[str, float]], None]
    say: Callable[[str], None]
    exact: bool = False
    teacher: str | None = None
    arithmetic: Arithmetic = field(default_factory=Arithmetic)
    images: ImageCache | None = None
    direct_mosaic: bool = False
    features: Path | None = None
    seat: Seat | None = None
    callbacks: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    data_here: str | None = None
    fill_memory: bool = True
    post: Post | None = None

    def carried(self) -> dict[str, list[Any]]:
        """Return the callbacks of a trainer that carries this job out."""
        found: dict[str, list[Any]] = all_callbacks(self.callbacks)
        found[CARRIED] = [self]
        return found
