"""Carrying a run out, read top to bottom: its stages one after the other, kept, measured and written down."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from frostline.datasets.image_cache import ImageCache
from frostline.files import leftovers, write_json
from frostline.freezing import Freeze, FreezePlan
from frostline.training.arithmetic import Arithmetic
from frostline.training.checkpoints import locate_model
from frostline.training.collect import collect_stages, measure_run
from frostline.training.decoded import keeping_images
from frostline.training.faults import reason_of, stopped
from frostline.training.lockstep import Seat
from frostline.training.machine import MemoryPeak, choose_devices, describe_device, first_device, load_average, versions
from frostline.training.preparing import Prepared, check_data, prepare
from frostline.training.pretraining.cache import Kept
from frostline.training.record import RECORD, AbandonedError, AuditError, LoggingObserver, Observer, Run
from frostline.training.resuming import what_happened
from frostline.training.spec import RunSpec, stage_folders, stage_tag
from frostline.training.stage import StageResult, StageRun, run_stage
from frostline.training.start import announce, arithmetic_on, check_folder, check_teacher
from frostline.training.threads import usable_threads
from frostline.training.tracking import Track, Tracker, tracked

logger = logging.getLogger(__name__)


def execute(
    spec: RunSpec,
    folder: Path,
    *,
    device: str | None = None,
    observer: Observer | None = None,
    prepared: Prepared | None = None,
    tag: str | None = None,
    images: ImageCache | None = None,
    seat: Seat | None = None,
    track: Track | None = None,
) -> Run:
    """Carry a run out in a folder, or what is left of it; a finished one is returned as it is.

    Args:
        spec: the run.
        folder: its folder.
        device: see `run.train`.
        observer: see `run.train`.
        prepared: what `prepare` returned, if it was called already.
        tag: see `run.train`.
        images: keeps decoded images for several runs; by default the run keeps its own.
        seat: its place among runs in lockstep; by default it runs by itself.
        track: what a tracker keeps it as, or None.

    Raises:
        InputError: see `prepare` and `arithmetic_on`; or the folder is taken.
        AuditError: see the class.
        StoppedError: a full disk, vanished files, memory or a loss that is no number ended it.
    """
    observer = observer or LoggingObserver()
    known = check_folder(spec, folder)
    if known is not None and known.status == "finished":
        observer.say(f"{folder} is finished already")
        return known
    chosen = choose_devices(device)
    lead = first_device(chosen)
    prepared = prepared or prepare(spec, check_data(spec.data_file), folder)
    check_teacher(prepared.teacher, known)
    arithmetic = arithmetic_on(chosen, spec, prepared, tracked=track is not None)
    announce(spec, prepared, chosen, arithmetic, observer)
    memory = MemoryPeak(lead)
    record = _first_record(spec, prepared, chosen, arithmetic, _together(known, seat))
    earlier = float(known.record.get("wall_seconds", 0.0)) if known is not None else 0.0
    stages = stage_folders(folder, len(spec.plan.stages))
    for part in (*leftovers(folder), *leftovers(folder / "weights")):  # of a run of several stages, too
        part.unlink(missing_ok=True)
    clock = time.perf_counter if seat is None else seat.seconds
    with (
        tracked(track, folder, record) as tracker,
        _recorded(folder, stages, record, memory, earlier, clock),
    ):
        with _images(spec, folder, prepared, images) as kept:
            results = _stages(spec, folder, chosen, memory, observer, tag, prepared, arithmetic, kept, seat, tracker)
            record |= collect_stages(spec, folder, results, prepared, observer.say)
            record |= measure_run(spec, folder, lead, prepared.imgsz, kept)
        record["status"] = "finished" if record["audit"] == "PASS" else "failed"
    if record["audit"] != "PASS":
        raise AuditError(f"{folder}: the audit failed; see {folder / 'audit.json'}")
    return Run(folder, record)


def _first_record(
    spec: RunSpec, prepared: Prepared, device: str, arithmetic: Arithmetic, together: list[str]
) -> dict[str, Any]:
    """Return what `run.json` holds when a run begins."""
    return {
        "schema": 1,
        **spec.to_dict(),
        "status": "running",
        "imgsz": prepared.imgsz,
        "freeze_depth": depth_of(spec.plan, prepared.freezes),
        "pixels": prepared.pixels.to_dict(),
        "teacher_fingerprint": prepared.teacher,
        "device": describe_device(device),
        "arithmetic": arithmetic.to_dict(),
        "threads": usable_threads(),
        "load_average": {"start": load_average(), "end": None},
        "together": together,
        "pretraining": pretraining_record(spec),
        "versions": versions(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


@contextmanager
def _recorded(
    folder: Path,
    stages: list[Path],
    record: dict[str, Any],
    memory: MemoryPeak,
    earlier: float,
    clock: Callable[[], float],
) -> Iterator[None]:
    """Write `run.json` when a run begins and when it ends, in whatever way it ends."""
    started = clock()
    memory.start()

    def close() -> None:
        record["wall_seconds"] = round(earlier + clock() - started, 3)
        record["load_average"]["end"] = load_average()
        record["peak_memory"] = memory.read()
        record.update(what_happened(stages))
        write_json(folder / RECORD, record)

    try:
        write_json(folder / RECORD, record)
        yield
    except AbandonedError:  # the folder is another process's by now
        raise
    except BaseException as error:
        told = stopped(error, folder)
        record["status"] = "failed" if isinstance(told, Exception) else "interrupted"
        if isinstance(told, Exception):
            record["reason"] = reason_of(told)[:500]
        try:
            close()
        except OSError as second:  # a full disk, say: what ended the run is what its user must know
            logger.error("%s: not written (%s); it still says that the run goes on", folder / RECORD, second.strerror)
        if told is error:
            raise
        raise told from error
    close()


def _together(known: Run | None, seat: Seat | None) -> list[str]:
    """Name the runs that this one is, or was before an interruption, in lockstep with, itself among them."""
    before = known.record.get("together") or [] if known is not None else []
    return list(dict.fromkeys([*before, *(seat.names if seat is not None else ())]))


def _images(
    spec: RunSpec, folder: Path, prepared: Prepared, shared: ImageCache | None
) -> AbstractContextManager[ImageCache | None]:
    if shared is not None:
        return nullcontext(shared)
    return keeping_images(spec.settings, folder, prepared.images, prepared.imgsz, prepared.pixels)


def pretraining_record(spec: RunSpec) -> dict[str, Any] | None:
    """Return where a run's pretrained checkpoint lies and what its record says of how it came about."""
    kept = Kept.open(Path(spec.pretrained).parent) if spec.pretrained is not None else None
    if kept is None:
        return None
    told = ("key", "image_count", "conversion", "model_changes", "loss", "wall_seconds", "versions")
    return {"checkpoint": str(kept.checkpoint), **{key: kept.record.get(key) for key in told}}


def depth_of(plan: FreezePlan, freezes: Sequence[Freeze]) -> int | None:
    """Return a run's freeze depth: leading layers frozen all the time, or None where there is no one such number."""
    if any(stage.scheduled for stage in plan.stages):
        return None
    depths = {freeze.depth for freeze in freezes}
    return depths.pop() if len(depths) == 1 else None


def _stages(
    spec: RunSpec,
    folder: Path,
    device: str,
    memory: MemoryPeak,
    observer: Observer,
    tag: str | None,
    prepared: Prepared,
    arithmetic: Arithmetic,
    images: ImageCache | None,
    seat: Seat | None,
    tracker: Tracker | None,
) -> list[StageResult]:
    stages = spec.plan.stages
    results: list[StageResult] = []
    teacher = locate_model(spec.teacher) if spec.teacher is not None else None
    for number, stage in enumerate(stages, 1):
        before = sum(s.epochs or 0 for s in stages[: number - 1])

        def on_epoch(done: int, _total: int, metrics: dict[str, float], before: int = before) -> None:
            observer.epoch(before + done, spec.epochs, metrics)

        results.append(
            run_stage(
                StageRun(
                    number=number,
                    folder=stage_folders(folder, len(stages))[number - 1],
                    stage=stage,
                    tag=stage_tag(tag or spec.arm, number, len(stages)),
                    model=spec.start[0] if number == 1 else str(results[-1].weights.resolve()),
                    weights=spec.start[1] if number == 1 else None,
                    data=spec.data,
                    data_here=spec.data_here,
                    seed=spec.seed,
                    settings={**spec.stage_settings(stage), "imgsz": prepared.imgsz},
                    device=device,
                    freeze_fresh=spec.plan.freeze_fresh,
                    exact=spec.exact_resume,
                    teacher=str(Path(teacher).resolve()) if teacher is not None else None,
                    teacher_print=prepared.teacher,
                    arithmetic=arithmetic,
                    images=images,
                    seat=seat,
                    callbacks=tracker.stage(number, len(stages)) if tracker is not None else {},
                    trust=spec.trust,
                ),
                memory,
                on_epoch,
                observer.say,
            )
        )
    return results
