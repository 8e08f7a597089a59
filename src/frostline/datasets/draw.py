"""Labels drawn on their images, and a contact sheet: to be looked at before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from frostline.datasets.dataset import Dataset, label_path, load_dataset
from frostline.datasets.pixels import full_scale, read_picture
from frostline.datasets.rows import Row, read_rows
from frostline.errors import InputError, did_you_mean
from frostline.files import written_beside
from frostline.imaging import write_png8
from frostline.imaging.parallel import each

T = TypeVar("T")

SHEET_IMAGES = 24
SHEET = "contact-sheet.png"
_TILE = (480, 360)
_COLUMNS = 3
_CAPTION = 20
_GAP = 10
_COLOURS = (
    "#56B4E9",
    "#E69F00",
    "#F0E442",
    "#CC79A7",
    "#00C896",
    "#FF7A5C",
    "#B7A0FF",
    "#FFFFFF",
    "#A6D854",
    "#40E0D0",
)
"""After Okabe and Ito, so that they stay apart for eyes that do not see red or green; lighter, for dark pictures."""
_LOW, _HIGH = 0.5, 99.7
_MIDDLE = 0.4


@dataclass(frozen=True)
class Drawn:
    """What was drawn.

    Attributes:
        images: the overlays, in the order of the dataset.
        sheet: the contact sheet.
        boxes: number of boxes drawn.
        problems: one line for every image or label row that could not be drawn.
    """

    images: list[Path]
    sheet: Path
    boxes: int
    problems: list[str]


def draw_dataset(
    data: str | Path,
    out: str | Path,
    split: str | None = None,
    limit: int | None = None,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Drawn:
    """Draw the labels of a dataset on its images, as `out/<split>/<name>.png`, and `out/contact-sheet.png`.

    Args:
        data: a data.yaml.
        out: folder of the pictures; made if missing.
        split: `train`, `val` or `test`; None for all.
        limit: images at most, spread evenly over each split's list; None for all.
        workers: processes; None for one a core.
        progress: called with (images drawn, images in all).

    Raises:
        InputError: the data.yaml makes no sense, there is no such split, or `out` cannot be written.
    """
    dataset, out = load_dataset(data), Path(out)
    jobs = _jobs(dataset, out, split, limit)
    drawn: dict[Path, _Done] = {}
    problems: list[str] = []
    for done, (job, outcome) in enumerate(each(_draw, jobs, workers), start=1):
        if isinstance(outcome, OSError):
            raise _unwritable(out, outcome) from outcome
        if isinstance(outcome, Exception):
            problems.append(str(outcome))
        else:
            drawn[job.place] = outcome
            problems += outcome.wrong
        if progress:
            progress(done, len(jobs))
    places = [job.place for job in jobs if job.place in drawn]
    if not places:
        raise InputError(f"{dataset.yaml}: none of its images can be drawn, the first: {min(problems)}")
    captions = {place: place.relative_to(out).with_suffix("").as_posix() for place in places}
    tiles = [(captions[place], tile) for place in places if (tile := drawn[place].tile) is not None]
    if not tiles:
        raise InputError(f"{dataset.yaml}: none of the images of the contact sheet can be drawn, see data check")
    try:
        contact_sheet(tiles, out / SHEET)
    except OSError as error:
        raise _unwritable(out, error) from error
    return Drawn(places, out / SHEET, sum(done.boxes for done in drawn.values()), sorted(problems))


def _unwritable(out: Path, error: OSError) -> InputError:
    return InputError(f"{out}: cannot be written ({error.strerror or error}); make room or choose another folder")


def tone_map(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Turn stored pixels of any depth into a picture for the eye.

    8 bits stay as they are. Deeper ones are stretched between their 0.5th and 99.7th percentile over all channels, so
    that colours keep their balance, and then bent by one power so that the middle grey comes out neither black (linear
    light) nor white (logarithms).

    Args:
        pixels: (H, W, C) of any type; grey is repeated, a fourth channel left out.

    Returns:
        (H, W, 3) uint8 in the order red, green, blue.
    """
    colour = pixels[..., :3] if pixels.shape[2] >= 3 else np.repeat(pixels[..., :1], 3, axis=2)
    if colour.dtype == np.uint8:
        return np.ascontiguousarray(colour)
    values = np.nan_to_num(colour.astype(np.float32), posinf=full_scale(pixels), neginf=0.0)
    sample = values[:: max(1, values.shape[0] // 400), :: max(1, values.shape[1] // 400)]
    low, middle, high = np.percentile(sample, (_LOW, 50, _HIGH))
    if not high > low:
        low, high = 0.0, full_scale(pixels)
    values = np.clip((values - low) / (high - low), 0, 1)
    centre = float(np.clip((middle - low) / (high - low), 1e-4, 0.99))
    power = float(np.clip(np.log(_MIDDLE) / np.log(centre), 0.3, 1.6))
    mapped: NDArray[np.uint8] = np.rint(values**power * 255).astype(np.uint8)
    return mapped


def overlay(
    picture: NDArray[np.uint8], rows: Sequence[Row], names: dict[int, str], labels: Sequence[str] | None = None
) -> NDArray[np.uint8]:
    """Draw boxes with their class names.

    Args:
        picture: (H, W, 3) uint8, red, green, blue.
        rows: the boxes.
        names: class id to name.
        labels: what to write at each box in place of the name.

    Returns:
        A new picture of the same shape.
    """
    import supervision as sv

    height, width = picture.shape[:2]
    scene = np.ascontiguousarray(picture[..., ::-1])  # supervision's colours are those of OpenCV
    if not rows:
        return picture.copy()
    marks = sv.Detections(
        xyxy=np.array([row.box((width, height)) for row in rows], dtype=np.float32),
        class_id=np.array([row.index for row in rows]),
    )
    thick = max(1, round(max(width, height) / 640))
    colours = sv.ColorPalette.from_hex(list(_COLOURS))
    scene = sv.BoxAnnotator(color=colours, thickness=thick).annotate(scene, marks)
    size = max(10, round(max(width, height) / 80))
    words = sv.RichLabelAnnotator(
        font_path=_font(), font_size=size, text_padding=2 * thick,
        text_color=sv.Color.BLACK, color=colours,
    )  # fmt: skip
    # A name stands above its box; where that is outside the picture, it moves down to its upper edge.
    room = marks.xyxy.copy()
    room[:, 0] = np.maximum(room[:, 0], 0)
    room[:, 1] = np.maximum(room[:, 1], round(1.3 * size) + 4 * thick)
    places = sv.Detections(xyxy=room, class_id=marks.class_id)
    scene = words.annotate(scene, places, labels=list(labels or (names[row.index] for row in rows)))
    return np.ascontiguousarray(np.asarray(scene)[..., ::-1])


def contact_sheet(tiles: Sequence[tuple[str, NDArray[np.uint8]]], out: Path) -> None:
    """Write small pictures in rows, each with its caption under it.

    Args:
        tiles: caption and (H, W, 3) uint8 picture, red, green, blue, W at most 480; at least one.
        out: the sheet's file, a PNG.
    """
    from PIL import Image, ImageDraw, ImageFont

    columns = min(_COLUMNS, len(tiles))
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    heights = [max(tile.shape[0] for _, tile in row) + _CAPTION + _GAP for row in rows]
    sheet = Image.new("RGB", (columns * (_TILE[0] + _GAP) + _GAP, sum(heights) + _GAP), (24, 26, 30))
    pen, font = ImageDraw.Draw(sheet), ImageFont.truetype(_font(), 13)
    for row, bottom in zip(rows, np.cumsum(heights), strict=True):
        for column, (caption, tile) in enumerate(row):
            left, text = _GAP + column * (_TILE[0] + _GAP), caption
            while font.getlength(text) > _TILE[0] and len(text) > 4:
                text = "…" + text.lstrip("…")[1:]
            top = int(bottom) - _CAPTION - tile.shape[0]
            sheet.paste(Image.fromarray(tile), (left + (_TILE[0] - tile.shape[1]) // 2, top))
            pen.text((left, int(bottom) - _CAPTION + 1), text, fill=(220, 222, 226), font=font)
    with written_beside(out) as beside:
        sheet.save(beside, format="PNG")


@dataclass(frozen=True)
class _Job:
    image: Path
    place: Path
    names: dict[int, str]
    on_sheet: bool = False


@dataclass(frozen=True)
class _Done:
    boxes: int
    wrong: list[str]
    tile: NDArray[np.uint8] | None


def _jobs(dataset: Dataset, out: Path, split: str | None, limit: int | None) -> list[_Job]:
    if split is not None and split not in dataset.splits:
        known = ", ".join(dataset.splits)
        raise InputError(f"{dataset.yaml}: has no split '{split}', only {known}{did_you_mean(split, dataset.splits)}")
    if limit is not None and limit < 1:
        raise InputError(f"--limit {limit}: draw at least 1 image")
    chosen = {split: dataset.splits[split]} if split else dataset.splits
    total = sum(map(len, chosen.values()))
    jobs: list[_Job] = []
    for name, images in chosen.items():
        share = len(images) if limit is None else max(1, round(limit * len(images) / total))
        taken: set[Path] = set()
        for image in _spread(images, share):
            place = out / name / f"{image.stem}.png"
            if place in taken:  # equal names in two sub-folders
                place = out / name / f"{image.parent.name}_{image.stem}.png"
            taken.add(place)
            jobs.append(_Job(image, place, dataset.names))
    jobs = jobs if limit is None else jobs[:limit]
    shown = set(_spread(range(len(jobs)), SHEET_IMAGES))
    return [replace(job, on_sheet=number in shown) for number, job in enumerate(jobs)]


def _spread(items: Sequence[T], count: int) -> list[T]:
    if count >= len(items):
        return list(items)
    return [items[number * len(items) // count] for number in range(count)]


def _draw(job: _Job) -> _Done:
    import cv2

    label = label_path(job.image)
    rows, wrong = read_rows(label, len(job.names))
    picture = tone_map(read_picture(job.image))
    write_png8(job.place, overlay(picture, rows, job.names))
    tile = None
    if job.on_sheet:  # made small first and drawn on then, so that names can be read on the sheet
        height, width = picture.shape[:2]
        scale = min(_TILE[0] / width, _TILE[1] / height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        tile = overlay(np.asarray(small, dtype=np.uint8), rows, job.names)
    return _Done(len(rows), [f"{label}, line {line}: {what}, not drawn" for line, what in wrong], tile)


def _font() -> str:
    """Return a font with letters of most scripts, which matplotlib brings along."""
    import matplotlib

    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
