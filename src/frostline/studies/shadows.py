"""Shadow robustness of the runs of a study: what they find in each light, and what shadows cast anew take from them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.analysis.evidence import baseline_of, study_of
from frostline.analysis.lighting import LightScorer, shade_shares
from frostline.analysis.matching import Boxes, read_boxes
from frostline.analysis.panels import Advance, LeftOut, paired_by_stem
from frostline.analysis.predictions import Predictions, read_predictions, write_predictions
from frostline.analysis.runs import RunFolder
from frostline.analysis.stress import StressScorer
from frostline.datasets import Dataset, load_dataset
from frostline.datasets.sources import LightSource, LightSources, find_sources
from frostline.errors import InputError
from frostline.files import read_json, write_json
from frostline.imaging import read_grey, read_linear
from frostline.imaging.lighting import (
    ESTIMATE_BOUNDS,
    MASK_BOUNDS,
    USUAL_ISD,
    ShadeMap,
    light_classes,
    shade_of_image,
    shade_of_mask,
)
from frostline.studies.shadowrecord import Scored, record_of
from frostline.studies.stressed import Shadows, StressedData, make_stressed
from frostline.training.evaluation import evaluate_checkpoint
from frostline.training.evaluation_jobs import Asked, Job, make_job
from frostline.training.machine import choose_device, loader_workers

FOLDER, RECORD = "shadows", "shadows.json"
_PREDICTIONS = "predictions.parquet"
Say = Callable[[str], None]


@dataclass(frozen=True)
class ShadowOptions:
    """How runs are evaluated.

    Attributes:
        source: folder of the linear or sRGB images that converted datasets came from; None to go by `chroma.json`.
        masks: folder of shadow masks; None takes those of rendered scenes, else light is estimated on the source.
        bounds: shares in shadow where `moderate` begins and `heavy` begins; None for those of the method.
        shadows: to cast for the stress test; None leaves it out.
        baseline: arm to compare with; None for the one called so, else the one that freezes nothing.
        device: `cpu`, `mps` or a GPU's number; None for the first GPU, else the CPU.
        draws: of images, for the intervals.
        confidence: of the intervals, in (0, 1).
        workers: processes that work on images; None for one a core.
        trust: open checkpoints without the restricted loader.
    """

    source: Path | None = None
    masks: Path | None = None
    bounds: tuple[float, float] | None = None
    shadows: Shadows | None = field(default_factory=Shadows)
    baseline: str | None = None
    device: str | None = None
    draws: int = 1000
    confidence: float = 0.95
    workers: int | None = None
    trust: bool = False


@dataclass(frozen=True)
class ReadRun:
    """A run whose predictions were read, its images named without suffix."""

    run: RunFolder
    predictions: Predictions
    boxes: Boxes
    sizes: Mapping[str, tuple[float, float]]
    data: str

    @property
    def seed(self) -> int | None:
        """The run's seed."""
        return self.run.seed


def evaluate_shadows(
    runs: Sequence[RunFolder],
    folder: Path,
    options: ShadowOptions,
    *,
    say: Say = lambda _: None,
    advance: Advance = lambda *_: None,
) -> dict[str, Any]:
    """Evaluate runs by light and under shadows that were not there, and write everything below a folder.

    Stressed images and evaluations that are there already, of the same files and parameters, are used again.

    Args:
        runs: what `find_runs` gives. Those that are not finished, or have no predictions, are named and left out.
        folder: where to: `shadows.json`, `stressed/` with the images, `<arm>/seed<k>.parquet` with the detections.
        options: see `ShadowOptions`.
        say: told what is done, a line each.
        advance: told how far it is; see `Advance`.

    Returns:
        The content of `shadows.json`: see docs/commands/shadows-evaluate.md.

    Raises:
        InputError: no run that counts, a dataset whose light nothing tells, or options out of range.
    """
    if options.bounds is not None:
        light_classes([], options.bounds)
    if options.draws < 100 or not 0 < options.confidence < 1:
        raise InputError(f"{options.draws} draws at confidence {options.confidence:g}; expected 100 or more, in (0, 1)")
    choose_device(options.device)
    read, left_out = read_runs(runs)
    if not read:
        raise InputError(f"{runs[0].path}: no run can be evaluated: {left_out[0].reason}" if left_out else "no runs")
    baseline = baseline_of(options.baseline, [one.run for one in read])
    sources = _sources(read, options)
    stressed: dict[int, Predictions] = {}
    data: dict[str, StressedData] = {}
    if options.shadows is not None:
        data = _stress_data(sources, folder, options.shadows, options.workers, advance)
        stressed, failed = _stress_runs(read, data, folder, options, say, advance)
        left_out += failed
    scored = []
    for group in panels(read, baseline):
        light = _light(group, sources, options, advance)
        stress = _stress(group, stressed, data, advance)
        scored.append(Scored(light, stress, *_method(group, sources, options)))
    record = record_of(scored, read, left_out, baseline, options, advance)
    write_json(folder / RECORD, record)
    return record


def shadows_folder(runs: Sequence[RunFolder], given: Sequence[Path]) -> Path:
    """Choose where the evaluation of some runs goes: to their study, else to the one folder that was given.

    Raises:
        InputError: several folders of no one study.
    """
    study, _ = study_of(runs)
    if study is not None:
        return study / FOLDER
    if len(given) == 1:
        return given[0] / FOLDER
    raise InputError(f"{len(given)} folders of no one study: say where to write with --out")


def read_runs(runs: Sequence[RunFolder]) -> tuple[list[ReadRun], list[LeftOut]]:
    """Read the predictions of all runs that are finished; the others are named with the reason."""
    read, left_out = [], []
    for run in runs:
        data = run.text("data") or run.arguments.get("data")
        if not run.counts:
            left_out.append(LeftOut(run, f"{run.status}, not finished"))
        elif not (run.path / _PREDICTIONS).is_file():
            left_out.append(LeftOut(run, f"no {_PREDICTIONS}; 'frostline evaluate {run.path}' makes one"))
        elif not isinstance(data, str):
            left_out.append(LeftOut(run, "nothing says what data it was trained on"))
        else:
            try:
                predictions, _ = paired_by_stem(read_predictions(run.path / _PREDICTIONS))
            except InputError as error:
                left_out.append(LeftOut(run, str(error)))
                continue
            rows = predictions.frame.filter(predictions.frame["kind"] == "image").select("image", "x2", "y2").rows()
            sizes = {name: (width, height) for name, width, height in rows}
            read.append(ReadRun(run, predictions, read_boxes(predictions), sizes, data))
    return read, left_out


def panels(read: Sequence[ReadRun], baseline: str | None) -> list[list[ReadRun]]:
    """Sort runs into groups on the same images, classes and number of truths; that of the baseline comes first."""
    groups: dict[Any, list[ReadRun]] = {}
    for one in read:
        truths = np.bincount(one.boxes.truth_image, minlength=len(one.boxes.images)).tobytes()
        groups.setdefault((one.boxes.images, one.boxes.names, truths), []).append(one)
    return sorted(groups.values(), key=lambda group: -sum(one.run.arm == baseline for one in group))


def _sources(read: Sequence[ReadRun], options: ShadowOptions) -> dict[str, LightSources]:
    """Find the light of every dataset. Without a stress test one of those that share images is enough."""
    found: dict[str, LightSources] = {}
    errors = []
    datasets: dict[str, Dataset] = {one.data: load_dataset(one.data) for one in read}
    for name, dataset in datasets.items():
        try:
            found[name] = find_sources(dataset, options.source, options.masks)
        except InputError as error:
            errors.append(error)
    if errors and (options.shadows is not None or not found):
        raise errors[0]
    return found


def _stress_data(
    sources: Mapping[str, LightSources], folder: Path, shadows: Shadows, workers: int | None, advance: Advance
) -> dict[str, StressedData]:
    made: dict[str, StressedData] = {}
    taken: set[str] = set()
    for name, source in sources.items():
        if any(image.source is None for image in source.images):
            raise InputError(
                f"{source.dataset.yaml}: shadows are cast on the images that it came from; give their folder with"
                " --source, or leave the stress test out with --no-stress"
            )
        base = source.dataset.yaml.parent.name or "data"
        key = next(key for key in (base, *(f"{base}-{n}" for n in range(2, 999))) if key not in taken)
        taken.add(key)
        made[name] = make_stressed(source, folder / "stressed" / key, shadows, workers=workers, advance=advance)
    return made


def _stress_runs(
    read: Sequence[ReadRun], data: Mapping[str, StressedData], folder: Path, options: ShadowOptions, say: Say,
    advance: Advance,
) -> tuple[dict[int, Predictions], list[LeftOut]]:  # fmt: skip
    """Evaluate every run on its stressed images; a run that fails is named and the others go on."""
    done: dict[int, Predictions] = {}
    failed = []
    datasets: dict[str, Dataset] = {}
    for number, one in enumerate(read):
        advance("evaluating on stressed images", number, len(read))
        seed = "run" if one.seed is None else f"seed{one.seed}"
        place = folder / one.run.arm / f"{seed}.parquet"
        try:
            asked = Asked(str(data[one.data].data), "val", None, None, options.trust, say)
            weights = one.run.path / str(one.run.value("best", "weights") or "weights/best.pt")
            job = make_job(one.run, weights, asked, datasets)
            predictions = _evaluated(job, data[one.data], place, options.device)
            done[id(one)] = paired_by_stem(predictions)[0]
        except InputError as error:
            failed.append(LeftOut(one.run, f"no stress test: {error}"))
    advance("evaluating on stressed images", len(read), len(read))
    return done, failed


def _evaluated(job: Job, data: StressedData, place: Path, device: str | None) -> Predictions:
    """Return the detections of a checkpoint on stressed images, from the file if it is of the same ones."""
    mark = place.with_suffix(".json")
    request = json.loads(json.dumps({**job.request, "images": data.signature}))
    request["checkpoint"] = request["checkpoint"]["sha256"]
    if place.is_file() and mark.is_file():
        try:
            if read_json(mark) == request:
                return read_predictions(place)
        except (ValueError, InputError):
            pass  # cut off or of another version: made again
    chosen = choose_device(device)
    with tempfile.TemporaryDirectory() as scratch:
        found = evaluate_checkpoint(
            job.weights, job.dataset.yaml, imgsz=job.request["imgsz"], batch=job.request["batch"], device=chosen,
            folder=Path(scratch), workers=loader_workers(None, chosen), arguments=job.request["arguments"], quiet=True,
        )  # fmt: skip
    mark.unlink(missing_ok=True)  # it marks what is whole: an old one must not stand beside new detections
    write_predictions(place, found.frame, found.settings)
    write_json(mark, request)
    return read_predictions(place)


def _lit_by(group: Sequence[ReadRun], sources: Mapping[str, LightSources]) -> LightSources:
    """Choose whose light sorts the boxes of a panel: one for all its arms, with masks before without."""
    known = [sources[one.data] for one in group if one.data in sources]
    if not known:
        raise InputError(f"{group[0].data}: nothing tells its light; give --source or --masks")
    return next((one for one in known if one.method == "mask"), known[0])


def _method(
    group: Sequence[ReadRun], sources: Mapping[str, LightSources], options: ShadowOptions
) -> tuple[str, str, tuple[float, float]]:
    """Name the method, say it in words, and give its bounds."""
    light = _lit_by(group, sources)
    bounds = options.bounds or (MASK_BOUNDS if light.method == "mask" else ESTIMATE_BOUNDS)
    if light.method == "mask":
        return "mask", "share of the box in shadow, counted on shadow masks", bounds
    pixels = "linear or sRGB source" if not light.own else "images themselves"
    return "estimate", f"share of the box in shadow, estimated on the {pixels}", bounds


def _light(
    group: Sequence[ReadRun], sources: Mapping[str, LightSources], options: ShadowOptions, advance: Advance
) -> dict[str, dict[int | None, LightScorer]]:
    light = _lit_by(group, sources)
    _, _, bounds = _method(group, sources, options)
    images = {image.name: image for image in light.images}
    shares = shade_shares(
        [one.boxes for one in group], [one.sizes for one in group],
        _one_at_a_time(lambda name: _shade(_image(images, name, group), light.method)),
        advance=lambda done, total: advance("sorting boxes by light", done, total),
    )  # fmt: skip
    scorers: dict[str, dict[int | None, LightScorer]] = {}
    for one, share in zip(group, shares, strict=True):
        classes = (light_classes(part, bounds) for part in (share.detections, share.truths))
        scorer = LightScorer(one.boxes, one.predictions.settings.max_det, *classes)
        scorers.setdefault(one.run.arm, {})[one.seed] = scorer
    return scorers


def _stress(
    group: Sequence[ReadRun], stressed: Mapping[int, Predictions], data: Mapping[str, StressedData], advance: Advance
) -> dict[str, dict[int | None, StressScorer]]:
    scorers: dict[str, dict[int | None, StressScorer]] = {}
    for name in dict.fromkeys(one.data for one in group if id(one) in stressed):
        runs = [one for one in group if one.data == name and id(one) in stressed]
        masks = data[name].masks
        shares = shade_shares(
            [one.boxes for one in runs], [one.sizes for one in runs],
            _one_at_a_time(lambda image, masks=masks: shade_of_mask(read_grey(masks[image]))),  # type: ignore[misc]
            detections=False, advance=lambda done, total: advance("finding the shadows' edges", done, total),
        )  # fmt: skip
        for one, share in zip(runs, shares, strict=True):
            scorer = StressScorer(one.boxes, read_boxes(stressed[id(one)]), share.truths)
            scorers.setdefault(one.run.arm, {})[one.seed] = scorer
    return {arm: scorers[arm] for arm in dict.fromkeys(one.run.arm for one in group) if arm in scorers}


def _image(images: Mapping[str, LightSource], name: str, group: Sequence[ReadRun]) -> LightSource:
    if name not in images:
        raise InputError(f"{group[0].data}: has no validation image {name}, which the runs were evaluated on")
    return images[name]


def _shade(image: LightSource, method: str) -> ShadeMap:
    if method == "mask":
        assert image.mask is not None
        return shade_of_mask(read_grey(image.mask))
    assert image.source is not None
    isd = image.record.isd if image.record is not None and image.record.isd is not None else USUAL_ISD
    return shade_of_image(read_linear(image.source), isd)


def _one_at_a_time(read: Callable[[str], ShadeMap]) -> Callable[[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Keep the map of one image in memory, as boxes are looked up image by image."""
    kept: dict[str, ShadeMap] = {}

    def shares(name: str, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        if name not in kept:
            kept.clear()
            kept[name] = read(name)
        return kept[name].shares(boxes)

    return shares
