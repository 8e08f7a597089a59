"""Where the light of a dataset is found: by its conversion's record, by options, or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from frostline.datasets import load_dataset
from frostline.datasets.scenes import render_scenes
from frostline.datasets.sources import find_sources
from frostline.errors import InputError
from frostline.imaging import convert_folder, parse_isd, write_png8


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four scenes, and their conversion beside them."""
    folder = tmp_path_factory.mktemp("light")
    render_scenes(folder / "scenes", images=4, seed=3, size=(96, 64), val_fraction=0.5, workers=1)
    isd = parse_isd(str(folder / "scenes/isd.json"))
    convert_folder(folder / "scenes/linear", folder / "chroma", isd, encode="log", workers=1)
    return folder


@pytest.fixture
def light(rendered: Path, tmp_path: Path) -> Path:
    shutil.copytree(rendered, tmp_path / "light")  # moved together: the way from one to the other stays
    return tmp_path / "light"


def test_a_conversion_leads_to_its_source_and_to_the_masks_of_scenes(light: Path) -> None:
    found = find_sources(load_dataset(light / "chroma/data.yaml"))
    assert json.loads((light / "chroma/chroma.json").read_text())["source_folder"] == "../scenes/linear"
    assert found.method == "mask" and not found.own and not found.faults and len(found.images) == 2
    for image in found.images:
        assert image.source == light / f"scenes/linear/images/val/{image.name}.tiff"
        assert image.mask == light / f"scenes/masks/val/{image.name}.png"
        assert image.record is not None and image.record.source == f"images/val/{image.name}.tiff"


def test_without_a_source_the_message_says_how_to_give_one(light: Path) -> None:
    record = json.loads((light / "chroma/chroma.json").read_text())
    del record["source_folder"]  # as older versions wrote it
    (light / "chroma/chroma.json").write_text(json.dumps(record))
    dataset = load_dataset(light / "chroma/data.yaml")
    with pytest.raises(
        InputError, match=r"no light left.*give their folder with --source, or shadow masks with --masks"
    ):
        find_sources(dataset)
    (light / "chroma/chroma.json").unlink()
    with pytest.raises(InputError, match="--source"):  # its pixels tell that it is log-chromaticity
        find_sources(dataset)
    found = find_sources(dataset, light / "scenes/srgb")
    assert {image.source for image in found.images} == {
        light / f"scenes/srgb/images/val/{i.name}.png" for i in found.images
    }
    assert "does not say how it was converted" in found.faults[0]
    only_masks = find_sources(dataset, masks=light / "scenes/masks")
    assert only_masks.method == "mask" and all(image.source is None for image in only_masks.images)
    with pytest.raises(InputError, match="no such folder"):
        find_sources(dataset, light / "nowhere")


def test_other_files_than_those_converted_are_told(light: Path) -> None:
    found = find_sources(load_dataset(light / "chroma/data.yaml"), light / "scenes/srgb")
    assert "its size differs" in found.faults[0]


def test_a_dataset_that_was_not_converted_is_its_own_source(light: Path) -> None:
    dataset = load_dataset(light / "scenes/srgb/data.yaml")
    found = find_sources(dataset)
    assert found.own and found.method == "mask" and [image.source for image in found.images] == dataset.val
    (light / "scenes/scenes.json").unlink()  # a folder called masks may hold anything
    assert find_sources(dataset).method == "estimate"
    (light / f"scenes/masks/val/{dataset.val[0].stem}.png").unlink()
    with pytest.raises(InputError, match=f"no mask for {dataset.val[0].name}"):
        find_sources(dataset, masks=light / "scenes/masks")


def test_of_files_with_one_name_that_of_the_image_s_folder_is_taken(light: Path) -> None:
    dataset = load_dataset(light / "chroma/data.yaml")
    name = dataset.val[0].stem
    write_png8(light / f"more/train/{name}.png", np.zeros((4, 4), np.uint8))
    shutil.copytree(light / "scenes/masks/val", light / "more/val")
    found = {image.name: image.mask for image in find_sources(dataset, masks=light / "more").images}
    assert found[name] == light / f"more/val/{name}.png"
    (light / "more/val").rename(light / "more/other")
    with pytest.raises(InputError, match="is there several times"):
        find_sources(dataset, masks=light / "more")
