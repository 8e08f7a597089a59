from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from frostline.cli import app
from frostline.datasets import check_labels, load_dataset
from frostline.errors import InputError

TAIL = "1.6 1.6 3.7 -2.7 1.7 3.7 -1.3"


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["data", *map(str, words)])


def cells(output: str) -> list[list[str]]:
    return [[cell.strip() for cell in row.split("│")[1:-1]] for row in output.splitlines()]


@pytest.fixture
def kitti(tmp_path: Path) -> Path:
    """Ten images in a KITTI folder whose name has a space, an umlaut and brackets."""
    folder = tmp_path / "KITTI [ä] set"
    for sub in ("image_2", "label_2"):
        (folder / sub).mkdir(parents=True)
    draw = np.random.default_rng(0)
    for index in range(10):
        small = Image.fromarray(draw.integers(0, 255, (10, 20, 3), dtype=np.uint8))
        small.resize((200, 100), Image.Resampling.BICUBIC).save(folder / f"image_2/{index:06}.png")
        text = f"Van 0.10 {index % 3} -1.57 20 10 120 60 {TAIL}\nDontCare -1 -1 -10 0 0 9 9 {TAIL}\n"
        (folder / f"label_2/{index:06}.txt").write_text(text + f"Person_sitting 0 0 0 5 5 25 45 {TAIL}\n")
    return folder


def test_the_whole_way_from_kitti_to_overlays(kitti: Path, tmp_path: Path) -> None:
    whole, split, drawn = tmp_path / "all", tmp_path / "split", tmp_path / "drawn"
    done = run("convert", "--from", "kitti", kitti, whole, "--map", "Van=Car,Person_sitting=Pedestrian")
    assert done.exit_code == 0, done.output
    assert "images: 10; boxes: 20 (Car 10, Cyclist 0, Pedestrian 10, Tram 0, Truck 0)" in done.output
    assert "left out: DontCare 10;" in done.output
    done = run("split", whole / "images", whole / "labels", split, "--ratio", "0.8", "--seed", "42")
    assert done.exit_code == 0, done.output
    assert ["Car", "8", "2", "10"] in cells(done.output)
    assert ["images", "8", "2", "10"] in cells(done.output)
    done = run("check", split / "data.yaml")
    assert done.exit_code == 0, done.output
    assert "verdict: fit to train on" in done.output
    done = run("draw", split / "data.yaml", drawn, "--split", "val")
    assert done.exit_code == 0, done.output
    assert (len(list((drawn / "val").iterdir())), (drawn / "contact-sheet.png").is_file()) == (2, True)


def test_convert_and_split_give_what_the_shortcut_gives(kitti: Path, tmp_path: Path) -> None:
    assert run("kitti", kitti, tmp_path / "short").exit_code == 0
    run("convert", "--from", "kitti", kitti, tmp_path / "all")
    run("split", tmp_path / "all/images", tmp_path / "all/labels", tmp_path / "long")

    def tree(root: Path) -> dict[str, bytes]:
        files = (path for path in root.rglob("*") if path.is_file() and path.name != "data.yaml")
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}

    assert tree(tmp_path / "long") == tree(tmp_path / "short")
    assert len(tree(tmp_path / "long")) == 21
    one, other = (check_labels(load_dataset(tmp_path / kind / "data.yaml")) for kind in ("short", "long"))
    assert one == other


def test_what_was_left_out_is_named_and_ends_with_status_1(kitti: Path, tmp_path: Path) -> None:
    (kitti / "label_2/000001.txt").unlink()
    done = run("convert", "--from", "kitti", kitti, tmp_path / "all", "--classes", "Car", "--map", "Van=Car", "--link")
    assert (done.exit_code, "000001.png: has no label_2/000001.txt, left out" in done.output) == (1, True)
    assert (tmp_path / "all/images/000000.png").is_symlink()
    (tmp_path / "all/labels/000002.txt").unlink()
    done = run(
        "split", tmp_path / "all/images", tmp_path / "all/labels", tmp_path / "split", "--ratio", "0.5,0.25,0.25"
    )
    assert done.exit_code == 1
    assert "000002.png: has no label" in done.output
    assert ["images", "4", "2", "2", "8"] in cells(done.output)


def test_check_prints_json_and_exits_1_on_errors_alone(kitti: Path, tmp_path: Path) -> None:
    run("kitti", kitti, tmp_path / "set")
    label = next((tmp_path / "set/labels/train").iterdir())
    label.write_text("")
    done = run("check", tmp_path / "set/data.yaml", "--json")
    content = json.loads(done.output)
    assert (done.exit_code, content["fit"]) == (0, True)
    assert {finding["code"]: finding["count"] for finding in content["findings"]}["empty-label"] == 1
    assert content["findings"][0]["where"] == [str(label)]
    image = next((tmp_path / "set/images/val").iterdir())
    image.write_bytes(image.read_bytes()[:99])
    done = run("check", tmp_path / "set/data.yaml")
    assert done.exit_code == 1
    assert f"error: 1 image(s) cannot be read\n  {image} (cannot be read, truncated or corrupt" in done.output
    assert done.output.splitlines()[-1].startswith("verdict: not fit to train on: 1 error,")
    drawn = run("draw", tmp_path / "set/data.yaml", tmp_path / "drawn")
    assert (drawn.exit_code, f"{image}: cannot be read" in drawn.output) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        ("convert", "--from", "kitti", "{0}/nowhere", "{0}/out"),
        ("convert", "--from", "labelme", "{0}", "{0}/out"),
        ("convert", "--from", "voc", "{0}", "{0}/out"),
        ("convert", "--from", "coco", "{0}", "{0}/out"),
        ("convert", "--from", "yolo", "{0}", "{0}/out"),
        ("split", "{0}", "{0}", "{0}/out"),
        ("split", "{0}", "{0}", "{0}/out", "--ratio", "80"),
        ("check", "{0}/data.yaml"),
        ("draw", "{0}/data.yaml", "{0}/out"),
    ],
)
def test_bad_input_is_one_line(words: tuple[str, ...], tmp_path: Path) -> None:
    done = run(*(word.format(tmp_path) for word in words))
    assert isinstance(done.exception, InputError), done.output
    assert "\n" not in str(done.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.shared
def test_kitti101_is_fit_and_its_repeated_scenes_are_told(shared_dir: Path, tmp_path: Path) -> None:
    run("convert", "--from", "kitti", shared_dir / "data/kitti101", tmp_path / "all", "--link")
    run("split", tmp_path / "all/images", tmp_path / "all/labels", tmp_path / "set", "--link")
    content = json.loads(run("check", tmp_path / "set/data.yaml", "--json").output)
    assert (content["fit"], content["images"]) == (True, {"train": 80, "val": 21})
    near = next(finding for finding in content["findings"] if finding["code"] == "near-leak")
    assert any("000070" in pair and "000028" in pair for pair in near["where"])
