from __future__ import annotations

import csv
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from frostline.datasets import check_labels, load_dataset
from frostline.datasets.split import split_dataset
from frostline.datasets.splitting import group_names, parse_ratio, split_groups
from frostline.errors import InputError

BOX = "0.5 0.5 0.1 0.1"


def pairs(root: Path, labels: dict[str, str], classes: str = "car\nvan\n") -> tuple[Path, Path]:
    """Write an image (of one pixel) and a label for every name."""
    for name, text in labels.items():
        for folder in ("images", "labels"):
            (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((1, 1, 3), np.uint8)).save(root / "images" / f"{name}.png")
        (root / "labels" / f"{name}.txt").write_text(text)
    (root / "classes.txt").write_text(classes)
    return root / "images", root / "labels"


def test_a_third_share_is_a_test_split_and_nothing_is_lost(tmp_path: Path) -> None:
    names = {f"{index:03}": f"{index % 2} {BOX}\n" for index in range(20)}
    summary = split_dataset(*pairs(tmp_path / "in", names), tmp_path / "out", parse_ratio("0.7,0.15,0.15"))
    assert summary.images == {"train": 14, "val": 3, "test": 3}
    text = summary.yaml.read_text()
    assert str(tmp_path) not in text
    dataset = load_dataset(summary.yaml)
    assert sorted(p.stem for images in dataset.splits.values() for p in images) == sorted(names)
    counted = {s: {dataset.names[i]: n for i, n in boxes.items()} for s, boxes in check_labels(dataset).boxes.items()}
    assert summary.boxes == counted


def test_only_pairs_count_and_each_other_is_a_line(tmp_path: Path) -> None:
    images, labels = pairs(tmp_path / "ein Ä", {f"雪 {index}": f"0 {BOX}\n" for index in range(6)})
    (labels / "雪 1.txt").unlink()
    (images / "雪 2.png").unlink()
    summary = split_dataset(images, labels, tmp_path / "out")
    assert sum(summary.images.values()) == 4
    assert [problem.split(": ")[1][:12] for problem in summary.problems] == ["has no label", "has no image"]


def test_the_split_does_not_depend_on_how_letters_are_composed() -> None:
    names = [f"{letter}{index}ö" for letter in "äz" for index in range(16)]
    apart = [unicodedata.normalize("NFD", name) for name in reversed(names)]
    shares = parse_ratio("0.6,0.2,0.2")
    one = split_groups(group_names(names, None), shares, 7)
    other = split_groups(group_names(apart, None), shares, 7)
    assert {s: [unicodedata.normalize("NFC", n) for n in ns] for s, ns in other.items()} == one
    assert one["test"][:3] == ["z11ö", "z7ö", "ä10ö"]  # so that no release moves it


@given(st.lists(st.integers(1, 9), min_size=3, max_size=25), st.integers(0, 99), st.booleans(), st.data())
@settings(max_examples=60, deadline=None)
def test_groups_stay_together_and_no_split_is_empty(
    sizes: list[int], seed: int, stratify: bool, data: st.DataObject
) -> None:
    names = [f"drive{group}_{frame}" for group, size in enumerate(sizes) for frame in range(size)]
    present = {name: data.draw(st.sets(st.integers(0, 3))) for name in names} if stratify else None
    groups = group_names(names, r"^(drive\d+)_")
    splits = split_groups(groups, [0.7, 0.15, 0.15], seed, present)
    assert sorted(name for chosen in splits.values() for name in chosen) == sorted(names)
    assert all(splits.values())
    drives = [{name.split("_")[0] for name in chosen} for chosen in splits.values()]
    assert sum(map(len, drives)) == len(sizes)


def test_groups_come_near_the_shares_that_were_asked_for() -> None:
    names = [f"{group}/{frame}" for group in range(40) for frame in range(1 + group % 7)]
    splits = split_groups(group_names(names, "^[^/]+"), [0.8, 0.2], 3)
    assert abs(len(splits["train"]) / len(names) - 0.8) < 0.02


def test_stratifying_spreads_rare_classes_that_chance_does_not() -> None:
    names = [f"{index:03}" for index in range(100)]
    present = {name: {0} | ({1} if index % 20 == 0 else set()) for index, name in enumerate(names)}
    present["099"] = set()
    groups = group_names(names, None)

    def rare(seed: int, with_labels: bool) -> int:
        return sum(
            1 in present[n] for n in split_groups(groups, [0.8, 0.2], seed, present if with_labels else None)["val"]
        )

    assert [rare(seed, True) for seed in range(20)] == [1] * 20
    assert {rare(seed, False) for seed in range(20)} != {1}
    sizes = {len(split_groups(groups, [0.8, 0.2], seed, present)["val"]) for seed in range(20)}
    assert sizes <= {19, 20, 21}


def test_what_cannot_be_split_is_said(tmp_path: Path) -> None:
    images, labels = pairs(tmp_path / "in", {f"a{index}": f"0 {BOX}\n" for index in range(4)})
    with pytest.raises(InputError, match=r"'\^b': does not match 4 of 4 names, the first: a0"):
        split_dataset(images, labels, tmp_path / "out", group_by="^b")
    with pytest.raises(InputError, match="is no regular expression"):
        split_dataset(images, labels, tmp_path / "out", group_by="(")
    with pytest.raises(InputError, match=r"1 group\(s\) cannot be split in 2"):
        split_dataset(images, labels, tmp_path / "out", group_by="^a")
    with pytest.raises(InputError, match="is no folder"):
        split_dataset(images, tmp_path / "nowhere", tmp_path / "out")
    (labels / "a1.txt").write_text(f"2 {BOX}\n")
    with pytest.raises(InputError, match=r"a1\.txt, line 1: class 2 is out of range"):
        split_dataset(images, labels, tmp_path / "out")
    (tmp_path / "in/classes.txt").unlink()
    with pytest.raises(InputError, match="no class names"):
        split_dataset(images, labels, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert split_dataset(images, labels, tmp_path / "out", classes=["x", "y", "z"]).boxes["train"].keys() == set("xyz")


@pytest.mark.parametrize("text", ["1", "0", "0.5,0.6", "0.7,0.1", "a", "0.25,0.25,0.25,0.25", "-0.5,1.5", "nan"])
def test_a_ratio_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="ratio"):
        parse_ratio(text)


def test_folders_of_drives_stay_together_and_keep_their_place(tmp_path: Path) -> None:
    labels = {f"drive{d}/{frame:02}": f"0 {BOX}\n" for d in range(5) for frame in range(4)}
    images, texts = pairs(tmp_path / "in", labels)
    summary = split_dataset(images, texts, tmp_path / "out", group_by="^[^/]+", link=True)
    assert (summary.groups, summary.images) == (5, {"train": 16, "val": 4})
    assert all(image.is_file() for image in (tmp_path / "out/images/val").rglob("*.png"))
    assert len({image.parent.name for image in (tmp_path / "out/images/val").rglob("*.png")}) == 1
    link = next((tmp_path / "out/images/train").rglob("*.png"))
    assert link.parent.parent.name == "train"
    assert check_labels(load_dataset(summary.yaml)).labelled == summary.images


def test_the_table_of_occlusions_follows_its_images(tmp_path: Path) -> None:
    images, labels = pairs(tmp_path / "in", {f"{index}": f"0 {BOX}\n" for index in range(5)})
    header = "split,image,row,class,kitti_type,left,top,right,bottom,truncation,occlusion\n"
    body = "".join(f",{index},0,car,Car,0,0,1,1,0.0,{index}\n" for index in [*range(5), 99])
    (tmp_path / "in/kitti_objects.csv").write_text(header + body)
    split_dataset(images, labels, tmp_path / "out")
    with (tmp_path / "out/kitti_objects.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 5
    for row in rows:
        assert (tmp_path / "out/images" / row["split"] / f"{row['image']}.png").is_file()
        assert row["occlusion"] == row["image"]
    (tmp_path / "in/kitti_objects.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="is no table of"):
        split_dataset(images, labels, tmp_path / "other")


def test_a_split_made_again_is_the_same_and_another_one_is_refused(tmp_path: Path) -> None:
    images, labels = pairs(tmp_path / "in", {f"{index}": f"0 {BOX}\n" for index in range(10)})

    def tree() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}

    split_dataset(images, labels, tmp_path / "out")
    before = tree()
    split_dataset(images, labels, tmp_path / "out")
    assert tree() == before
    with pytest.raises(InputError, match="not part of this split"):
        split_dataset(images, labels, tmp_path / "out", seed=1)
    with pytest.raises(InputError, match="not part of this split"):
        split_dataset(images, labels, tmp_path / "out", (0.8, 0.1, 0.1))
    assert tree() == before
