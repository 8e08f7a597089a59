"""A study on disk: its file, its runs, and where they stand. What carries them out is imported when it is asked to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frostline.errors import InputError
from frostline.files import holds_files, read_yaml
from frostline.studies.claims import Claims
from frostline.studies.executors.choosing import Place
from frostline.studies.file import NO_TEACHER, PLACES, StudyFile
from frostline.studies.planned import PlannedRun
from frostline.studies.standing import RunState, state_of
from frostline.training import Run, RunSpec
from frostline.training.spec import differences

if TYPE_CHECKING:
    from frostline.studies.carrying import OnRun, StudyOutcome
    from frostline.studies.driving import OnLook
    from frostline.studies.pretraining import Pretrainings
    from frostline.studies.starting import PreparedArms
    from frostline.studies.together import ObserverOf
    from frostline.training import Observer
    from frostline.training.pretraining.run import OnStep

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

    @cached_property
    def pretrainings(self) -> Pretrainings:
        """What arms are pretrained on; kept beside the folder, as studies share it."""
        from frostline.studies.pretraining import Pretrainings

        return Pretrainings(self.folder.parent / "pretrain")

    @classmethod
    def look(cls, folder: str | Path) -> Study:
        """Open a study that was begun to see where it stands, not to run it.

        Its training arguments and paths were checked when it began, and are taken as they stand in its folder. Asking
        Ultralytics about them again would import torch, which takes longer than to read 500 runs. Where they do not
        stand there whole, it is asked.

        Raises:
            InputError: no study in this folder, or not one of this version.
        """
        path = Path(folder)
        if not (path / FILE).is_file():
            raise InputError(f"{path}: no {FILE} in this folder")
        return cls(StudyFile.from_yaml(path / FILE, begun=True), path)

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
        return [self.planned(arm, seed) for seed in self.file.seeds for arm in self.file.arms]

    def planned(self, name: str, seed: int) -> PlannedRun:
        """Return the run of an arm with a seed."""
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

    def prepare(self, on_step: OnStep | None = None, arms: Collection[str] | None = None) -> PreparedArms:
        """Check every arm against model, data and disk before anything is written.

        Args:
            on_step: told of the images of pretrainings, which are hashed and decoded; see `OnStep`.
            arms: the only ones to look at; by default all.

        Returns:
            By arm: its first run, its data, and what it freezes.

        Raises:
            InputError: see `training.prepare` and `Pretrainings`; or arms whose datasets do not pair by image name.
        """
        from frostline.studies.starting import prepare_study

        return prepare_study(self, on_step, arms)

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
        from frostline.studies.starting import run_study

        return run_study(
            self, device=device, observer=observer, on_run=on_run, on_step=on_step, together=together,
            observer_of=observer_of, on=on, on_look=on_look, track=track, ray=ray, wait=wait,
        )  # fmt: skip

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
        from frostline.training.tracking import check_tracker

        return check_tracker(self.file.track if track is None else track)

    def begin(self, device: str | None, on_step: OnStep | None = None, tracked: bool = False) -> PreparedArms:
        """Check everything, and write the study's file into its folder.

        Args:
            device: that the runs are on, or None where another machine chooses it.
            on_step: see `prepare`.
            tracked: a tracker keeps the runs.

        Raises:
            InputError: see `prepare` and `arithmetic_on`. Nothing was written then.
        """
        from frostline.studies.starting import begin_study

        return begin_study(self, device, on_step, tracked)

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
        from frostline.studies.starting import run_one

        return run_one(self, arm, seed, device=device, observer=observer, track=track, place_of=place_of)

    def states(self) -> list[RunState]:
        """Tell where every run stands, from what is on disk."""
        claims = Claims(self.folder)
        return [state_of(planned, claims) for planned in self.runs()]


def _comparable(file: dict[str, Any]) -> dict[str, Any]:
    """Leave out what decides where the runs are carried out: another place gives the same study."""
    return {key: value for key, value in file.items() if key not in PLACES}
