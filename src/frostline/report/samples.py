"""Arms side by side on the validation images where they disagree most, as a figure and as a part of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frostline.errors import InputError
from frostline.report.pictures import Album, Picture, Scan, encode
from frostline.report.sampling import (
    NO_BEST,
    Counts,
    Detector,
    Mark,
    common_seeds,
    rank_images,
)

if TYPE_CHECKING:
    from frostline.analysis.evidence import Evidence
    from frostline.analysis.panels import Advance

COUNT = 12
PICTURE_BYTES = 1_800_000
"""Of all pictures together: a third more as text in the page, and below 3 MB with the boxes."""
_TRIES = 4
_HEADLINE = ("metrics", "ultralytics/mAP50-95")


@dataclass(frozen=True)
class SampleArm:
    """An arm of the sheet.

    Attributes:
        name: the arm.
        seed: of the run that is drawn.
        threshold: only detections above this confidence count, in [0, 1].
        album: which of an image's pictures is the arm's own.
    """

    name: str
    seed: int | None
    threshold: float
    album: int


@dataclass(frozen=True)
class Sample:
    """One validation image.

    Attributes:
        name: as in the predictions, without the suffix.
        disagreement: see `sampling.rank_images`.
        pictures: one for each data set of the arms.
        truths: what is labelled, by the first arm's data set.
        marks: what each arm finds, invents and misses, in the order of `Samples.arms`.
        counts: the same in numbers.
    """

    name: str
    disagreement: float
    pictures: tuple[Picture, ...]
    truths: tuple[Mark, ...]
    marks: tuple[tuple[Mark, ...], ...]
    counts: tuple[Counts, ...]


@dataclass(frozen=True)
class Samples:
    """The sheet; without samples where it cannot be made.

    Attributes:
        arms: in the order of the study.
        samples: the images, those of most disagreement first.
        shown: names of the arms in the order in which a figure takes them: the baseline, the best, the others.
        how: how images were chosen and boxes judged, for people.
        notes: what else to know: arms and images that were left out, one line each.
        problem: why there is no sheet; empty where there is one.
    """

    arms: tuple[SampleArm, ...] = ()
    samples: tuple[Sample, ...] = ()
    shown: tuple[str, ...] = ()
    how: str = ""
    notes: tuple[str, ...] = field(default=())
    problem: str = ""


def gather_samples(evidence: Evidence, count: int = COUNT, advance: Advance = lambda *_: None) -> Samples:
    """Choose the images where arms disagree most and read them.

    Args:
        evidence: of the runs; the arms of its first panel are shown, as only they saw the same images.
        count: images at most.
        advance: see `analysis.evidence.Advance`.

    Returns:
        The sheet. Where predictions, the data set or its images are missing, `problem` says so in one line.
    """
    if not evidence.panels:
        return Samples(problem="No sample images: no run has predictions (predictions.parquet).")
    panel = evidence.panels[0]
    seeds = common_seeds(panel.scorers)
    detectors, albums, notes = _with_pictures(
        [Detector.of(arm, seed, panel.runs[arm][seed], panel.scorers[arm][seed]) for arm, seed in seeds.items()]
    )
    if not detectors:
        return Samples(problem=f"No sample images: {notes[0]}.")
    used = list(dict.fromkeys(data for _, data in detectors))
    ranked = rank_images([detector for detector, _ in detectors])
    names = detectors[0][0].boxes.images
    scans, unread = _read(ranked, names, [albums[data] for data in used], count, advance)
    if not scans:
        return Samples(problem=f"No sample images: {unread[0] if unread else 'there are no images'}.")
    if unread:
        few = len(unread) == 1
        notes.append(
            f"{len(unread)} {'image was passed over' if few else 'images were passed over, the first'}: {unread[0]}"
        )
    flat = encode([scan for _, _, row in scans for scan in row], PICTURE_BYTES)
    arms = tuple(SampleArm(one.arm, one.seed, one.threshold, used.index(data)) for one, data in detectors)
    samples = tuple(
        _sample(image, value, row, flat[at * len(used) : (at + 1) * len(used)], detectors, arms)
        for at, (image, value, row) in enumerate(scans)
    )
    twins = _twins(arms, samples)
    notes += [f"arm {arm} has the same boxes as {other}" for arm, other in twins.items()]
    shown = _shown(evidence, [arm.name for arm in arms if arm.name not in twins]) + tuple(twins)
    return Samples(arms, samples, shown, _how(arms, len(ranked), len(samples)), tuple(notes))


def _with_pictures(
    detectors: Sequence[Detector],
) -> tuple[list[tuple[Detector, str]], dict[str, Album], list[str]]:
    """Keep the arms whose data set can be read; with the data sets, and a line for each that cannot."""
    arms: dict[str, list[Detector]] = {}
    for detector in detectors:
        data = detector.run.text("data") or str(detector.run.arguments.get("data") or "")
        arms.setdefault(data, []).append(detector)
    albums: dict[str, Album] = {}
    notes = []
    for data, those in arms.items():
        album = _album(data)
        if isinstance(album, Album):
            albums[data] = album
        else:
            notes.append(f"no pictures of {', '.join(one.arm for one in those)} ({album})")
    home = {detector.arm: data for data, those in arms.items() for detector in those}
    return [(one, home[one.arm]) for one in detectors if home[one.arm] in albums], albums, notes


def _album(data: str) -> Album | str:
    if not data:
        return "its run does not name a data set"
    try:
        return Album(data)
    except (InputError, OSError, ValueError) as error:
        return str(error)


def _read(
    ranked: Sequence[tuple[int, float]],
    names: Sequence[str],
    albums: Sequence[Album],
    count: int,
    advance: Advance,
) -> tuple[list[tuple[int, float, list[Scan]]], list[str]]:
    """Read the first images of a ranking that can be read in every data set; and why others could not."""
    scans: list[tuple[int, float, list[Scan]]] = []
    unread: list[str] = []
    wanted = min(count, len(ranked))
    for image, value in ranked:
        if len(scans) == wanted or len(unread) == _TRIES * count:  # a folder that is gone is not searched to its end
            break
        try:
            scans.append((image, value, [album.scan(names[image]) for album in albums]))
        except KeyError:
            unread.append(f"{names[image]} is not among the validation images of its data.yaml")
        except (InputError, OSError, ValueError) as error:
            unread.append(str(error))
        advance("reading sample images", len(scans), wanted)
    return scans, unread


def _sample(
    image: int,
    value: float,
    scans: Sequence[Scan],
    pictures: Sequence[Picture],
    detectors: Sequence[tuple[Detector, str]],
    arms: Sequence[SampleArm],
) -> Sample:
    sizes = [scans[arm.album].size for arm in arms]
    first = detectors[0][0]
    return Sample(
        name=first.boxes.images[image],
        disagreement=value,
        pictures=tuple(pictures),
        truths=first.truths(image, sizes[0]),
        marks=tuple(one.marks(image, size) for (one, _), size in zip(detectors, sizes, strict=True)),
        counts=tuple(one.counts(image) for one, _ in detectors),
    )


def _twins(arms: Sequence[SampleArm], samples: Sequence[Sample]) -> dict[str, str]:
    """Name the arms whose boxes are all those of an arm before them, as a plan that froze nothing in the end has."""
    first: dict[tuple[tuple[Mark, ...], ...], str] = {}
    twins = {}
    for at, arm in enumerate(arms):
        other = first.setdefault(tuple(one.marks[at] for one in samples), arm.name)
        if other != arm.name:
            twins[arm.name] = other
    return twins


def _shown(evidence: Evidence, names: Sequence[str]) -> tuple[str, ...]:
    """Order arms for a figure that has not room for all: the baseline, the best mAP50-95, the others as they come."""
    first = [name for name in names if name == evidence.baseline]
    scores: Mapping[str, float] = {
        name: sum(values) / len(values)
        for name in names
        if (values := [v for run in evidence.runs_of(name) if (v := run.number(*_HEADLINE)) is not None])
    }
    rest = [name for name in names if name not in first]
    best = max((name for name in rest if name in scores), key=lambda name: scores[name], default=None)
    return tuple(dict.fromkeys([*first, *([best] if best else []), *rest]))


def _how(arms: Sequence[SampleArm], images: int, shown: int) -> str:
    """Say how images were chosen and how boxes were judged."""
    seeds = {arm.seed for arm in arms}
    measure = (
        "with most misses and false positives"
        if len(arms) == 1
        else "on which arms disagree most (over all pairs of arms: truths that only one of the two found, plus the "
        "difference between their numbers of false positives)"
    )
    which = (
        f"all {images} validation images, first those"
        if shown == images
        else f"the {shown} of {images} validation images"
    )
    text = f"Shown are {which} {measure}; ties by name."
    text += (
        " Detections count above the confidence of each arm's own best F1, matched at IoU 0.50 by Ultralytics' rules."
    )
    if any(arm.threshold == NO_BEST for arm in arms):
        text += f" An arm that finds nothing at any confidence is shown above {NO_BEST}."
    if seeds == {None}:
        return text
    if len(seeds) == 1:
        return f"{text} Seed {next(iter(seeds))}, the lowest that all arms have."
    drawn = ", ".join(f"{arm.name} {'without' if arm.seed is None else arm.seed}" for arm in arms)
    return f"{text} The arms share no seed; the lowest of each: {drawn}."
