"""Carrying out the runs of a study here, one after the other or in lockstep. One that fails does not stop the others.

Each run is claimed first: what another process carries out is left to it, and waited for at the end.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from frostline.datasets.image_cache import ImageCache
from frostline.studies.claims import LOOK_SECONDS, Claims, TakenError
from frostline.studies.logs import log_of, logged
from frostline.studies.planned import PlannedRun
from frostline.studies.pretraining import Pretrainings
from frostline.studies.together import Group, LabelledObserver, ObserverOf, group_runs, run_together
from frostline.training import CheckedData, Observer, Prepared, Run, RunSpec, execute, prepare
from frostline.training.faults import reason_of
from frostline.training.lockstep import Seat
from frostline.training.machine import choose_device, first_device
from frostline.training.pretraining.run import OnStep
from frostline.training.record import AbandonedError
from frostline.training.stopping import interrupt
from frostline.training.tracking import Track

logger = logging.getLogger(__name__)
OnRun = Callable[[int, int, PlannedRun], None]


class OtherError(RuntimeError):
    """A run that failed in another process, which carried it out meanwhile."""


@dataclass
class StudyOutcome:
    """What a call of `Study.run` came to.

    Attributes:
        finished: runs that are finished now, those from before included.
        failed: label and reason of each run that failed in this call.
        elsewhere: labels of runs that are still to be carried out, by jobs that were submitted.
    """

    finished: list[Run] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every run of the study is finished."""
        return not self.failed and not self.elsewhere


@dataclass
class Carrier:
    """Carries out the runs of one study.

    Attributes:
        folder: the study's.
        runs: all of them.
        prepared: by arm, as `Study.prepare` gives it.
        pretrainings: the study's.
        device: see `training.train`.
        observer: told how it goes.
        on_run: called before each run with (its number from 1, how many, the run).
        on_step: told how pretrainings go, or None.
        images: keeps decoded images for all runs, or None.
        keep_log: write what each run says into its log, too.
        track: the tracker that keeps the runs, or None.
        experiment: what it keeps them as.
    """

    folder: Path
    runs: Sequence[PlannedRun]
    prepared: Mapping[str, tuple[PlannedRun, CheckedData, Prepared]]
    pretrainings: Pretrainings
    device: str | None
    observer: Observer
    on_run: OnRun | None
    on_step: OnStep | None
    images: ImageCache | None = None
    keep_log: bool = True
    track: str | None = None
    experiment: str = ""

    def __post_init__(self) -> None:
        self.claims = Claims(self.folder)

    def in_turn(self) -> StudyOutcome:
        """Carry the runs out one after the other."""
        return self._outcome({planned.label: self._alone(planned) for planned in self.runs})

    def one(self, planned: PlannedRun) -> Run:
        """Carry a single run out.

        Raises:
            TakenError: another process does.
        """
        return self._carry_out(planned, self.observer)

    def together(self, observer_of: ObserverOf | None = None) -> StudyOutcome:
        """Carry out in lockstep those that can share their batches, and the others one after the other.

        Args:
            observer_of: gives each run in lockstep its observer; by default one that names it in every line.
        """
        device = choose_device(self.device)
        observer_of = observer_of or (lambda planned: LabelledObserver(planned.label, self.observer.say))
        done = {planned.label: self._alone(planned) for planned in self.runs if planned.finished}
        waiting = [planned for planned in self.runs if planned.label not in done]
        for group in group_runs(waiting, self.prepared, device):
            if len(group.runs) > 1:
                done |= self._in_lockstep(group, observer_of, device)
            else:
                self.observer.say(f"{group.runs[0].label} runs alone: {group.why_alone}")
                done[group.runs[0].label] = self._alone(group.runs[0])
        return self._outcome(done)

    def _outcome(self, done: dict[str, Run | Exception]) -> StudyOutcome:
        self._wait_for_others(done)
        outcome = StudyOutcome()
        for planned in self.runs:
            result = done[planned.label]
            if isinstance(result, Run):
                outcome.finished.append(result)
            else:
                outcome.failed.append((planned.label, reason_of(result)))
        return outcome

    def _wait_for_others(self, done: dict[str, Run | Exception]) -> None:
        """Wait until every run that others carry out has ended; one that they let go of is carried out here."""
        others = [planned for planned in self.runs if isinstance(done[planned.label], TakenError)]
        if others:
            self.observer.say(f"waiting for {', '.join(planned.label for planned in others)}, which others carry out")
        while others:
            time.sleep(LOOK_SECONDS)
            for planned in [one for one in others if self.claims.holder(one.label) is None]:
                run = Run.open(planned.folder)
                if run is not None and run.status == "failed":
                    done[planned.label] = OtherError(f"by another process: {run.record.get('reason', 'no reason')}")
                else:
                    done[planned.label] = self._alone(planned)
                if not isinstance(done[planned.label], TakenError):
                    others.remove(planned)

    def _alone(self, planned: PlannedRun) -> Run | Exception:
        if self.on_run is not None:
            number = next(index for index, one in enumerate(self.runs, 1) if one is planned)
            self.on_run(number, len(self.runs), planned)
        try:
            return self._carry_out(planned, self.observer)
        except (TakenError, AbandonedError) as error:
            self.observer.say(f"{planned.label} is {error}")
            return error if isinstance(error, TakenError) else TakenError(str(error))
        except Exception as error:
            return self._failed(planned, error)
        finally:
            gc.collect()

    def _in_lockstep(self, group: Group, observer_of: ObserverOf, device: str) -> dict[str, Run | Exception]:
        done: dict[str, Run | Exception] = {}
        for planned in group.runs:
            try:
                self._pretrained(planned)
            except Exception as error:
                done[planned.label] = self._failed(planned, error)
        group = Group(tuple(planned for planned in group.runs if planned.label not in done))
        if len(group.runs) < 2:
            return done | {planned.label: self._alone(planned) for planned in group.runs}
        self.observer.say(f"in lockstep: {', '.join(planned.label for planned in group.runs)}")
        results = run_together(group, self._carry_out, observer_of, device)
        for planned in group.runs:
            result = results[planned.label]
            if isinstance(result, TakenError | AbandonedError):
                done[planned.label] = TakenError(str(result))
            else:
                done[planned.label] = self._failed(planned, result) if isinstance(result, Exception) else result
        return done

    def _failed(self, planned: PlannedRun, error: Exception) -> Exception:
        logger.debug("run %s failed", planned.label, exc_info=error)
        self.observer.say(f"{planned.label} failed: {reason_of(error)}")
        return error

    def _pretrained(self, planned: PlannedRun) -> tuple[RunSpec, Prepared]:
        """Carry out the pretraining that a run starts from, if it has one."""
        _, checked, ready = self.prepared[planned.spec.arm]
        spec = self.pretrainings.settle(planned.spec)
        if spec.pretrain is not None and not planned.finished:
            device = first_device(self.device) if self.device else None
            spec = self.pretrainings.carry_out(spec, device, self.observer.say, self.on_step)
            ready = prepare(spec, checked, self.folder)
        return spec, ready

    def _carry_out(self, planned: PlannedRun, observer: Observer, seat: Seat | None = None) -> Run:
        if planned.finished:  # nothing is written then
            ready = self.prepared[planned.spec.arm][2]
            spec = self.pretrainings.settle(planned.spec)
            return execute(spec, planned.folder, device=self.device, observer=observer, prepared=ready)
        log = log_of(self.folder, planned.label) if self.keep_log else None
        with self.claims.take(planned.label).kept(interrupt) as check, logged(observer, check, log) as told:
            spec, ready = self._pretrained(planned)
            return execute(
                spec,
                planned.folder,
                device=self.device,
                observer=told,
                prepared=ready,
                images=self.images,
                seat=seat,
                track=Track(self.track, self.experiment, planned.label) if self.track is not None else None,
            )
