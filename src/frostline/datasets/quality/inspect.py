"""A whole dataset looked at: images in worker processes, then what only shows in all of them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from frostline.datasets.dataset import Dataset, label_path, load_dataset
from frostline.datasets.formats.yolo import NAME_FILES
from frostline.datasets.pixel_format import pixel_format
from frostline.datasets.quality.duplicates import Pair, equal_pairs, near_pairs
from frostline.datasets.quality.look import NEAR_BOX_IOU, Look, look_at
from frostline.datasets.quality.report import Finding, Pixels, Report, box_size, error, warning
from frostline.errors import InputError
from frostline.imaging.parallel import each

_EIGHT_BITS = 256
_DIM = 1 / 64
_IMBALANCE = 50


def inspect_dataset(
    data: str | Path, *, workers: int | None = None, progress: Callable[[int, int], None] | None = None
) -> Report:
    """Decode every image of a dataset, read every label, compare the splits.

    Args:
        data: a data.yaml.
        workers: processes; None for one a core.
        progress: called with (images looked at, images in all).

    Raises:
        InputError: the data.yaml, or a path in it, makes no sense. What is wrong with single files becomes a finding.
    """
    dataset = load_dataset(data)
    jobs = [(image, split, len(dataset.names)) for split, images in dataset.splits.items() for image in images]
    looks: dict[tuple[Path, str], Look] = {}
    for done, (job, outcome) in enumerate(each(look_at, jobs, workers), start=1):
        image, split, _ = job
        looks[image, split] = outcome if isinstance(outcome, Look) else Look(image, split, error=str(outcome))
        if progress:
            progress(done, len(jobs))
    return _report(dataset, [looks[image, split] for image, split, _ in jobs])


def _report(dataset: Dataset, looks: Sequence[Look]) -> Report:
    names = dataset.names
    boxes = {split: {names[i]: 0 for i in names} for split in dataset.splits}
    sizes = {names[i]: {"small": 0, "medium": 0, "large": 0} for i in names}
    for look in looks:
        for index, width, height in look.boxes:
            boxes[look.split][names[index]] += 1
            if not look.error:
                sizes[names[index]][box_size(width, height)] += 1
    shapes = Counter(f"{look.size[0]}x{look.size[1]}" for look in looks if not look.error)
    pixels = _pixels([look for look in looks if not look.error])
    found = [
        *_images(looks, shapes),
        *_format(dataset, [look for look in looks if not look.error]),
        *_labels(looks, dataset),
        *_duplicates(looks),
        *_classes(boxes),
    ]
    return Report(
        yaml=dataset.yaml,
        names=list(names.values()),
        images={split: len(images) for split, images in dataset.splits.items()},
        background={s: sum(look.split == s and not look.boxes for look in looks) for s in dataset.splits},
        boxes=boxes,
        box_sizes=sizes,
        sizes=dict(shapes.most_common()),
        pixels=pixels,
        findings=sorted(found, key=lambda item: item.level != "error"),
    )


def _pixels(looks: Sequence[Look]) -> list[Pixels]:
    found: list[Pixels] = []
    for dtype in sorted({look.dtype for look in looks}):
        of_type = [look for look in looks if look.dtype == dtype]
        least = 1.0 if np.dtype(dtype).kind in "ui" else 1e-6
        stops = [np.log2(max(look.high, least) / max(look.low, least)) for look in of_type]
        found.append(
            Pixels(
                dtype=dtype,
                channels=dict(Counter(look.channels for look in of_type).most_common()),
                images=len(of_type),
                levels=int(np.median([look.levels for look in of_type])),
                highest=max(look.high for look in of_type),
                share=float(np.median([look.share for look in of_type])),
                stops=round(float(np.median(stops)), 2),
            )
        )
    return found


def _format(dataset: Dataset, looks: Sequence[Look]) -> list[Finding]:
    """Say what training would refuse of the pixels: types, channels, and values outside the range."""
    if not looks:
        return []
    kinds = Counter(look.dtype for look in looks)
    usual = kinds.most_common(1)[0][0]
    odd = [f"{look.image} ({look.dtype})" for look in looks if look.dtype != usual]
    mixed = error("bit-depths", f"{{n}} image(s) are not {usual} as most are; a dataset must be of one type", odd)
    try:
        pixels = pixel_format(dataset)
    except InputError as problem:
        readable = any(look.image == dataset.train[0] for look in looks)  # or it is told as unreadable
        return [*mixed, *error("pixels", "the pixels cannot be trained on", [str(problem)] if readable else [])]
    if not pixels.deep:
        return mixed
    same = [look for look in looks if look.dtype == pixels.kind]
    outside = [
        f"{look.image} ({look.least:g} to {look.most:g})"
        for look in same
        if not look.not_finite and (look.least < pixels.low or look.most > pixels.high)
    ]
    odd_channels = [f"{look.image} ({look.channels})" for look in same if look.channels not in (1, 3)]
    most = max((look.most for look in same), default=0.0)
    bits = int(most).bit_length()
    narrow = pixels.kind == "uint16" and dataset.pixels is None and 10 < bits < 16  # fewer: see "dim"
    hint = (
        f"no value is above {2**bits - 1}; if they are of {bits} bits, declare 'pixels: {{range: [0, {2**bits - 1}]}}'"
    )
    return [
        *mixed,
        *error("range", f"{{n}} image(s) have values outside {pixels.low:g} to {pixels.high:g}", outside),
        *error("channels", "{n} image(s) have neither one channel nor three", odd_channels),
        *warning("unused-bits", hint, [dataset.yaml] if narrow else []),
    ]


def _images(looks: Sequence[Look], shapes: Counter[str]) -> list[Finding]:
    good = [look for look in looks if not look.error]
    deep = [look for look in good if look.dtype not in {"uint8", "int8"}]
    holes = [look.image for look in good if look.not_finite]
    flat = [look.image for look in good if look.phash is None]
    narrow = [look.image for look in deep if look.phash is not None and look.levels <= _EIGHT_BITS]
    dim = [
        look.image
        for look in deep
        if look.phash is not None and look.share < _DIM and not look.dtype.startswith("float")
    ]
    usual = shapes.most_common(1)[0][0] if shapes else ""
    other = [look.image for look in good if f"{look.size[0]}x{look.size[1]}" != usual]
    channels = Counter(look.channels for look in good)
    usual_channels = channels.most_common(1)[0][0] if channels else 3
    odd = [look.image for look in good if look.channels != usual_channels]
    unreadable = [f"{look.image} ({look.error})" for look in looks if look.error]
    return [
        *error("unreadable", "{n} image(s) cannot be read", unreadable),
        *error("not-finite", "{n} image(s) hold NaN or infinite values", holes),
        *warning("one-colour", "{n} image(s) are of one colour only", flat),
        *warning("few-levels", "{n} image(s) of more than 8 bits hold 256 values or fewer", narrow),
        *warning("dim", "{n} image(s) use less than a 64th of their range; 8 bits of it are black", dim),
        *warning("sizes", f"{{n}} image(s) are not {usual} as most are ({len(shapes)} sizes)", other),
        *warning("channels", f"{{n}} image(s) do not have {usual_channels} channel(s) as most do", odd),
    ]


def _labels(looks: Sequence[Look], dataset: Dataset) -> list[Finding]:
    wrong = [f"{label_path(look.image)}, line {line}: {what}" for look in looks for line, what in look.wrong]
    missing = [look.image for look in looks if not look.label_exists]
    empty = [label_path(x.image) for x in looks if x.label_exists and not (x.boxes or x.wrong or x.no_area)]
    flat = [f"{label_path(look.image)}, line {line}" for look in looks for line in look.no_area]
    over = [f"{label_path(look.image)}, line {line}" for look in looks for line in look.over_border]
    near = [f"{label_path(look.image)}, lines {a} and {b}" for look in looks for a, b in look.near]
    bare = [split for split in dataset.splits if not any(look.boxes for look in looks if look.split == split)]
    return [
        *error("label", "{n} label row(s) are wrong; training would leave their images out", wrong),
        *error("no-labels", "no image of the split has a box", bare),
        *error("no-area", "{n} box(es) have no area", flat),
        *warning("missing-label", "{n} image(s) have no label file and count as background", missing),
        *warning("empty-label", "{n} image(s) have an empty label file and count as background", empty),
        *warning("orphan-label", "{n} label file(s) have no image", _orphans(looks)),
        *warning("over-border", "{n} box(es) reach past the image by more than a pixel", over),
        *warning("near-boxes", f"{{n}} pair(s) of boxes of a class overlap by IoU {NEAR_BOX_IOU} or more", near),
    ]


def _orphans(looks: Sequence[Look]) -> list[Path]:
    labels = {label_path(look.image) for look in looks}
    folders = sorted({label.parent for label in labels})
    texts = [path for folder in folders if folder.is_dir() for path in sorted(folder.glob("*.txt"))]
    own = {look.image.parent for look in looks}  # labels beside images: other texts there are lists and notes
    return [p for p in texts if p not in labels and p.name not in NAME_FILES and p.parent not in own]


def _duplicates(looks: Sequence[Look]) -> list[Finding]:
    across, within = equal_pairs(looks)
    near = near_pairs(looks)
    return [
        *error("leak", "{n} image(s) occur in two splits, pixel by pixel: the score is flattered", _told(across)),
        *warning("near-leak", "{n} image(s) look the same as one of another split", _told(near)),
        *warning("duplicate", "{n} image(s) occur more than once in their split", _told(within)),
    ]


def _told(pairs: Sequence[Pair]) -> list[str]:
    return [f"{one.image} = {other.image}" for one, other in pairs]


def _classes(boxes: dict[str, dict[str, int]]) -> list[Finding]:
    found: list[Finding] = []
    for split, of_class in boxes.items():
        none = [name for name, count in of_class.items() if not count]
        if none and len(none) < len(of_class):
            what = "cannot be learned" if split == "train" else "cannot be measured"
            found += warning(f"class-not-in-{split}", f"{{n}} class(es) have no box in {split}: {what}", none)
    counts = {name: count for name, count in boxes["train"].items() if count}
    if counts and max(counts.values()) > _IMBALANCE * min(counts.values()):
        most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
        ratio = counts[most] / counts[least]
        found += warning("imbalance", f"train has {ratio:.0f} times as many {most} as {least}", [most, least])
    return found
