"""Pascal VOC's XML, one file an image; objects are read by the supervision library.

Its reader of whole folders decodes every image with OpenCV to learn a size that stands in its header, and ends at the
first that OpenCV cannot open. So files are walked here, and the library reads the objects of one file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from frostline.datasets.dataset import IMAGE_SUFFIXES
from frostline.datasets.formats.found import Found, Item, Record, image_name
from frostline.errors import InputError


def read_voc(src: Path) -> Found:
    """Read Pascal VOC annotations: `Annotations/` and `JPEGImages/`, or XML files with their images beside them.

    Boxes are 1-based and include their last pixel, as the VOC development kit defines them.

    Args:
        src: the folder.

    Raises:
        InputError: there are no annotations, or one is malformed.
    """
    labels, pictures = src / "Annotations", src / "JPEGImages"
    if not labels.is_dir():
        labels = pictures = src
    elif not pictures.is_dir():
        pictures = src / "images" if (src / "images").is_dir() else src
    files = sorted(p for p in labels.rglob("*.xml") if not p.name.startswith("."))
    if not files:
        raise InputError(f"{src}: there are no .xml files of Pascal VOC in it, nor in Annotations/; give their folder")
    found = Found({}, [])
    images = _images(pictures)
    used: set[Path] = set()
    for file in files:
        root, items = _read(file)
        name = image_name(file, labels)
        image = _image(images, name, root.findtext("filename"))
        if image is None:
            found.problems.append(f"{file}: has no image of its name in {pictures}, left out")
            continue
        used.add(image)
        found.add(name, Record(image, items, file, _declared(file, root)))
    found.problems += [f"{path}: has no .xml label, left out" for path in images.values() if path not in used]
    if not found.records:
        raise InputError(f"{src}: no label has an image, the first: {found.problems[0]}")
    found.kinds = sorted({item.kind for record in found.records.values() for item in record.items})
    return found


def _images(folder: Path) -> dict[str, Path]:
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    return {image_name(path, folder): path for path in paths}


def _image(images: dict[str, Path], name: str, filename: str | None) -> Path | None:
    parent = name.rpartition("/")[0]
    named = f"{parent}/{Path(filename.strip()).stem}".lstrip("/") if filename and filename.strip() else name
    both = images.get(name), images.get(named)
    return both[0] or both[1]


def _read(file: Path) -> tuple[Any, list[Item]]:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, parse
    from supervision.dataset.formats.pascal_voc import detections_from_xml_obj

    try:
        root = parse(file).getroot()
    except (OSError, ParseError, DefusedXmlException, UnicodeError, LookupError) as error:
        raise InputError(f"{file}: cannot be read as XML ({' '.join(str(error).split())}); replace it") from error
    if root is None or root.tag != "annotation":
        raise InputError(f"{file}: is no Pascal VOC annotation; its outermost element must be 'annotation'")
    for item in root.iter("object"):  # masks are not wanted, and the library would draw each
        for polygon in item.findall("polygon"):
            item.remove(polygon)
    try:
        marks, kinds = detections_from_xml_obj(root, [], (1, 1))
    except ValueError as error:
        raise InputError(f"{file}: {str(error).rstrip('.')}; correct the file") from error
    boxes = [(float(box[0]), float(box[1]), float(box[2]), float(box[3])) for box in marks.xyxy]
    numbers = marks.class_id if len(marks) else ()
    return root, [Item(str(kinds[int(index)]).strip(), box) for box, index in zip(boxes, numbers, strict=True)]


def _declared(file: Path, root: Any) -> tuple[int, int] | None:
    words = root.findtext("size/width"), root.findtext("size/height")
    if words == (None, None):
        return None
    try:
        width, height = (int(word or "") for word in words)
    except ValueError:
        raise InputError(f"{file}: its size {words[0]} x {words[1]} is not two whole numbers; correct it") from None
    return (width, height) if width > 0 and height > 0 else None  # some tools write 0 for unknown
