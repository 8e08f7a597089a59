from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from frostline.datasets.convert import convert_labels
from frostline.datasets.formats.found import Found, Item, Record, clip, to_yolo
from frostline.datasets.formats.sizes import image_size, whole_image_size
from frostline.errors import InputError

WIDTH, HEIGHT = 200, 100


def picture(path: Path, size: tuple[int, int] = (WIDTH, HEIGHT), value: int = 7) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), value, np.uint8)).save(path)
    return path


def shape(label: str, *points: tuple[float, float], kind: str = "rectangle") -> dict[str, Any]:
    return {"label": label, "points": [list(point) for point in points], "shape_type": kind}


def labelme(
    path: Path, shapes: list[dict[str, Any]] | None, size: tuple[int, int] = (WIDTH, HEIGHT), **more: Any
) -> None:
    content = {"imagePath": f"{path.stem}.png", "imageWidth": size[0], "imageHeight": size[1], **more}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content if shapes is None else {**content, "shapes": shapes}), encoding="utf-8")


def lines(out: Path, name: str) -> list[str]:
    return (out / "labels" / f"{name}.txt").read_text().splitlines()


def names(out: Path) -> list[str]:
    return (out / "classes.txt").read_text(encoding="utf-8").splitlines()


def test_labelme_rectangles_and_polygons_become_boxes(tmp_path: Path) -> None:
    src = tmp_path / "lm"
    picture(src / "a.png")
    triangle = shape("van", (20, 10), (60, 20), (40, 30), kind="polygon")
    labelme(src / "a.json", [shape("car", (60, 30), (20, 10)), triangle, shape("pole", (1, 1), kind="point")])
    summary = convert_labels(src, tmp_path / "out", "labelme")
    assert names(tmp_path / "out") == ["car", "van"]
    assert lines(tmp_path / "out", "a") == [f"{index} 0.200000 0.200000 0.200000 0.200000" for index in (0, 1)]
    assert summary.left_out == {"pole (point)": 1}
    assert (tmp_path / "out/images/a.png").read_bytes() == (src / "a.png").read_bytes()


def test_another_size_in_labelme_is_an_error_unless_scaled(tmp_path: Path) -> None:
    src = tmp_path / "lm"
    picture(src / "a.png")
    labelme(src / "a.json", [shape("car", (40, 20), (120, 60))], (400, 200))
    with pytest.raises(InputError, match=r"a\.json: says 400 x 200, but a\.png is 200 x 100.*--scale-to-image"):
        convert_labels(src, tmp_path / "out", "labelme")
    assert not (tmp_path / "out").exists()
    summary = convert_labels(src, tmp_path / "out", "labelme", scale_to_image=True)
    assert lines(tmp_path / "out", "a") == ["0 0.200000 0.200000 0.200000 0.200000"]
    assert summary.scaled == 1


def test_a_labelme_file_without_shapes_is_one_line_and_the_rest_goes_on(tmp_path: Path) -> None:
    src = tmp_path / "lm"
    for name in "abc":
        picture(src / f"{name}.png")
    labelme(src / "a.json", [shape("car", (0, 0), (9, 9))])
    labelme(src / "b.json", None)
    labelme(src / "c.json", [])
    summary = convert_labels(src, tmp_path / "out", "labelme")
    assert summary.images == 1
    assert [problem.split(": ")[1] for problem in summary.problems] == [
        "has no list of shapes, left out, it is no label of LabelMe",
        "has an empty list of shapes, left out; --keep-empty takes it as background",
    ]
    kept = convert_labels(src, tmp_path / "kept", "labelme", keep_empty=True)
    assert kept.images == 2
    assert lines(tmp_path / "kept", "c") == []


def test_labelme_images_are_found_behind_windows_paths_and_by_stem(tmp_path: Path) -> None:
    src = tmp_path / "Ä lm"
    picture(src / "雪 a.png")
    picture(src / "b.png")
    labelme(src / "x.json", [shape("car", (0, 0), (9, 9))], imagePath="..\\somewhere\\雪 a.png")
    labelme(src / "b.json", [shape("car", (0, 0), (9, 9))], imagePath="renamed.png")
    assert convert_labels(src, tmp_path / "out", "labelme").images == 2


def test_a_labelme_image_outside_of_the_folder_is_told_and_needs_the_flag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    src = tmp_path / "labels"
    picture(src / "a.png")
    picture(tmp_path / "else" / "b.png")
    labelme(src / "a.json", [shape("car", (0, 0), (9, 9))])
    labelme(src / "b.json", [shape("car", (0, 0), (9, 9))], imagePath="../else/b.png")
    summary = convert_labels(src, tmp_path / "out", "labelme")
    assert summary.images == 1 and "pass --allow-outside" in summary.problems[0]
    monkeypatch.chdir(tmp_path)  # as it is typed
    assert convert_labels(Path("labels"), tmp_path / "typed", "labelme").images == 1
    monkeypatch.setenv("FROSTLINE_ALLOW_OUTSIDE", "1")
    assert convert_labels(src, tmp_path / "both", "labelme").images == 2


def coco(boxes: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "images": [{"id": 7, "file_name": "day/a.png", "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 9, "name": "van"}, {"id": 3, "name": "car"}],
        "annotations": [{"id": number, "image_id": 7, **box} for number, box in enumerate(boxes)],
        **more,
    }


def test_coco_boxes_classes_crowds_and_folders(tmp_path: Path) -> None:
    picture(tmp_path / "c/images/day/a.png")
    boxes = [
        {"category_id": 9, "bbox": [20, 10, 40, 20], "segmentation": [[20, 10, 60, 10, 60, 30]]},
        {"category_id": 3, "bbox": [20, 10, 40, 20], "iscrowd": 1, "segmentation": {"counts": [1], "size": [1, 1]}},
        {"category_id": 3, "bbox": [-20, 10, 40, 20]},
        {"category_id": 3, "bbox": [20, 10, 0, 20]},
    ]
    (tmp_path / "c/annotations").mkdir()
    (tmp_path / "c/annotations/instances.json").write_text(json.dumps(coco(boxes)))
    summary = convert_labels(tmp_path / "c", tmp_path / "out", "coco")
    assert names(tmp_path / "out") == ["car", "van"]  # in the order of their ids
    assert lines(tmp_path / "out", "day/a") == [
        "1 0.200000 0.200000 0.200000 0.200000",
        "0 0.050000 0.200000 0.100000 0.200000",
    ]
    assert (summary.left_out, summary.clipped, summary.no_area) == ({"car (crowd)": 1}, 1, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is no COCO file"),
        (json.dumps({"images": []}), "has no list of categories"),
        (
            json.dumps(coco([{"category_id": 4, "bbox": [0, 0, 1, 1]}])),
            "entry 0 of annotations belongs to image 7 and cat",
        ),
        (json.dumps(coco([{"category_id": 3, "bbox": [0, None, 1, 1]}])), "expected left, top, width and height"),
        (json.dumps(coco([], images=[{"id": 7, "file_name": "a.png"}])), "entry 0 of images lacks one of"),
        (json.dumps(coco([])), "none of its 1 images is there"),
    ],
)
def test_a_malformed_coco_file_is_one_line(content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "coco.json"
    file.write_text(content)
    with pytest.raises(InputError, match=message) as error:
        convert_labels(file, tmp_path / "out", "coco")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


VOC = """<annotation><filename>a.png</filename><size><width>200</width><height>100</height></size>
<object><name>car</name><bndbox><xmin>21</xmin><ymin>11</ymin><xmax>60</xmax><ymax>30</ymax></bndbox>
<polygon><x1/><y1>1</y1></polygon></object></annotation>"""


def test_voc_counts_pixels_from_one_and_includes_the_last(tmp_path: Path) -> None:
    picture(tmp_path / "v/JPEGImages/a.png")
    picture(tmp_path / "v/JPEGImages/b.png")
    (tmp_path / "v/Annotations").mkdir()
    (tmp_path / "v/Annotations/a.xml").write_text(VOC)
    (tmp_path / "v/Annotations/c.xml").write_text("<annotation><filename>c.png</filename></annotation>")
    summary = convert_labels(tmp_path / "v", tmp_path / "out", "voc")
    assert lines(tmp_path / "out", "a") == ["0 0.200000 0.200000 0.200000 0.200000"]
    assert [problem.split(": ")[1][:16] for problem in summary.problems] == ["has no image of ", "has no .xml labe"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation>", "cannot be read as XML"),
        ("<other/>", "is no Pascal VOC annotation"),
        (VOC.replace("<xmin>21</xmin>", ""), "Missing 'xmin'"),
        (VOC.replace("21", "left"), "Invalid 'xmin' value 'left'"),
        (VOC.replace("<width>200", "<width>300"), "says 300 x 100"),
        (f'<!DOCTYPE a [<!ENTITY b "c">]>{VOC.replace("car", "&b;")}', "cannot be read as XML"),
    ],
)
def test_a_malformed_voc_file_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    picture(tmp_path / "v/a.png")
    (tmp_path / "v/a.xml").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        convert_labels(tmp_path / "v", tmp_path / "out", "voc")
    assert "\n" not in str(error.value)


def test_yolo_labels_are_renamed_merged_and_keep_their_digits(tmp_path: Path) -> None:
    src = tmp_path / "y"
    for split in ("train", "val"):
        picture(src / f"images/{split}/a.png")
        (src / f"labels/{split}").mkdir(parents=True)
        (src / f"labels/{split}/a.txt").write_text("1 0.123456 0.234567 0.034568 0.045678\n2 0.5 0.5 0.1 0.1\n")
    (src / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [bus, van, dog]\n")
    summary = convert_labels(src, tmp_path / "out", "yolo", ["car"], mapping={"van": "car", "bus": "car"})
    assert lines(tmp_path / "out", "train/a") == lines(tmp_path / "out", "val/a")
    assert lines(tmp_path / "out", "val/a") == ["0 0.123456 0.234567 0.034568 0.045678"]
    assert (summary.left_out, summary.clipped) == ({"dog": 2}, 0)


def test_a_converted_folder_is_itself_a_source(tmp_path: Path) -> None:
    src = tmp_path / "lm"
    picture(src / "drive 1/a.png")
    labelme(src / "drive 1/a.json", [shape("car", (-5, 10), (60, 30)), shape("van", (3, 3), (9, 9))])
    convert_labels(src, tmp_path / "one", "labelme")
    convert_labels(tmp_path / "one", tmp_path / "two", "yolo")
    assert names(tmp_path / "two") == names(tmp_path / "one")
    assert lines(tmp_path / "two", "a") == lines(tmp_path / "one", "drive 1/a")


def test_folders_called_images_do_not_come_between_images_and_labels(tmp_path: Path) -> None:
    for drive in ("one", "two"):
        picture(tmp_path / f"y/{drive}/images/a.png")
        (tmp_path / f"y/{drive}/labels").mkdir()
        (tmp_path / f"y/{drive}/labels/a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (tmp_path / "y/classes.txt").write_text("car\n")
    convert_labels(tmp_path / "y", tmp_path / "out", "yolo")
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("a.*"))
    assert found == ["images/one/a.png", "images/two/a.png", "labels/one/a.txt", "labels/two/a.txt"]


def test_a_mapped_name_takes_its_place_among_the_classes(tmp_path: Path) -> None:
    picture(tmp_path / "lm/a.png")
    labelme(tmp_path / "lm/a.json", [shape(kind, (0, 0), (9, 9)) for kind in ("van", "dog", "car")])
    convert_labels(tmp_path / "lm", tmp_path / "out", "labelme", mapping={"van": "car", "dog": "animal"})
    assert names(tmp_path / "out") == ["car", "animal"]
    with pytest.raises(InputError, match="there is no label 'vam', did you mean 'van'"):
        convert_labels(tmp_path / "lm", tmp_path / "other", "labelme", mapping={"vam": "car"})
    with pytest.raises(InputError, match="unknown format 'labelm'"):
        convert_labels(tmp_path / "lm", tmp_path / "other", "labelm")


def test_another_conversion_into_the_same_folder_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / name / f"{name}.png")
        labelme(tmp_path / name / f"{name}.json", [shape("car", (0, 0), (9, 9))])
    convert_labels(tmp_path / "a", tmp_path / "out", "labelme")
    convert_labels(tmp_path / "a", tmp_path / "out", "labelme", link=True)
    assert (tmp_path / "out/images/a.png").is_symlink()
    with pytest.raises(InputError, match="is not part of this split"):
        convert_labels(tmp_path / "b", tmp_path / "out", "labelme")


def test_the_source_is_never_written_to(tmp_path: Path) -> None:
    picture(tmp_path / "y/images/a.png")
    (tmp_path / "y/labels").mkdir()
    (tmp_path / "y/labels/a.txt").write_text("1 0.5 0.5 0.1 0.1\n")
    (tmp_path / "y/classes.txt").write_text("car\nvan\n")
    with pytest.raises(InputError, match="is the source"):
        convert_labels(tmp_path / "y", tmp_path / "y/images/..", "yolo", ["van"])
    assert (tmp_path / "y/labels/a.txt").read_text() == "1 0.5 0.5 0.1 0.1\n"


def test_a_jpeg_held_sideways_has_the_size_it_is_shown_in(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.zeros((10, 20, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    assert image_size(tmp_path / "a.jpg") == whole_image_size(tmp_path / "a.jpg") == (10, 20)


FINITE = st.floats(-500, 500, allow_nan=False)


@given(box=st.tuples(FINITE, FINITE, FINITE, FINITE), width=st.integers(1, 400), height=st.integers(1, 400))
def test_whatever_the_box_its_label_lies_inside_the_image(
    box: tuple[float, float, float, float], width: int, height: int
) -> None:
    found = Found({"a": Record(Path("a.png"), [Item("car", box)], Path("a.json"))}, ["car"])
    done = to_yolo(found, {"a": (width, height)}, {"": ["a"]}, {"car": "car"}, ["car"])
    rows = [[float(word) for word in line.split()[1:]] for line in done.labels["a"].splitlines()]
    assert len(rows) + done.no_area == 1
    for x, y, w, h in rows:
        assert x - w / 2 + 1e-6 >= 0 and x + w / 2 <= 1 + 2e-6
        assert y - h / 2 + 1e-6 >= 0 and y + h / 2 <= 1 + 2e-6
        assert w > 0 and h > 0
    assert not rows or clip(box, (width, height)) is not None
