"""A study on disk: its file, its runs, and the loop that carries out what is missing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from frostline.datasets.image_cache import ImageCache
from frostline.errors import InputError
from frostline.files import holds_files, read_yaml, write_text
from frostline.studies.carrying import Carrier, OnRun, StudyOutcome
from frostline.studies.claims import Claims
from frostline.studies.driving import OnLook
from frostline.studies.elsewhere import run_elsewhere
from frostline.studies.executors.choosing import Place
from frostline.studies.file import NO_TEACHER, PLACES, StudyFile
from frostline.studies.pairing import check_pairing
from frostline.studies.planned import PlannedRun
from frostline.studies.pretraining import Pretrainings
from frostline.studies.standing import RunState, state_of
from frostline.studies.together import ObserverOf
from frostline.training import CheckedData, Observer, Prepared, Run, RunSpec, check_data, prepare
from frostline.training.decoded import keeping_images
from frostline.training.machine import choose_device, choose_devices, quick_collections
from frostline.training.pretraining.run import OnStep
from frostline.training.record import LoggingObserver
from frostline.training.room import check_disk
from frostline.training.spec import differences
from frostline.training.start import arithmetic_on
from frostline.training.tracking import check_tracker

FILE = "study.yaml"


class Study:
    """A study file and the folder its runs are kept in.

    Args:
        file: the study.
        folder: its folder; it may not exist yet.
        trust: open checkpoints without the restricted loader.

    Example:
        >>> study = Study.from_yaml("study.yaml")  # doctest: +SKIP
        >>> study.run().complete  # doctest: +SKIP
        True
    """

    def __init__(self, file: StudyFile, folder: str | Path, trust: bool = False) -> None:
        self.file = file
        self.folder = Path(folder)
        self.trust = trust
        self.places: dict[str, str] = {}  # copies of datasets on this machine's own disk
        self.pretrainings = Pretrainings(self.folder.parent / "pretrain")  # beside it: studies share them

    @classmethod
    def from_yaml(cls, path: str | Path, folder: str | Path | None = None, trust: bool = False) -> Study:
        """Open a study by its file or by its folder.

        Args:
            path: a study file, or a folder that holds one.
            folder: where its runs are kept; by default `runs/<name>` for a file, and the folder itself for a folder.
            trust: see the class.

        Raises:
            InputError: see `StudyFile.from_yaml`.
        """
        path = Path(path)
        if path.is_dir():
            if not (path / FILE).is_file():
                raise InputError(f"{path}: no {FILE} in this folder")
            return cls(StudyFile.from_yaml(path / FILE), folder or path, trust)
        file = StudyFile.from_yaml(path)
        return cls(file, folder or Path("runs") / file.name, trust)

    def runs(self) -> list[PlannedRun]:
        """Return every run, all arms of the first seed before the second seed's."""
        return [self._planned(arm, seed) for seed in self.file.seeds for arm in self.file.arms]

    def _planned(self, name: str, seed: int) -> PlannedRun:
        arm = self.file.arms[name]
        teacher = arm.teacher or self.file.teacher
        spec = RunSpec(
            arm=name,
            model=arm.model or self.file.model,
            weights=arm.weights or (None if arm.model else self.file.weights),
            data=arm.data or self.file.data,
            plan=arm.plan,
            settings=self.file.train,
            seed=seed,
            trust=self.trust,
            exact_resume=self.file.exact_resume,
            teacher=None if teacher == NO_TEACHER else teacher,
            pretrain=arm.pretrain,
            data_here=self.places.get(arm.data or self.file.data),
        )
        return PlannedRun(spec, self.folder / name / f"seed{seed}")

    def check_folder(self) -> None:
        """Make sure that the folder is new or holds this very study.

        Raises:
            InputError: it holds another study (the differences are listed) or something else.
        """
        if not self.folder.exists() or (self.folder.is_dir() and not holds_files(self.folder)):
            return
        there = self.folder / FILE
        if not there.is_file():
            raise InputError(f"{self.folder} exists and is not a study; choose another --project")
        old = read_yaml(there, "the study's file")
        changed = differences(_comparable(old if isinstance(old, dict) else {}), _comparable(self.file.to_dict()))
        if changed:
            more = f"; and {len(changed) - 5} more" if len(changed) > 5 else ""
            raise InputError(
                f"{self.folder} holds a study with other settings ({'; '.join(changed[:5])}{more}); "
                "choose another --project"
            )

    def prepare(
        self, on_step: OnStep | None = None, arms: Collection[str] | None = None
    ) -> dict[str, tuple[PlannedRun, CheckedData, Prepared]]:
        """Check every arm against model, data and disk before anything is written.

        Args:
            on_step: told of the images of pretrainings, which are hashed and decoded; see `OnStep`.
            arms: the only ones to look at; by default all.

        Returns:
            By arm: its first run, its data, and what it freezes.

        Raises:
            InputError: see `training.prepare` and `Pretrainings`; or arms whose datasets do not pair by image name.
        """
        self.check_folder()
        data: dict[str, CheckedData] = {}
        built: dict[Any, Any] = {}
        found = {}
        for name in self.file.arms:
            if arms is not None and name not in arms:
                continue
            planned = self._planned(name, self.file.seeds[0])
            if planned.spec.data not in data:
                data[planned.spec.data] = check_data(planned.spec.data_file)
            checked = data[planned.spec.data]
            try:
                planned = replace(planned, spec=self.pretrainings.settle(planned.spec, on_step))
                if not all(self._planned(name, seed).finished for seed in self.file.seeds):
                    self.pretrainings.check(planned.spec)
                found[name] = (planned, checked, prepare(planned.spec, checked, self.folder, built))
            except InputError as error:
                raise InputError(f"arm {name}: {error}") from error
        check_pairing(list(data.items()))
        check_disk(self.folder, sum(p.disk_bytes for _, _, p in found.values()) * len(self.file.seeds))
        return found

    def run(
        self,
        *,
        device: str | None = None,
        observer: Observer | None = None,
        on_run: OnRun | None = None,
        on_step: OnStep | None = None,
        together: bool = False,
        observer_of: ObserverOf | None = None,
        on: str | None = None,
        on_look: OnLook | None = None,
        track: str | None = None,
        ray: Mapping[str, Any] | None = None,
        wait: bool = True,
    ) -> StudyOutcome:
        """Carry out every run that is not finished. A failed run does not stop the others.

        Runs that another process carries out at the moment are left to it, and waited for.

        Args:
            device: see `training.train`.
            observer: told how each run goes; by default the log.
            on_run: called before each run with (its number from 1, how many, the run), but for those in lockstep.
            on_step: told how pretrainings go; see `OnStep`.
            together: train runs that can share their batches in lockstep; the results are the same.
            observer_of: gives each run in lockstep its observer; by default `observer` is told, with the run's name.
            on: where to, such as `processes:2`; by default as the study's file says.
            on_look: told twice a second where runs in other processes stand.
            track: `mlflow`, `tensorboard` or `wandb` keep the runs, too, `none` keeps them nowhere else; by default as
                the study's file says.
            ray: settings of `RaySettings` in place of the study's file's.
            wait: for jobs of SLURM; else they are submitted and left alone, and the outcome names them.

        Raises:
            InputError: see `prepare`; nothing was started then.
        """
        tracker = self.tracker(track)
        if tracker in ("wandb", "tensorboard") and together:
            raise InputError(f"{tracker} has one run open in a process: use either --together or --track {tracker}")
        place = self.place(on)
        if ray and place.kind != "ray":
            raise InputError(f"{', '.join(sorted(ray))}: for runs on a Ray cluster: use it with --on ray")
        if place.kind != "here":
            if together:
                raise InputError("runs train in lockstep in one process: use either --together or --on")
            return run_elsewhere(
                self, place, device, observer or LoggingObserver(), on_step=on_step, on_look=on_look, track=tracker,
                ray=ray, wait=wait,
            )  # fmt: skip
        prepared = self.begin(
            (choose_device if together else choose_devices)(device), on_step, tracked=tracker is not None
        )
        carrier = Carrier(
            self.folder,
            self.runs(),
            prepared,
            self.pretrainings,
            device,
            observer or LoggingObserver(),
            on_run,
            on_step,
            track=tracker,
            experiment=self.file.name,
        )
        with quick_collections(), self._images(prepared) as carrier.images:
            return carrier.together(observer_of) if together else carrier.in_turn()

    def place(self, on: str | None = None) -> Place:
        """Return where the runs are carried out.

        Args:
            on: see `run`.

        Raises:
            InputError: no such place.
        """
        try:
            return Place.parse(self.file.on if on is None else on)
        except ValueError as error:
            raise InputError(str(error)) from error

    def tracker(self, track: str | None = None) -> str | None:
        """Return the tracker that keeps the runs, or None.

        Args:
            track: see `run`.

        Raises:
            InputError: no such tracker, or it is not installed.
        """
        return check_tracker(self.file.track if track is None else track)

    def begin(
        self, device: str | None, on_step: OnStep | None = None, tracked: bool = False
    ) -> dict[str, tuple[PlannedRun, CheckedData, Prepared]]:
        """Check everything, and write the study's file into its folder.

        Args:
            device: that the runs are on, or None where another machine chooses it.
            on_step: see `prepare`.
            tracked: a tracker keeps the runs.

        Raises:
            InputError: see `prepare` and `arithmetic_on`. Nothing was written then.
        """
        prepared = self.prepare(on_step)
        for planned, _, ready in prepared.values():
            if device is None:
                break
            arithmetic_on(device, planned.spec, ready, tracked=tracked)
        if not (self.folder / FILE).exists():
            write_text(self.folder / FILE, self.file.to_yaml())
        Claims(self.folder).tidy()
        return prepared

    def run_one(
        self,
        arm: str,
        seed: int,
        *,
        device: str | None = None,
        observer: Observer | None = None,
        track: str | None = None,
        place_of: Callable[[str], str] | None = None,
    ) -> Run:
        """Carry out a single run of a study that was begun, as a process that was started for it does.

        Args:
            arm: its arm.
            seed: its seed.
            device: see `training.train`.
            observer: see `training.train`.
            track: see `training.train`.
            place_of: from a data.yaml to a copy of it on this machine's own disk.

        Raises:
            InputError: see `prepare`; or there is no such run.
            TakenError: another process carries it out.
        """
        planned = next((one for one in self.runs() if (one.spec.arm, one.spec.seed) == (arm, seed)), None)
        if planned is None:
            raise InputError(f"{self.folder}: no run {arm}/seed{seed}")
        if place_of is not None and not planned.finished:
            self.places[planned.spec.data] = place_of(planned.spec.data)
            planned = self._planned(arm, seed)
        carrier = Carrier(
            self.folder,
            [planned],
            self.prepare(arms=[arm]),
            self.pretrainings,
            device,
            observer or LoggingObserver(),
            on_run=None,
            on_step=None,
            keep_log=False,
            track=check_tracker(track),
            experiment=self.file.name,
        )
        return carrier.one(planned)

    def _images(
        self, prepared: dict[str, tuple[PlannedRun, CheckedData, Prepared]]
    ) -> AbstractContextManager[ImageCache | None]:
        """Keep decoded images for all runs together."""
        data = {planned.spec.data: ready for planned, _, ready in prepared.values()}.values()
        largest = max(data, key=lambda ready: ready.images)
        count = sum(ready.images for ready in data)
        return keeping_images(self.file.train, self.folder, count, largest.imgsz, largest.pixels)

    def states(self) -> list[RunState]:
        """Tell where every run stands, from what is on disk."""
        claims = Claims(self.folder)
        return [state_of(planned, claims) for planned in self.runs()]


def _comparable(file: dict[str, Any]) -> dict[str, Any]:
    """Leave out what decides where the runs are carried out: another place gives the same study."""
    return {key: value for key, value in file.items() if key not in PLACES}
