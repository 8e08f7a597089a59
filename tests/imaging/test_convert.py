from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from frostline.cli import app
from frostline.errors import InputError
from frostline.imaging import (
    IsdTable,
    chroma_image,
    convert_folder,
    read_linear,
    write_png8,
    write_tiff,
    write_tiff16,
)
from frostline.imaging.folders import copy_data_yaml, find_images
from frostline.imaging.io import read_rgb

ISD = (0.68, 0.58, 0.45)


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 65536, (12, 16, 3)).astype(np.uint16)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset of two splits, with a mask, a plot and an absolute path that must not come along."""
    root = tmp_path / "set"
    for index, split in enumerate(("train", "train", "val")):
        write_tiff16(root / "images" / split / f"{index} ö.tiff", image(index))
        label = root / "labels" / split / f"{index} ö.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(f"{index} 0.5 0.5 0.1 0.1\n")
    write_png8(root / "masks" / "train" / "0 ö.png", np.zeros((12, 16), np.uint8))
    write_png8(root / "labels.png", np.zeros((12, 16, 3), np.uint8))
    (root / "labels" / "train.cache").write_text("a pickle")
    content = {"path": str(root), "train": "images/train", "val": ["images/val"], "names": {0: "Car"}, "download": "x"}
    (root / "data.yaml").write_text(yaml.safe_dump(content))
    return root


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def state(root: Path) -> dict[str, tuple[int, bytes]]:
    return {name: ((root / name).stat().st_mtime_ns, (root / name).read_bytes()) for name in files(root)}


def test_a_dataset_keeps_its_structure_labels_and_names(dataset: Path, tmp_path: Path):
    out = tmp_path / "out"
    summary = convert_folder(dataset, out, ISD)
    assert (summary.converted, summary.skipped, summary.failed, summary.labels) == (3, 0, [], 3)
    parts = [("train", 0), ("train", 1), ("val", 2)]
    expected = [f"images/{split}/{n} ö.tiff" for split, n in parts] + [
        f"labels/{split}/{n} ö.txt" for split, n in parts
    ]
    assert files(out) == sorted(["chroma.json", "data.yaml", *expected])
    assert yaml.safe_load((out / "data.yaml").read_text()) == {
        "train": "images/train",
        "val": ["images/val"],
        "names": {0: "Car"},
        "pixels": {"range": [0, 65535], "encoding": "linear"},
    }
    assert (out / "labels/val/2 ö.txt").read_text() == "2 0.5 0.5 0.1 0.1\n"
    assert np.array_equal(read_linear(out / "images/val/2 ö.tiff"), chroma_image(image(2), ISD))


def test_the_manifest_says_where_each_image_came_from_and_which_isd_was_used(dataset: Path, tmp_path: Path, caplog):
    own = (0.5, 0.6, 0.7)
    convert_folder(dataset, tmp_path / "out", IsdTable(ISD, {"1 ö": own}), anchor=9.5, encode="log", bits=8)
    assert "2 of 3 images have no direction of their own and take the mean" in caplog.text
    manifest = json.loads((tmp_path / "out" / "chroma.json").read_text())
    assert (manifest["anchor"], manifest["encode"], manifest["bits"]) == (9.5, "log", 8)
    assert manifest["isd"] == pytest.approx(np.array(ISD) / np.linalg.norm(ISD))
    entry = manifest["images"]["images/train/1 ö.png"]
    source = dataset / "images/train/1 ö.tiff"
    assert entry["source"] == "images/train/1 ö.tiff"
    assert (entry["size_bytes"], entry["mtime_ns"]) == (source.stat().st_size, source.stat().st_mtime_ns)
    assert entry["isd"] == pytest.approx(np.array(own) / np.linalg.norm(own))
    made = read_rgb(tmp_path / "out" / "images/train/1 ö.png")
    assert np.array_equal(made, chroma_image(image(1), own, 9.5, "log", 8))


def test_a_second_run_writes_only_what_changed(dataset: Path, tmp_path: Path):
    out = tmp_path / "out"
    convert_folder(dataset, out, ISD)
    before = state(out)
    assert convert_folder(dataset, out, ISD).skipped == 3
    after = state(out)
    images = [name for name in before if name.startswith("images/")]
    assert all(after[name] == before[name] for name in images)
    write_tiff16(dataset / images[0], image(7))
    (out / images[1]).unlink()
    summary = convert_folder(dataset, out, ISD)
    assert (summary.converted, summary.skipped) == (2, 1)
    assert np.array_equal(read_linear(out / images[0]), chroma_image(image(7), ISD))
    assert convert_folder(dataset, out, ISD, anchor=9.0).converted == 3


def test_a_killed_run_is_resumed_to_the_same_bytes(dataset: Path, tmp_path: Path):
    convert_folder(dataset, tmp_path / "clean", ISD, workers=1)

    def stop(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_folder(dataset, tmp_path / "out", ISD, workers=1, progress=stop)
    assert len(list((tmp_path / "out").rglob("*.tiff"))) == 1
    summary = convert_folder(dataset, tmp_path / "out", ISD, workers=1)
    assert (summary.converted, summary.skipped) == (2, 1)
    clean, resumed = state(tmp_path / "clean"), state(tmp_path / "out")
    assert {name: content for name, (_, content) in clean.items()} == {
        name: content for name, (_, content) in resumed.items()
    }


def test_one_bad_image_is_reported_and_does_not_end_the_batch(dataset: Path, tmp_path: Path):
    broken = dataset / "images/train/0 ö.tiff"
    convert_folder(dataset, tmp_path / "out", ISD)
    broken.write_bytes(broken.read_bytes()[:300])
    write_png8(dataset / "images/val/2 ö.png", np.zeros((4, 4, 3), np.uint8))
    for workers in (1, 2):
        summary = convert_folder(dataset, tmp_path / "out", ISD, workers=workers)
        reasons = {failure.image: failure.reason for failure in summary.failed}
        assert list(reasons) == ["images/train/0 ö.tiff", "images/val/2 ö.tiff"]
        assert reasons["images/train/0 ö.tiff"].startswith("cannot be read, truncated")
        assert reasons["images/val/2 ö.tiff"] == "has the same name as images/val/2 ö.png but for its suffix"
        # What an earlier run made of it is gone, so that nothing trains on it.
        assert not (tmp_path / "out/images/train/0 ö.tiff").exists()
        assert (tmp_path / "out/images/train/1 ö.tiff").exists()
    arguments = ["chroma", "convert", str(dataset), str(tmp_path / "out"), "--isd", "0.68,0.58,0.45"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "images/train/0 ö.tiff: cannot be read" in result.output


def test_images_of_another_form_or_without_a_source_do_not_stay_behind(dataset: Path, tmp_path: Path):
    out = tmp_path / "out"
    convert_folder(dataset, out, ISD)
    (dataset / "images/val/2 ö.tiff").unlink()
    (out / "mine.txt").write_text("kept")
    assert convert_folder(dataset, out, ISD, encode="log", bits=8).removed == 3
    assert [name for name in files(out) if name.startswith("images/")] == [
        "images/train/0 ö.png",
        "images/train/1 ö.png",
    ]
    assert (out / "mine.txt").exists()


def test_srgb_is_linearised_and_the_log_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    pixels = (image(0) >> 8).astype(np.uint8)
    write_png8(tmp_path / "in/deep/er/a.png", pixels)
    write_tiff16(tmp_path / "in/b.tiff", image(1))
    with caplog.at_level(logging.INFO):
        summary = convert_folder(tmp_path / "in", tmp_path / "out", ISD)
    assert summary.linearised == 1
    assert "1 of 2 images were sRGB and were linearised first" in caplog.text
    linear = read_linear(tmp_path / "in/deep/er/a.png")
    assert np.array_equal(read_linear(tmp_path / "out/deep/er/a.tiff"), chroma_image(linear, ISD))
    assert json.loads((tmp_path / "out/chroma.json").read_text())["images"]["deep/er/a.tiff"]["linearised"] is True


def test_eight_bits_of_the_linear_form_come_with_a_warning(dataset: Path, tmp_path: Path, caplog):
    convert_folder(dataset, tmp_path / "out", ISD, bits=8)
    assert "lose dark detail" in caplog.text


def test_data_yaml_says_what_the_values_are_now(dataset: Path, tmp_path: Path):
    """A declaration of the source is not true of the copy: it is replaced, and dropped where 8 bits need none."""
    file = dataset / "data.yaml"
    file.write_text(file.read_text() + "pixels: {range: [0, 4095]}\n")

    def told(name: str) -> object:
        return yaml.safe_load((tmp_path / name / "data.yaml").read_text()).get("pixels")

    convert_folder(dataset, tmp_path / "log", ISD, encode="log", anchor=10.0)
    assert told("log") == {"range": [0, 65535], "encoding": "log", "log_range": [7.0, 13.0]}
    convert_folder(dataset, tmp_path / "byte", ISD, encode="log", bits=8)
    assert told("byte") is None


def test_lists_of_images_and_labels_beside_images_come_along(tmp_path: Path):
    src, out = tmp_path / "in", tmp_path / "out"
    for name in ("a", "b"):
        src.mkdir(exist_ok=True)
        Image.fromarray((image(0) >> 8).astype(np.uint8)).save(src / f"{name}.jpg", quality=95)
        (src / f"{name}.txt").write_text("0 0.5 0.5 1 1\n")
    (src / "lists").mkdir()
    (src / "lists/train.txt").write_text("./../a.jpg\n")
    (src / "data.yaml").write_text("path: /an/old/place\ntrain: lists/train.txt\nval: .\nnames: [x]\n")
    convert_folder(src, out, ISD)
    told = yaml.safe_load((out / "data.yaml").read_text())
    told.pop("pixels")
    assert told == {"train": "lists/train.txt", "val": ".", "names": ["x"]}
    assert (out / "lists/train.txt").read_text() == "./../a.tiff\n"
    assert [name for name in files(out) if name.endswith(".txt")] == ["a.txt", "b.txt", "lists/train.txt"]


def test_folders_that_cannot_be_right_are_refused(dataset: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "photo.png").write_text("precious")
    link = tmp_path / "link"
    link.symlink_to(dataset)
    cases = [
        (dataset, dataset, "lies in the source folder"),
        (dataset, dataset / "images" / "out", "lies in the source folder"),
        (dataset, link / "out", "lies in the source folder"),
        (dataset, tmp_path, "holds the source folder"),
        (dataset, tmp_path / "full", "not empty and has no chroma.json"),
        (dataset, dataset / "data.yaml", "lies in the source folder"),
        (tmp_path / "nowhere", tmp_path / "out", "no such folder"),
        (dataset / "data.yaml", tmp_path / "out", "is a file"),
        (tmp_path / "empty", tmp_path / "out", "no images"),
    ]
    for source, target, said in cases:
        with pytest.raises(InputError, match=said):
            convert_folder(source, target, ISD)
    assert (tmp_path / "full" / "photo.png").read_text() == "precious"
    (tmp_path / "elsewhere").mkdir()
    (dataset / "data.yaml").write_text("train: ../elsewhere\nval: images/val\n")
    with pytest.raises(InputError, match=r"'../elsewhere' is not below"):
        convert_folder(dataset, tmp_path / "out", ISD)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_cannot_be_written_is_one_line(dataset: Path, tmp_path: Path):
    (tmp_path / "locked").mkdir(mode=0o555)
    with pytest.raises(InputError, match="cannot be written"):
        convert_folder(dataset, tmp_path / "locked" / "out", ISD)


def test_parameters_that_cannot_be_right_are_refused(dataset: Path, tmp_path: Path):
    for wrong in ({"bits": 12}, {"encode": "cube"}, {"anchor": float("inf")}, {"transfer": "x"}, {"workers": 0}):
        with pytest.raises(InputError):
            convert_folder(dataset, tmp_path / "out", ISD, **wrong)
    with pytest.raises(InputError, match="above zero"):
        convert_folder(dataset, tmp_path / "out", (1, 0, 1))
    assert not (tmp_path / "out").exists()


def test_a_suffix_renames_images_and_labels_together(dataset: Path, tmp_path: Path):
    convert_folder(dataset, tmp_path / "out", ISD, suffix="_lc")
    assert files(tmp_path / "out")[2:4] == ["images/train/0 ö_lc.tiff", "images/train/1 ö_lc.tiff"]
    assert (tmp_path / "out/labels/val/2 ö_lc.txt").read_text() == "2 0.5 0.5 0.1 0.1\n"
    with pytest.raises(InputError, match="part of a file name"):
        convert_folder(dataset, tmp_path / "other", ISD, suffix="a/b")


def test_previews_are_eight_bit_log_forms_that_no_dataset_takes_for_images(dataset: Path, tmp_path: Path):
    out = tmp_path / "out"
    convert_folder(dataset, out, ISD)
    assert convert_folder(dataset, out, ISD, previews=True).converted == 3
    assert convert_folder(dataset, out, ISD, previews=True).skipped == 3
    made = read_rgb(out / "previews/train/0 ö.png")
    assert np.array_equal(made, chroma_image(image(0), ISD, encode="log", bits=8))
    assert [path.as_posix() for path in find_images(out)] == [n for n in files(out) if n.startswith("images/")]
    flat = tmp_path / "flat"
    write_tiff16(flat / "a.tiff", image(0))
    convert_folder(flat, tmp_path / "flat-out", ISD, previews=True)
    assert [path.as_posix() for path in find_images(tmp_path / "flat-out")] == ["a.tiff"]
    (flat / "a.tiff").rename(flat / "b.tiff")
    convert_folder(flat, tmp_path / "flat-out", ISD, previews=True)
    assert [name for name in files(tmp_path / "flat-out")] == ["b.tiff", "chroma.json", "previews/b.png"]


def test_saturated_pixels_are_counted_in_the_manifest_and_masked_where_asked(tmp_path: Path):
    pixels = np.full((4, 5, 3), 5000, np.uint16)
    pixels[1, 2, 0] = 65535
    write_tiff16(tmp_path / "in/a.tiff", pixels)
    summary = convert_folder(tmp_path / "in", tmp_path / "out", ISD)
    assert summary.saturated == 1
    assert json.loads((tmp_path / "out/chroma.json").read_text())["images"]["a.tiff"]["saturated"] == 1
    assert read_linear(tmp_path / "out/a.tiff").all()
    assert convert_folder(tmp_path / "in", tmp_path / "out", ISD, mask_saturated=True).converted == 1
    assert np.argwhere(~read_linear(tmp_path / "out/a.tiff").any(axis=2)).tolist() == [[1, 2]]


def test_a_conversion_can_begin_at_a_name(dataset: Path, tmp_path: Path):
    out = tmp_path / "out"
    for name in ("1 ö", "1 ö.tiff", "images/train/1 ö.tiff"):
        summary = convert_folder(dataset, out, ISD, start=name)
        assert summary.converted + summary.skipped == 2
        assert not (out / "images/train/0 ö.tiff").exists()
    summary = convert_folder(dataset, out, ISD)
    assert (summary.converted, summary.skipped) == (1, 2)
    assert convert_folder(dataset, out, ISD, start="2 ö").removed == 0
    assert (out / "images/train/0 ö.tiff").exists()
    with pytest.raises(InputError, match=r"did you mean '2 ö\.tiff'"):
        convert_folder(dataset, out, ISD, start="2 o.tif")
    with pytest.raises(InputError, match="parameters differ"):
        convert_folder(dataset, out, ISD, anchor=9, start="2 ö")


def test_float_images_keep_what_sixteen_bits_would_round_away(tmp_path: Path):
    pixels = np.random.default_rng(0).uniform(1, 9, (6, 7, 3)).astype(np.float32)
    pixels[0, 0] = 30000
    write_tiff(tmp_path / "in/a.tiff", pixels)
    convert_folder(tmp_path / "in", tmp_path / "out", ISD)
    assert np.array_equal(read_linear(tmp_path / "out/a.tiff"), chroma_image(pixels, ISD))


def test_the_table_of_occlusion_goes_along_while_the_images_keep_their_names(tmp_path: Path):
    source = tmp_path / "kitti"
    for split in ("train", "val"):
        (source / "images" / split).mkdir(parents=True)
    (source / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [Car]\n")
    (source / "kitti_objects.csv").write_text("split,image\nval,a\n")
    assert copy_data_yaml(source, tmp_path / "same", {"images/val/a.png": "images/val/a.tif"})
    assert (tmp_path / "same" / "kitti_objects.csv").read_text() == "split,image\nval,a\n"
    assert copy_data_yaml(source, tmp_path / "renamed", {"images/val/a.png": "images/val/a_log.tif"})
    assert not (tmp_path / "renamed" / "kitti_objects.csv").exists()
