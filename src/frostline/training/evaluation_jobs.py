"""What is to be evaluated: runs and their checkpoints found and checked against the data, and a place chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frostline.analysis.runs import RunFolder, find_runs
from frostline.datasets import Dataset, PixelFormat, check_labels, load_dataset, pixel_format
from frostline.datasets.headers import check_images
from frostline.errors import InputError
from frostline.training.checkpoints import check_trainable, open_checkpoint, rounded_imgsz
from frostline.training.evaluation import ARGUMENTS
from frostline.training.fingerprints import data_fingerprint, file_digest
from frostline.training.predict_model import run_facts

FOLDER = "evaluations"
"""In a run folder: evaluations other than that of its best checkpoint on its validation split, each in a folder."""

BATCH, IMGSZ = 16, 640


@dataclass(frozen=True)
class Asked:
    """What the user asked for; None where the run decides. See `evaluating.evaluate`."""

    data: str | None
    split: str
    imgsz: int | None
    batch: int | None
    trust: bool
    say: Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """One checkpoint to evaluate.

    Attributes:
        run: its run folder; the checkpoint's folder where there is no run.
        weights: the checkpoint.
        dataset: to evaluate on.
        pixels: of the dataset.
        elsewhere: it is another dataset than the one that the run was trained on.
        request: `checkpoint`, `data_fingerprint`, `split`, `imgsz`, `batch`, `arguments`: with these equal, an
            evaluation is the same.
    """

    run: RunFolder
    weights: Path
    dataset: Dataset
    pixels: PixelFormat
    elsewhere: bool
    request: dict[str, Any]

    @property
    def images(self) -> list[Path]:
        """The images of the split."""
        return self.dataset.splits[self.request["split"]]

    @property
    def ordinary(self) -> bool:
        """Whether it is what every run of Frostline evaluates as it finishes: its best checkpoint on its own `val`."""
        best = self.weights.absolute() == (self.run.path / "weights" / "best.pt").absolute()
        return best and self.request["split"] == "val" and not (self.run.ours and self.elsewhere)

    @property
    def as_finished(self) -> bool:
        """Whether it is the very evaluation that is in the `run.json` of a finished run of Frostline."""
        same = self.request["imgsz"] == self.run.number("imgsz")
        same &= self.request["batch"] == self.run.number("settings", "batch")
        return self.ordinary and self.run.ours and self.run.status == "finished" and same


def find_checkpoints(target: Path, weights: str) -> list[tuple[RunFolder, Path]]:
    """Find the runs that a path means, and the checkpoint of each.

    Args:
        target: a run, arm or study folder, or a checkpoint.
        weights: `best`, `last`, or a checkpoint's path.

    Raises:
        InputError: no such thing, or no checkpoint in it.
    """
    if target.is_file():
        if target.suffix != ".pt":
            raise InputError(f"{target}: expected a run folder or a checkpoint (.pt)")
        if weights != "best":
            raise InputError(f"--weights {weights}: {target} is a checkpoint already; leave one of them out")
        folder = target.absolute().parent
        return [(RunFolder.open(folder.parent if folder.name == "weights" else folder), target)]
    alone = (target / "weights").is_dir()  # a run all the same where results.csv was not kept
    runs = [RunFolder.open(target)] if alone else find_runs([target])
    if weights not in ("best", "last"):
        path = Path(weights)
        if not path.is_file():
            raise InputError(f"--weights {weights}: no such file; expected best, last or a checkpoint")
        return [(run, path) for run in runs]
    pairs = [(run, run.path / "weights" / f"{weights}.pt") for run in runs]
    for run, path in pairs:
        if not path.is_file():
            raise InputError(f"{run.path}: there is no weights/{weights}.pt; name a checkpoint with --weights")
    return pairs


def make_job(run: RunFolder, weights: Path, asked: Asked, read: dict[str, Dataset]) -> Job:
    """Check a checkpoint against its data.

    Args:
        run: its run folder.
        weights: the checkpoint.
        asked: by the user.
        read: datasets that were read already, by name; a new one is added.

    Raises:
        InputError: the checkpoint or the data cannot be used, or they do not go together.
    """
    module = open_checkpoint(weights, asked.trust)
    check_trainable(module, weights)
    own = run.text("data") or run.arguments.get("data")
    dataset = _dataset(run, own, asked, read)
    if asked.split not in dataset.splits:
        raise InputError(f"{dataset.yaml}: has no '{asked.split}:' split; it has {', '.join(dataset.splits)}")
    _check_names(weights, getattr(module, "names", None) or {}, dataset)
    facts, pixels = run_facts(weights), pixel_format(dataset)
    if facts.pixels is not None and facts.pixels.scale != pixels.scale:
        asked.say(
            f"warning: {weights} was trained on {facts.pixels.kind} images ({facts.pixels.encoding}), and "
            f"{dataset.yaml} has {pixels.kind} ({pixels.encoding}): what comes out means little"
        )
    imgsz, note = rounded_imgsz(asked.imgsz or facts.imgsz or IMGSZ, module)
    if note:
        asked.say(note)
    settings = run.value("settings") or run.arguments
    given = settings.get("batch")
    request = {
        "checkpoint": {"path": str(weights.absolute()), "sha256": file_digest(weights)},
        "data_fingerprint": data_fingerprint(dataset, asked.split),
        "split": asked.split,
        "imgsz": imgsz,
        "batch": asked.batch or (given if isinstance(given, int) and given > 0 else BATCH),
        "arguments": {key: value for key, value in settings.items() if key in ARGUMENTS and value is not None},
    }
    elsewhere = asked.data is not None and (own is None or Path(str(own)).absolute() != dataset.yaml.absolute())
    return Job(run, weights, dataset, pixels, elsewhere, request)


def choose_folder(job: Job, out: Path | None) -> Path:
    """Choose where an evaluation goes: to `out`, beside what a plain run has, or to a folder of its own in the run's.

    Raises:
        InputError: a checkpoint in no run folder without `out`, or an `out` that is a run of Frostline.
    """
    if out is not None:
        if (out / "run.json").is_file():
            raise InputError(f"--out {out}: is a run of Frostline, whose files stay as they are; name another folder")
        return out
    if not (job.run.path / "weights").is_dir():
        raise InputError(f"{job.weights}: lies in no run folder; say where to write with --out")
    if job.ordinary and not job.run.ours:
        return job.run.path
    place = [job.dataset.yaml.parent.name] if job.elsewhere else []
    return job.run.path / FOLDER / "_".join([job.request["split"], job.weights.stem, *place])


def _dataset(run: RunFolder, own: object, asked: Asked, read: dict[str, Dataset]) -> Dataset:
    named = own if asked.data is None else asked.data
    if not isinstance(named, str):
        raise InputError(f"{run.path}: nothing says what data it was trained on; give it with --data data.yaml")
    if named not in read:
        try:
            dataset = load_dataset(named)
            check_images([image for images in dataset.splits.values() for image in images])
            check_labels(dataset)
        except InputError as error:
            told = "" if asked.data else f"{run.path}: the data it was trained on cannot be used, give --data: "
            raise InputError(f"{told}{error}") from error
        read[named] = dataset
    return read[named]


def _check_names(weights: Path, names: Any, dataset: Dataset) -> None:
    detected = {int(k): str(v) for k, v in (names if isinstance(names, dict) else dict(enumerate(names))).items()}
    if detected != dataset.names:
        mine, theirs = (
            f"{len(table)} ({', '.join(list(table.values())[:5])}{', ...' if len(table) > 5 else ''})"
            for table in (detected, dataset.names)
        )
        raise InputError(
            f"{weights}: detects other classes, {mine}, than {dataset.yaml} has, {theirs}; give with --data the "
            "data that it was trained on"
        )
