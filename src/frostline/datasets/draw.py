"""Labels drawn on their images, and a contact sheet: to be looked at before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.datasets.dataset import Dataset, label_path, load_dataset
from frostline.datasets.pixels import full_scale, read_stored
from frostline.datasets.rows import Row, read_rows
from frostline.errors import InputError, did_you_mean
from frostline.files import written_beside
from frostline.imaging import write_png8
from frostline.imaging.parallel import each

SHEET_IMAGES = 24
SHEET = "contact-sheet.png"
_TILE = (360, 240)
_COLUMNS = 4
_CAPTION = 18
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
    drawn: dict[Path, int] = {}
    problems: list[str] = []
    for done, (job, outcome) in enumerate(each(_draw, jobs, workers), start=1):
        if isinstance(outcome, OSError):
            reason = outcome.strerror or outcome
            raise InputError(f"{out}: cannot be written ({reason}); make room or choose another folder") from outcome
        if isinstance(outcome, Exception):
            problems.append(str(outcome))
        else:
            drawn[job.place], wrong = outcome
            problems += wrong
        if progress:
            progress(done, len(jobs))
    places = [job.place for job in jobs if job.place in drawn]
    if not places:
        raise InputError(f"{dataset.yaml}: none of its images can be drawn, the first: {min(problems)}")
    contact_sheet(_spread(places, SHEET_IMAGES), out / SHEET, out)
    return Drawn(places, out / SHEET, sum(drawn.values()), sorted(problems))


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


def overlay(picture: NDArray[np.uint8], rows: Sequence[Row], names: dict[int, str]) -> NDArray[np.uint8]:
    """Draw boxes with their class names.

    Args:
        picture: (H, W, 3) uint8, red, green, blue.
        rows: the boxes.
        names: class id to name.

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
    scene = sv.BoxAnnotator(thickness=thick).annotate(scene, marks)
    words = sv.RichLabelAnnotator(
        font_path=_font(), font_size=max(10, round(max(width, height) / 80)), text_padding=2 * thick,
        text_color=sv.Color.BLACK,
    )  # fmt: skip
    scene = words.annotate(scene, marks, labels=[names[row.index] for row in rows])
    return np.ascontiguousarray(np.asarray(scene)[..., ::-1])


def contact_sheet(pictures: Sequence[Path], out: Path, root: Path) -> None:
    """Write small copies of pictures in rows, each with its path below `root` under it.

    Args:
        pictures: PNG files, at least one.
        out: the sheet's file.
        root: what captions leave away.
    """
    from PIL import Image, ImageDraw, ImageFont
    from PIL.PngImagePlugin import PngImageFile

    columns = min(_COLUMNS, len(pictures))
    rows = -(-len(pictures) // columns)
    width, height = _TILE
    sheet = Image.new("RGB", (columns * (width + 8) + 8, rows * (height + _CAPTION + 8) + 8), (24, 26, 30))
    pen, font = ImageDraw.Draw(sheet), ImageFont.truetype(_font(), 12)
    for number, path in enumerate(pictures):
        left, top = 8 + number % columns * (width + 8), 8 + number // columns * (height + _CAPTION + 8)
        with PngImageFile(str(path)) as opened:
            scale = min(width / opened.width, height / opened.height)
            small = opened.convert("RGB").resize(
                (max(1, round(opened.width * scale)), max(1, round(opened.height * scale)))
            )
        sheet.paste(small, (left + (width - small.width) // 2, top + (height - small.height) // 2))
        caption = path.relative_to(root).with_suffix("").as_posix()
        while font.getlength(caption) > width and len(caption) > 4:
            caption = "…" + caption.lstrip("…")[1:]
        pen.text((left, top + height + 2), caption, fill=(220, 222, 226), font=font)
    with written_beside(out) as beside:
        sheet.save(beside, format="PNG")


@dataclass(frozen=True)
class _Job:
    image: Path
    place: Path
    names: dict[int, str]


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
    return jobs if limit is None else jobs[:limit]


def _spread(items: Sequence[Path], count: int) -> list[Path]:
    if count >= len(items):
        return list(items)
    return [items[number * len(items) // count] for number in range(count)]


def _draw(job: _Job) -> tuple[int, list[str]]:
    label = label_path(job.image)
    rows, wrong = read_rows(label, len(job.names))
    write_png8(job.place, overlay(tone_map(read_stored(job.image)), rows, job.names))
    return len(rows), [f"{label}, line {line}: {what}, not drawn" for line, what in wrong]


def _font() -> str:
    """Return a font with letters of most scripts, which matplotlib brings along."""
    import matplotlib

    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
