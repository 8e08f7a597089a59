from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from frostline.datasets import Dataset, label_path, load_dataset
from frostline.errors import InputError

NAMES = {0: "Car", 1: "Cyclist"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dataset folder with images that are only names: nothing here opens them."""
    for name in ("train/b.png", "train/a.JPG", "train/deep/c.tif", "train/.hidden.png", "train/notes.md", "val/d.png"):
        path = tmp_path / "set" / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "set"


def write(root: Path, content: object, name: str = "data.yaml") -> Path:
    path = root / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return path


def as_ultralytics(file: Path) -> dict[str, list[Path]]:
    """The images of each split as Ultralytics itself finds them."""
    from ultralytics.data.base import BaseDataset
    from ultralytics.data.utils import check_det_dataset

    data = check_det_dataset(str(file), autodownload=False)
    reader = BaseDataset.__new__(BaseDataset)
    reader.prefix, reader.fraction = "", 1.0
    return {split: [Path(p) for p in reader.get_img_files(data[split])] for split in ("train", "val") if data[split]}


FORMS = {
    "relative to the yaml": {"train": "images/train", "val": "images/val", "names": NAMES},
    "names as a list": {"train": "images/train", "val": "images/val", "names": ["Car", "Cyclist"]},
    "nc alone": {"train": "images/train", "val": "images/val", "nc": "2"},
    "validation key": {"train": "images/train", "validation": "images/val", "names": NAMES},
    "the same folder twice": {"train": "images/train", "val": "images/train", "names": NAMES},
    "a list of folders": {"train": ["images/val", "images/train/deep"], "val": "images/val", "names": NAMES},
    "a text list": {"train": "train.txt", "val": "images/val", "names": NAMES},
    "a list of text lists and folders": {"train": ["train.txt", "images/val"], "val": ["val.txt"], "names": NAMES},
    "a parent too many": {"train": "../images/train", "val": "../images/val", "names": NAMES},
    "an absolute path key": {"path": "{root}/images", "train": "train", "val": "val", "names": NAMES},
    "a path key from the current folder": {"path": "images", "train": "train", "val": "val", "names": NAMES},
    "absolute splits": {"train": "{root}/images/train", "val": "{root}/images/val", "names": NAMES},
    "an empty path key": {"path": None, "train": "images/train", "val": "images/val", "names": NAMES},
    "a linked folder": {"train": "linked", "val": "images/val", "names": NAMES},
}


@pytest.mark.parametrize("form", FORMS)
def test_paths_resolve_as_ultralytics_resolves_them(form: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    (root / "train.txt").write_text(f"./images/train/b.png\n{root}/images/train/a.JPG\nimages/val/d.png\nnotes\n")
    (root / "val.txt").write_text("\ufeff./images/val/d.png\r\n", encoding="utf-8")
    (root / "linked").symlink_to(root / "images" / "train")
    file = write(root, yaml.safe_dump(FORMS[form]).replace("{root}", str(root)))
    dataset = load_dataset(file)
    assert {"train": dataset.train, "val": dataset.val} == as_ultralytics(file)
    assert dataset.train and dataset.val
    assert all(path.name != ".hidden.png" for path in dataset.train)


def test_a_path_key_that_is_nowhere_is_looked_for_in_the_datasets_folder_of_ultralytics(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ultralytics.data.utils
    import ultralytics.utils

    monkeypatch.setattr(ultralytics.utils, "DATASETS_DIR", tmp_path)
    monkeypatch.setattr(ultralytics.data.utils, "DATASETS_DIR", tmp_path)
    monkeypatch.chdir(root / "images")
    (tmp_path / "yamls").mkdir()
    file = write(tmp_path / "yamls", {"path": "set", "train": "images/train", "val": "images/val", "names": NAMES})
    dataset = load_dataset(file)
    assert {"train": dataset.train, "val": dataset.val} == as_ultralytics(file)
    assert dataset.val == [root / "images/val/d.png"]


def test_class_names_are_those_of_ultralytics(root: Path) -> None:
    from ultralytics.data.utils import check_det_dataset

    for names in ({"names": ["Car", 7]}, {"names": {"1": "b", "0": "a"}}, {"nc": 3}, {"nc": 2.0, "names": ["x", "y"]}):
        file = write(root, {"train": "images/train", "val": "images/val", **names})
        assert load_dataset(file).names == check_det_dataset(str(file))["names"]


def test_label_paths_are_those_of_ultralytics() -> None:
    from ultralytics.data.utils import img2label_paths

    images = ["/a/images/train/b.c.png", "/images/x/images/y.jpg", "/a/pictures/b.tiff", "/a/images.png/images/c.png"]
    assert [str(label_path(image)) for image in images] == img2label_paths(images)
    assert label_path("/a/images/train/b.png") == Path("/a/labels/train/b.txt")


def test_the_test_split_is_optional_and_listed_where_there_is_one(root: Path) -> None:
    entry = {"train": "images/train", "val": "images/val", "names": NAMES}
    without = load_dataset(write(root, {**entry, "test": None}))
    with_test = load_dataset(write(root, {**entry, "test": "images/val"}))
    assert (without.test, list(without.splits)) == ([], ["train", "val"])
    assert with_test.splits["test"] == with_test.val


def test_a_folder_stands_for_the_one_yaml_in_it(root: Path) -> None:
    file = write(root, {"train": "images/train", "val": "images/val", "names": NAMES})
    assert load_dataset(root) == load_dataset(file)
    write(root, "a: 1", "other.yaml")
    with pytest.raises(InputError, match="exactly one YAML file"):
        load_dataset(root)
    file.rename(root / "set.yaml")  # of several, the one named as the folder
    assert load_dataset(root).yaml == root / "set.yaml"


def test_a_download_entry_is_never_run(root: Path, tmp_path: Path) -> None:
    script = f"__import__('pathlib').Path({str(tmp_path / 'ran')!r}).touch()"
    file = write(root, {"train": "images/train", "val": "images/nowhere", "names": NAMES, "download": script})
    with pytest.raises(InputError, match="nowhere"):
        load_dataset(file)
    assert not (tmp_path / "ran").exists()


BASE = {"train": "images/train", "val": "images/val", "names": NAMES}
BAD = {
    "no train": ({**BASE, "train": None}, "there is no 'train:'"),
    "no val": ({"train": "images/train", "names": NAMES}, "there is no 'val:'"),
    "no names": ({"train": "images/train", "val": "images/val"}, "there is no 'names:'"),
    "a path that is not there": ({**BASE, "val": "images/vla"}, "'val: images/vla' does not exist"),
    "a test path that is not there": ({**BASE, "test": "images/test"}, "'test: images/test' does not exist"),
    "no images": ({**BASE, "train": "empty"}, "'train: empty' holds no images"),
    "a gap in the names": ({**BASE, "names": {0: "a", 2: "b"}}, "has 0, 2; class ids must be 0, 1, 2"),
    "names from 1": ({**BASE, "names": {1: "a", 2: "b"}}, "class ids must be"),
    "a negative class id": ({**BASE, "names": {-1: "a", 0: "b"}}, "class ids must be"),
    "no classes": ({**BASE, "names": []}, "has no classes"),
    "a name as id": ({**BASE, "names": {"Car": 0}}, "not a whole number"),
    "names as text": ({**BASE, "names": "Car"}, "must be a list or a dict"),
    "nc and names differ": ({**BASE, "nc": 5}, "'nc: 5' but 'names:' has 2"),
    "nc not a number": ({**BASE, "nc": "five"}, "whole number of classes"),
    "a path that is a number": ({**BASE, "path": 3}, "'path:' is 3; it must be text"),
    "a split that lists numbers": ({**BASE, "train": [1]}, "'train:' lists 1"),
    "an image as split": ({**BASE, "train": "images/val/d.png"}, "names the image"),
    "a list with an image that is not there": ({**BASE, "train": "gone.txt"}, "gone.txt, line 2: there is no image"),
    "not YAML": ("train: images\nval: [images", "this is not YAML at line"),
    "empty": ("", "this is empty, not a mapping"),
    "a list": ("- a", "this is a YAML list, not a mapping"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_yaml_is_one_line_that_names_the_file(case: str, root: Path) -> None:
    content, message = BAD[case]
    (root / "empty").mkdir()
    (root / "gone.txt").write_text("./images/train/b.png\n./images/train/gone.png\n")
    file = write(root, content)
    with pytest.raises(InputError) as error:
        load_dataset(file)
    assert message in str(error.value)
    assert str(root) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("nowhere.yaml", "there is no such file"),
        ("https://example.org/data.yaml", "downloads nothing"),
        ("set.zip", "unpack it"),
        ("weights.pt", "named by its data.yaml"),
    ],
)
def test_what_is_not_a_data_yaml_is_said(
    data: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("set.zip", "weights.pt"):
        Path(name).touch()
    with pytest.raises(InputError, match=message):
        load_dataset(data)


def test_a_yaml_that_ultralytics_ships_is_found_by_name_and_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"coco8\.yaml: 'train: images/train' does not exist"):
        load_dataset("coco8")
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_a_dataset_does_not_change() -> None:
    dataset = Dataset(Path("data.yaml"), NAMES, [], [])
    with pytest.raises(AttributeError):
        dataset.train = []  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [Car, Car]", "has 'Car' twice"),
        ("names: [Car, null]", "a class without a name"),
        ("nc: 100000000", "1 to 100,000"),
        ("names: [Car]\ntrain: images/val", "the key 'train' stands twice"),
    ],
)
def test_slips_that_would_change_a_result_in_silence_are_refused(root: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        load_dataset(write(root, f"train: images/train\nval: images/val\n{text}\n"))
    assert "\n" not in str(error.value)
