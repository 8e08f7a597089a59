"""Arms side by side on the validation images where they disagree most, as a figure and as a part of the page."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

from frostline.errors import InputError
from frostline.report.pictures import Album, Picture, Scan, encode
from frostline.report.sampling import (
    MOST_FALSE,
    NO_BEST,
    Counts,
    Detector,
    Mark,
    common_seeds,
    image_key,
    rank_images,
)

if TYPE_CHECKING:
    from frostline.analysis.evidence import Evidence

logger = logging.getLogger(__name__)

COUNT = 12
PICTURE_BYTES = 1_800_000
"""Of all pictures together: a third more as text in the page, and below 3 MB with the boxes."""
_TRIES = 4


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


def gather_samples(
    evidence: Evidence, count: int = COUNT, advance: Callable[[int, int], None] | None = None
) -> Samples:
    """Choose the images where arms disagree most and read them.

    Args:
        evidence: of the runs; the arms of its first panel are shown, as only they saw the same images.
        count: images at most.
        advance: called with (images read, images in all).

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
        return Samples(problem=f"No sample images: {notes[0]}." if notes else "No sample images: no arm has runs.")
    used = list(dict.fromkeys(data for _, data in detectors))
    ranked = rank_images([detector for detector, _ in detectors])
    scans, unread = _read(ranked, [albums[data] for data in used], count, advance)
    if not scans:
        reason = unread[0] if unread else "the arms have no image in common"
        return Samples(problem=f"No sample images: {reason}.")
    if unread:
        notes.append(f"{len(unread)} images were passed over, the first: {unread[0]}")
    flat = encode([scan for _, _, row in scans for scan in row], PICTURE_BYTES)
    arms = tuple(SampleArm(one.arm, one.seed, one.threshold, used.index(data)) for one, data in detectors)
    samples = tuple(
        _sample(key, value, row, flat[at * len(used) : (at + 1) * len(used)], detectors, arms)
        for at, (key, value, row) in enumerate(scans)
    )
    return Samples(arms, samples, _shown(evidence, arms), _how(arms, len(ranked), len(samples)), tuple(notes))


def samples_html(view: Samples) -> str:
    """Render the sheet as a part of a page, which needs `samples_css` and `samples_js` once each.

    Args:
        view: what `gather_samples` gives; where it has a `problem`, that is all there is to see.
    """
    import jinja2

    # Names of arms, classes and files come from outside: everything that the template inserts is escaped.
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(_package_file("templates/samples.html.j2"))
    first, second = _first_pair(view)
    return template.render(view=view, data=page_data(view), first=first, second=second, most_false=MOST_FALSE)


def samples_css() -> str:
    """Return the style sheet of `samples_html`."""
    return _package_file("static/samples.css")


def samples_js() -> str:
    """Return the script of `samples_html`."""
    return _package_file("static/samples.js")


def page_data(view: Samples) -> dict[str, Any]:
    """Give what the script draws, as plain values; boxes in ten-thousandths of the picture's width and height."""
    classes = sorted({mark.name for one in view.samples for row in (one.truths, *one.marks) for mark in row})
    index = {name: at for at, name in enumerate(classes)}

    def rows(marks: Sequence[Mark]) -> list[list[Any]]:
        return [
            [
                mark.kind,
                index[mark.name],
                None if mark.score is None else round(mark.score, 2),
                *(round(10_000 * share) for share in mark.box),
            ]
            for mark in marks
        ]

    return {
        "classes": classes,
        "arms": [{"name": arm.name, "album": arm.album, "threshold": f"{arm.threshold:.2f}"} for arm in view.arms],
        "images": [
            {
                "name": one.name,
                "size": one.pictures[0].size,
                "pictures": [_data_uri(picture) for picture in one.pictures],
                "truths": rows(one.truths),
                "marks": [rows(marks) for marks in one.marks],
                "counts": [[count.hits, count.false, count.misses] for count in one.counts],
            }
            for one in view.samples
        ],
    }


def _with_pictures(
    detectors: Sequence[Detector],
) -> tuple[list[tuple[Detector, str]], dict[str, Album], list[str]]:
    """Keep the arms whose data set can be read; with the data sets, and a line for each arm that is left out."""
    albums: dict[str, Album | str] = {}
    kept, notes = [], []
    for detector in detectors:
        data = detector.run.text("data") or str(detector.run.arguments.get("data") or "")
        if data not in albums:
            albums[data] = _album(data)
        album = albums[data]
        if isinstance(album, Album):
            kept.append((detector, data))
        else:
            notes.append(f"arm {detector.arm} has no pictures ({album})")
    return kept, {data: album for data, album in albums.items() if isinstance(album, Album)}, notes


def _album(data: str) -> Album | str:
    if not data:
        return "its run does not name a data set"
    try:
        return Album(data)
    except (InputError, OSError, ValueError) as error:
        return str(error)


def _read(
    ranked: Sequence[tuple[str, float]],
    albums: Sequence[Album],
    count: int,
    advance: Callable[[int, int], None] | None,
) -> tuple[list[tuple[str, float, list[Scan]]], list[str]]:
    """Read the first images of a ranking that can be read in every data set; and why others could not."""
    scans: list[tuple[str, float, list[Scan]]] = []
    unread: list[str] = []
    wanted = min(count, len(ranked))
    for key, value in ranked:
        if len(scans) == wanted or len(unread) == _TRIES * count:  # a folder that is gone is not searched to its end
            break
        try:
            scans.append((key, value, [album.scan(key) for album in albums]))
        except KeyError:
            unread.append(f"{key} is not among the validation images of its data.yaml")
        except (InputError, OSError, ValueError) as error:
            unread.append(str(error))
        if advance:
            advance(len(scans), wanted)
    return scans, unread


def _sample(
    key: str,
    value: float,
    scans: Sequence[Scan],
    pictures: Sequence[Picture],
    detectors: Sequence[tuple[Detector, str]],
    arms: Sequence[SampleArm],
) -> Sample:
    sizes = [scans[arm.album].size for arm in arms]
    first = detectors[0][0]
    return Sample(
        name=key,
        disagreement=value,
        pictures=tuple(pictures),
        truths=first.truths(key, sizes[0]),
        marks=tuple(one.marks(key, size) for (one, _), size in zip(detectors, sizes, strict=True)),
        counts=tuple(one.counts(key) for one, _ in detectors),
    )


def _shown(evidence: Evidence, arms: Sequence[SampleArm]) -> tuple[str, ...]:
    """Order arms for a figure that has not room for all: the baseline, the best mAP50-95, the others as they come."""
    names = [arm.name for arm in arms]
    first = [evidence.baseline] if evidence.baseline in names else []
    scores: Mapping[str, float] = {
        name: sum(values) / len(values)
        for name in names
        if (values := [v for run in evidence.runs_of(name) if (v := _headline(run)) is not None])
    }
    rest = [name for name in names if name not in first]
    best = max((name for name in rest if name in scores), key=lambda name: scores[name], default=None)
    return tuple(dict.fromkeys([*first, *([best] if best else []), *rest]))


def _headline(run: Any) -> float | None:
    value: float | None = run.number("metrics", "ultralytics/mAP50-95")
    return value


def _first_pair(view: Samples) -> tuple[int, int]:
    """Choose what the slider shows at first: the baseline and the best, or the ground truth (-1) and the only arm."""
    index = {arm.name: at for at, arm in enumerate(view.arms)}
    order = [index[name] for name in view.shown]
    return (order[0], order[1]) if len(order) > 1 else (-1, 0)


def _how(arms: Sequence[SampleArm], images: int, shown: int) -> str:
    """Say how images were chosen and how boxes were judged."""
    seeds = {arm.seed for arm in arms}
    which = f"the {shown} of {images} validation images" if shown < images else f"all {images} validation images"
    measure = (
        "with most misses and false positives"
        if len(arms) == 1
        else "on which arms disagree most (over all pairs of arms: truths that only one of the two found, plus the "
        "difference between their numbers of false positives)"
    )
    text = f"Shown are {which}, those {measure}; ties by name." if shown < images else f"Shown are {which}."
    text += " Detections count above the confidence of each arm's own best F1, matched at IoU 0.50 by Ultralytics' rules."
    if any(arm.threshold == NO_BEST for arm in arms):
        text += f" An arm that finds nothing at any confidence is shown above {NO_BEST}."
    if seeds == {None}:
        return text
    if len(seeds) == 1:
        return f"{text} Seed {next(iter(seeds))}, the lowest that all arms have."
    drawn = ", ".join(f"{arm.name} {'without' if arm.seed is None else arm.seed}" for arm in arms)
    return f"{text} The arms share no seed; the lowest of each: {drawn}."


def _data_uri(picture: Picture) -> str:
    import base64

    return "data:image/jpeg;base64," + base64.b64encode(picture.jpeg).decode("ascii")


def _package_file(name: str) -> str:
    return resources.files("frostline.report").joinpath(name).read_text(encoding="utf-8")
