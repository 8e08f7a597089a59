"""Labels of any known format to YOLO's, without a split: that is the next step, and another command."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from frostline.datasets import kitti
from frostline.datasets.formats.coco import read_coco
from frostline.datasets.formats.found import Found, choose_classes, sizes_of, to_yolo
from frostline.datasets.formats.labelme import read_labelme
from frostline.datasets.formats.voc import read_voc
from frostline.datasets.formats.yolo import read_yolo
from frostline.datasets.layout import write_unsplit
from frostline.errors import InputError, did_you_mean

FORMATS = ("kitti", "labelme", "coco", "voc", "yolo")


@dataclass(frozen=True)
class ConvertSummary:
    """What a conversion wrote and what it left out.

    Attributes:
        out: the folder, with images/, labels/ and classes.txt.
        images: number of images.
        boxes: number of boxes of every class, zeros included, in the order of class ids.
        left_out: objects that count as no class or are no boxes, by what they are.
        no_area: objects without area inside the image, dropped.
        clipped: objects that reached past the image's border and were cut to it.
        scaled: images whose labels were made for another size and were scaled.
        problems: one line for every image or label that could not be used; the rest was converted.
    """

    out: Path
    images: int
    boxes: dict[str, int]
    left_out: dict[str, int]
    no_area: int
    clipped: int
    scaled: int
    problems: list[str]


def convert_labels(
    src: str | Path,
    out: str | Path,
    kind: str,
    classes: Sequence[str] | None = None,
    *,
    mapping: Mapping[str, str] | None = None,
    scale_to_image: bool = False,
    keep_empty: bool = False,
    link: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ConvertSummary:
    """Convert labels to `out/images`, `out/labels` and `out/classes.txt`.

    Everything in `src` is read and checked, every image decoded, before anything is written. Boxes are clipped to the
    image, those without area dropped. Images in sub-folders keep them. KITTI's occlusion and truncation go to
    `out/kitti_objects.csv`, one row a box, where `row` counts the lines of the label file from 0 and `split` stays
    empty until there is one.

    Args:
        src: the folder or file that the format's reader takes.
        out: the folder to write; made if missing.
        kind: `kitti`, `labelme`, `coco`, `voc` or `yolo`.
        classes: class names in the order of their ids. None: for KITTI its five usual ones, otherwise all there are.
        mapping: name in the source to class name. None: for KITTI the usual two, otherwise none.
        scale_to_image: scale boxes where a label file declares another size than its image has.
        keep_empty: take LabelMe files with an empty list of shapes as images without objects.
        link: make symbolic links to the images instead of copies.
        workers: processes that decode images; None for one a core. Scripts that leave it so need an
            `if __name__ == "__main__"` guard.
        progress: called with (images decoded, images in all), and again from the start while they are written.

    Returns:
        Counts, and a line for everything that could not be used.

    Raises:
        InputError: the source is malformed (naming file and place), a size does not match, an option makes no sense,
            or `out` cannot be written or holds other images.
    """
    if Path(out).resolve() == Path(src).resolve():
        raise InputError(f"{out}: is the source, whose labels would be overwritten; choose another folder")
    source = _read(Path(src), kind, keep_empty)
    what = kitti.WHAT if kind == "kitti" else "label"
    if kind == "kitti":
        classes = kitti.CLASSES if classes is None else classes
        if mapping is None:
            mapping = {name: to for name, to in kitti.MAPPING.items() if to in classes}
    classes, to_class = choose_classes(classes, mapping or {}, source.kinds, what)
    sizes = sizes_of(source, scale_to_image, workers=workers, progress=progress)
    done = to_yolo(source, sizes, {"": sorted(sizes)}, to_class, classes)
    images = {name: source.records[name].image for name in sorted(sizes)}
    write_unsplit(Path(out), images, done.labels, classes, extra=done.sidecar(), link=link, progress=progress)
    scaled = sum(source.records[name].declared not in {None, size} for name, size in sizes.items())
    return ConvertSummary(
        out=Path(out),
        images=len(images),
        boxes=done.boxes[""],
        left_out=dict(sorted(done.left_out.items())),
        no_area=done.no_area,
        clipped=done.clipped,
        scaled=scaled,
        problems=sorted(source.problems),
    )


def _read(src: Path, kind: str, keep_empty: bool) -> Found:
    if kind not in FORMATS:
        raise InputError(f"unknown format '{kind}'; expected {', '.join(FORMATS)}{did_you_mean(kind, FORMATS)}")
    if not src.exists():
        raise InputError(f"{src}: there is no such file or folder; give the {kind} labels' place")
    if kind == "labelme":
        return read_labelme(src, keep_empty)
    readers = {"kitti": kitti.read_kitti, "coco": read_coco, "voc": read_voc, "yolo": read_yolo}
    return readers[kind](src)
