"""A dataset on the node's disk: the same images, labels and names, whole, one copy a node, or the original."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest
import yaml

from frostline.datasets import label_path, load_dataset
from frostline.errors import InputError
from frostline.studies.executors import staging
from frostline.studies.executors.staging import node_folder, stage


def dataset(folder: Path, count: int = 6) -> Path:
    for split, images in (("train", count), ("val", 2)):
        for part in ("images", "labels"):
            (folder / part / split).mkdir(parents=True)
        for index in range(images):
            (folder / "images" / split / f"{index}.png").write_bytes(bytes([index]) * (100 + index))
            if index != 1:
                (folder / "labels" / split / f"{index}.txt").write_text(f"{index % 2} 0.5 0.5 0.1 0.1\n")
    (folder / "images" / "train" / "0.npy").write_bytes(b"an array")
    content = {"path": str(folder), "train": "images/train", "val": ["images/val"], "names": ["red", "green"]}
    content |= {"pixels": {"encoding": "srgb"}, "download": "print('never')"}
    (folder / "data.yaml").write_text(yaml.safe_dump(content))
    return folder / "data.yaml"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return dataset(tmp_path / "set")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    (tmp_path / "node").mkdir()
    return tmp_path / "node"


def test_the_copy_is_the_dataset(data: Path, disk: Path) -> None:
    said: list[str] = []
    place = Path(stage(str(data), str(disk), said.append))
    original, copy = load_dataset(data), load_dataset(place)
    assert place.is_relative_to(disk) and copy.names == original.names and copy.pixels == {"encoding": "srgb"}
    for split, images in original.splits.items():
        copies = copy.splits[split]
        assert [one.name for one in copies] == [one.name for one in images]
        for one, other in zip(images, copies, strict=True):
            assert other.is_relative_to(disk) and other.read_bytes() == one.read_bytes()
            assert label_path(other).is_file() == label_path(one).is_file()
    assert copy.train[0].with_suffix(".npy").read_bytes() == b"an array"
    assert "download" not in place.read_text() and "path" not in yaml.safe_load(place.read_text())
    assert said[0] == f"copying 15 files of {data} to {place.parent}" and place.parent.stat().st_mode & 0o777 == 0o700
    # and once
    again: list[str] = []
    assert stage(str(data), str(disk), again.append) == str(place)
    assert again == [f"images and labels of {data} are read from {place.parent}"]


def test_a_copy_that_lost_files_is_mended(data: Path, disk: Path) -> None:
    place = Path(stage(str(data), str(disk), lambda _: None))
    copy = load_dataset(place)
    copy.train[2].unlink()
    copy.val[0].write_bytes(b"torn")
    (place.parent / "val.txt").unlink()
    said: list[str] = []
    assert stage(str(data), str(disk), said.append) == str(place)
    assert said[0].startswith("copying 2 files") and load_dataset(place).splits == copy.splits
    assert copy.val[0].read_bytes() == load_dataset(data).val[0].read_bytes()


def test_another_state_of_the_dataset_is_another_copy(data: Path, disk: Path) -> None:
    first = stage(str(data), str(disk), lambda _: None)
    image = load_dataset(data).train[0]
    os.utime(image, ns=(1, image.stat().st_mtime_ns + 5))
    second = stage(str(data), str(disk), lambda _: None)
    assert first != second and Path(first).is_file()


def test_runs_on_a_node_share_one_copy(data: Path, disk: Path) -> None:
    said: list[str] = []
    threads = [threading.Thread(target=stage, args=(str(data), str(disk), said.append)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("copying" in line for line in said) == 1 and sum("are read from" in line for line in said) == 4


def test_without_room_the_original_is_used(data: Path, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    usage = shutil.disk_usage(disk)._replace(free=100)
    monkeypatch.setattr(staging.shutil, "disk_usage", lambda _: usage)
    assert stage(str(data), str(disk), said.append) == str(data)
    assert len(said) == 1 and said[0].startswith(f"warning: {data} is used where it is") and "are free" in said[0]


def test_a_place_is_a_folder_of_the_node(
    data: Path, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_TMPDIR", str(disk))
    assert node_folder(True) == disk and node_folder("$SLURM_TMPDIR") == disk
    monkeypatch.delenv("SLURM_TMPDIR")
    with pytest.raises(InputError, match=r"stage_data: \$SLURM_TMPDIR is not set in this job"):
        node_folder(True)
    with pytest.raises(InputError, match="no such folder on this node"):
        node_folder(str(tmp_path / "nothing"))
    (disk / "images" / "x").mkdir(parents=True)
    bare = tmp_path / "bare"  # images outside any folder `images`: their labels are beside them
    bare.mkdir()
    for name in ("a.png", "a.txt"):
        (bare / name).write_text("0 0.5 0.5 0.1 0.1\n")
    (bare / "data.yaml").write_text("train: .\nval: .\nnames: [red]\n")
    with pytest.raises(InputError, match="name a folder without `images` in its path"):
        stage(str(bare / "data.yaml"), str(disk / "images" / "x"), lambda _: None)


def test_a_folder_of_another_user_is_refused(data: Path, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage(str(data), str(disk), lambda _: None)
    monkeypatch.setattr(staging.os, "getuid", lambda: os.geteuid() + 1)
    with pytest.raises(InputError, match="another user's"):
        stage(str(data), str(disk), lambda _: None)
