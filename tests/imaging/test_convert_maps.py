from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from frostline.cli import app
from frostline.errors import InputError
from frostline.imaging import chroma_image, convert_folder, maps_of, read_linear, tiff_metadata, unit_isd, write_tiff16
from frostline.imaging.estimate import Maps, estimate_folder

SIZE = (12, 16, 3)
STEMS = ("train/a", "train/b ö", "val/c")


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 65536, SIZE).astype(np.uint16)


def directions(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.2, 3.0, SIZE).astype(np.float32)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three images with a map each, in a folder of their own."""
    for index, stem in enumerate(STEMS):
        write_tiff16(tmp_path / "photos" / "images" / f"{stem}.tiff", pixels(index))
        file = tmp_path / "maps" / "images" / f"{stem}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, directions(index))
    return tmp_path / "photos"


def run(*words: object):
    return CliRunner().invoke(app, ["chroma", "convert", *map(str, words)])


def test_every_pixel_loses_its_own_direction_and_the_metadata_name_the_map(photos: Path, tmp_path: Path):
    done = run(photos, tmp_path / "out", "--isd-maps", tmp_path / "maps")
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "out" / "chroma.json").read_text())
    assert record["isd_maps"] == {"folder": "../maps", "suffix": ".npy"} and "isd" not in record
    for index, stem in enumerate(STEMS):
        file = tmp_path / "out" / "images" / f"{stem}.tiff"
        assert np.array_equal(read_linear(file), chroma_image(pixels(index), directions(index)))
        mean = unit_isd(unit_isd(directions(index)).reshape(-1, 3).mean(axis=0)).tolist()
        told, known = tiff_metadata(file), record["images"][f"images/{stem}.tiff"]
        assert told["isd_map"] == known["isd_map"]["file"] == f"images/{stem}.npy"
        assert told["isd"] == known["isd"] == pytest.approx(mean, abs=1e-6)


def test_maps_beside_the_images_need_a_suffix_and_are_no_images(photos: Path, tmp_path: Path):
    for index, stem in enumerate(STEMS):
        tifffile.imwrite(photos / "images" / f"{stem}.isd.tiff", directions(index))
    assert run(photos, tmp_path / "out", "--isd-map-suffix", ".isd.tiff").exit_code == 0
    assert [p.name for p in sorted((tmp_path / "out").rglob("*.tiff"))] == ["a.tiff", "b ö.tiff", "c.tiff"]
    assert np.array_equal(read_linear(tmp_path / "out/images/val/c.tiff"), chroma_image(pixels(2), directions(2)))
    assert list(estimate_folder(photos, Maps(photos, None, ".isd.tiff")).images) == [f"images/{s}.tiff" for s in STEMS]
    for suffix, words in ((".npy", "would be taken for images"), (".isd.png", "end in .npy, .tif or .tiff")):
        done = run(photos, tmp_path / "other", "--isd-map-suffix", suffix)
        assert isinstance(done.exception, InputError) and words in str(done.exception)


def test_a_folder_of_tiff_maps_within_the_source_holds_no_images(tmp_path: Path):
    write_tiff16(tmp_path / "in" / "a.tiff", pixels(0))
    tifffile.imwrite(tmp_path / "in" / "a-map.tiff", directions(9))  # an image by its name, whatever it holds
    (tmp_path / "in" / "maps").mkdir()
    tifffile.imwrite(tmp_path / "in" / "maps" / "a.tiff", directions(0))
    summary = convert_folder(tmp_path / "in", tmp_path / "out", maps_of(tmp_path / "in", tmp_path / "in/maps", ".tiff"))
    assert summary.converted == 1
    assert [failure.image for failure in summary.failed] == ["a-map.tiff"]


def test_only_images_whose_map_changed_are_converted_again(photos: Path, tmp_path: Path):
    maps = maps_of(photos, tmp_path / "maps", None)
    assert convert_folder(photos, tmp_path / "out", maps).converted == 3
    assert convert_folder(photos, tmp_path / "out", maps).skipped == 3
    np.save(tmp_path / "maps/images/val/c.npy", directions(7))
    summary = convert_folder(photos, tmp_path / "out", maps)
    assert (summary.converted, summary.skipped) == (1, 2)
    assert np.array_equal(read_linear(tmp_path / "out/images/val/c.tiff"), chroma_image(pixels(2), directions(7)))
    assert convert_folder(photos, tmp_path / "out", (1, 1, 1)).converted == 3
    assert convert_folder(photos, tmp_path / "out", maps).converted == 3


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda m: m * (np.arange(192).reshape(12, 16, 1) > 4), "has 5 zero vectors of 192"),
        (lambda m: np.where(np.arange(192).reshape(12, 16, 1) > 4, m, -m), "has 5 bad pixels of 192"),
        (lambda m: np.where(np.arange(192).reshape(12, 16, 1) > 4, m, np.nan), "has 5 bad pixels of 192"),
        (lambda m: m[:, :9], "is 9 x 12 but its image is 16 x 12"),
        (lambda m: m[..., :2], "has shape (H, W, 3)"),
        (lambda m: None, "no such ISD map"),
    ],
)
def test_a_bad_map_is_the_failure_of_its_image_alone(photos: Path, tmp_path: Path, spoil, said: str):
    file = tmp_path / "maps/images/val/c.npy"
    bad = spoil(directions(2))
    file.unlink()
    if bad is not None:
        np.save(file, bad)
    done = run(photos, tmp_path / "out", "--isd-maps", tmp_path / "maps")
    assert done.exit_code == 1
    assert "converted 2, skipped 0 (unchanged), failed 1" in done.output
    assert done.stderr.splitlines()[-1].startswith(f"images/val/c.tiff: {file}: ") and said in done.stderr
    assert not (tmp_path / "out/images/val/c.tiff").exists()


def test_a_direction_comes_from_one_place(photos: Path, tmp_path: Path):
    for words, said in (
        ((), "neither was given"),
        (("--isd", "1,1,1", "--isd-maps", tmp_path / "maps"), "both were given"),
        (("--isd", "1,1,1", "--isd-map-suffix", ".isd.npy"), "both were given"),
        (("--isd-maps", tmp_path / "nowhere"), "no such folder of ISD maps"),
    ):
        done = run(photos, tmp_path / "out", *words)
        assert isinstance(done.exception, InputError) and said in str(done.exception)


def test_convert_takes_the_direction_of_each_image_that_estimate_wrote(photos: Path, tmp_path: Path):
    words = ["chroma", "estimate", photos, "--method", "map", "--maps", tmp_path / "maps", "--per-image"]
    done = CliRunner().invoke(app, [*map(str, words), "--out", str(tmp_path / "isd.yaml")])
    assert done.exit_code == 0, done.output
    assert run(photos, tmp_path / "out", "--isd", tmp_path / "isd.yaml").exit_code == 0
    for index, stem in enumerate(STEMS):
        told = tiff_metadata(tmp_path / "out" / "images" / f"{stem}.tiff")
        assert told["isd"] == pytest.approx(unit_isd(directions(index).reshape(-1, 3).mean(axis=0)), abs=0.02)
    used = {tuple(tiff_metadata(file)["isd"]) for file in (tmp_path / "out").rglob("*.tiff")}
    assert len(used) == 3
