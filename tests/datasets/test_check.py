from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frostline.datasets import Dataset, check_labels
from frostline.errors import InputError

GOOD = "0 0.5 0.5 0.2 0.2\n1 0.1 0.2 0.1 0.1\n"


def dataset(root: Path, train: dict[str, str | None], val: dict[str, str | None] | None = None) -> Dataset:
    """Images (only names) with these label texts; None leaves the label file out. Two classes."""
    splits: dict[str, list[Path]] = {}
    for split, labels in {"train": train, "val": val or {"v": GOOD}}.items():
        (root / "labels" / split).mkdir(parents=True)
        splits[split] = [root / "images" / split / f"{stem}.png" for stem in labels]
        for stem, text in labels.items():
            if text is not None:
                (root / "labels" / split / f"{stem}.txt").write_text(text, encoding="utf-8")
    return Dataset(root / "data.yaml", {0: "Car", 1: "Cyclist"}, splits["train"], splits["val"])


def test_boxes_are_counted_per_class_and_split(tmp_path: Path) -> None:
    data = dataset(tmp_path, {"a": GOOD + "0.0 0 1 1 0\n", "b": "", "c": None, "d": "\ufeff\n  \n1 0.5 0.5 1 1"})
    summary = check_labels(data)
    assert summary.images == {"train": 4, "val": 1}
    assert summary.labelled == {"train": 2, "val": 1}
    assert summary.unlabelled == {"train": 2, "val": 0}
    assert summary.boxes == {"train": {0: 2, 1: 2}, "val": {0: 1, 1: 1}}
    assert summary.names == {0: "Car", 1: "Cyclist"}


def test_a_polygon_counts_as_a_box(tmp_path: Path) -> None:
    polygons = "0 0.1 0.1 0.2 0.1 0.2 0.2\n1 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2\n"
    assert check_labels(dataset(tmp_path, {"a": polygons})).boxes["train"] == {0: 1, 1: 1}


def test_boxes_without_area_and_repeated_rows_are_noted_with_counts_and_the_first_file(tmp_path: Path) -> None:
    flat, line = "0 0.5 0.5 0.1 0\n", "1 0.5 0.5 0.1 0.1\n"
    data = dataset(tmp_path, {"a": GOOD, "b": flat + 3 * line, "c": 2 * GOOD + "1 0.5 0.5 0 0.2\n"})
    no_area, repeated = check_labels(data).notes
    first = tmp_path / "labels" / "train" / "b.txt"
    assert no_area.startswith(f"2 boxes in 2 label files have no area, such as in {first}: ")
    assert repeated.startswith(f"4 label rows in 2 files repeat another row, such as in {first}: ")
    assert check_labels(dataset(tmp_path / "good", {"a": GOOD})).notes == ()


BAD = {
    "2 0.5 0.5 0.1 0.1": "class 2 is out of range, the dataset has 2 (0 to 1)",
    "-1 0.5 0.5 0.1 0.1": "class -1 is out of range",
    "0.5 0.5 0.5 0.1 0.1": "class 0.5 is not a whole number",
    "0 1.02 0.5 0.1 0.1": "coordinate 1.02 is outside [0, 1]",
    "0 0.5 -0.02 0.1 0.1": "coordinate -0.02 is outside [0, 1]",
    "0 512 300 40 40": "coordinate 512 is outside [0, 1]",
    "0 0.5 0.5 0.1": "4 columns instead of 5",
    "0 0.5 0.5 0.1 0.1 0.9": "6 columns instead of 5",
    "0 nan 0.5 0.1 0.1": "a value is not finite",
    "inf 0.5 0.5 0.1 0.1": "a value is not finite",
    "car 0.5 0.5 0.1 0.1": "'car 0.5 0.5 0.1 0.1' is not numbers only",
    "0 0.1 0.1 0.2 0.1 0.2 0.2\n0 0.5 0.5 0.1 0.1": "line 4: 5 columns in a file of polygons",
    "0 0.1 0.1 0.2 0.1 0.2 0.2 0.3": "8 columns; a polygon row has",
}


@pytest.mark.parametrize("row", BAD)
def test_a_label_that_a_training_would_drop_is_an_error(row: str, tmp_path: Path) -> None:
    text = f"\n\n{row}" if len(row.split()) > 6 else f"{GOOD}{row}\n"
    with pytest.raises(InputError) as error:
        check_labels(dataset(tmp_path, {"a": GOOD, "b": text, "c": GOOD}))
    assert f"{tmp_path}/labels/train/b.txt, line " in str(error.value)
    assert BAD[row] in str(error.value)
    assert "\n" not in str(error.value)
    if len(row.split()) <= 6:
        assert "b.txt, line 3:" in str(error.value)
        assert "(no other line is wrong)" in str(error.value)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # Ultralytics' own arithmetic on inf
@pytest.mark.parametrize("row", [*BAD, *GOOD.splitlines(), "1.0 0 1 0.3 0.3"])
def test_what_is_an_error_here_ultralytics_drops_and_what_is_not_it_keeps(row: str, tmp_path: Path) -> None:
    from ultralytics.data.utils import verify_image_label

    image = tmp_path / "a.png"
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(image)
    (tmp_path / "a.txt").write_text(row)
    kept = verify_image_label((str(image), str(tmp_path / "a.txt"), "", False, 2, 0, 0, False))[0] is not None
    data = Dataset(tmp_path / "data.yaml", {0: "Car", 1: "Cyclist"}, [image], [image])
    try:
        check_labels(data)
        accepted = True
    except InputError:
        accepted = False
    assert accepted == kept


def test_the_first_bad_label_is_named_and_the_others_counted(tmp_path: Path) -> None:
    bad = "7 0.5 0.5 0.1 0.1\n"
    with pytest.raises(InputError, match=r"train/b\.txt, line 1: .* \(3 more lines in it and 2 other files are wrong"):
        check_labels(dataset(tmp_path, {"a": GOOD, "b": bad + bad, "c": bad}, {"v": GOOD + bad}))


def test_more_bad_lines_in_the_same_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 1: .* \(1 more line in the same file is wrong too\)"):
        check_labels(dataset(tmp_path, {"a": "7 0.5 0.5 0.1 0.1\n" * 2}))


def test_a_label_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    data = dataset(tmp_path, {"a": GOOD, "b": None})
    (tmp_path / "labels/train/b.txt").write_bytes(b"\xff\xfe0\x00")
    with pytest.raises(InputError, match=r"b\.txt, line 1: this is not UTF-8"):
        check_labels(data)


def test_a_rounded_coordinate_is_no_error(tmp_path: Path) -> None:
    assert check_labels(dataset(tmp_path, {"a": "0 1.000001 -0.000001 1 1"})).boxes["train"][0] == 1


def test_a_split_without_a_single_box_is_an_error_that_says_where_labels_belong(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no image of 'val:' has a label; .*labels/val/v\.txt"):
        check_labels(dataset(tmp_path, {"a": GOOD}, {"v": None, "w": ""}))


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    check_labels(dataset(tmp_path, {f"{i}": GOOD for i in range(1200)}), lambda done, total: seen.append((done, total)))
    assert seen == [(1000, 1201), (1201, 1201)]
