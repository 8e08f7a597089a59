from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from frostline.datasets.pixels import read_picture
from frostline.datasets.quality import Report, inspect_dataset
from frostline.datasets.quality.look import look_at, perceptual_hash
from frostline.datasets.quality.report import box_size
from frostline.errors import InputError

BOX = "0 0.5 0.5 0.2 0.4\n1 0.3 0.3 0.2 0.2\n"


def scene(seed: int, size: tuple[int, int] = (96, 64)) -> NDArray[np.uint8]:
    """A picture with structure, unlike that of every other seed."""
    rough = np.random.default_rng(seed).integers(0, 255, (8, 12, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(rough, size, interpolation=cv2.INTER_CUBIC))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six images to train, two to validate, nothing wrong."""
    folder = tmp_path / "ein Ä"
    for split, count in {"train": 6, "val": 2}.items():
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for index in range(count):
            stem = f"{split}{index}"
            Image.fromarray(scene(index + 100 * (split == "val"))).save(folder / f"images/{split}/{stem}.png")
            (folder / f"labels/{split}/{stem}.txt").write_text(BOX)
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [car, van]\n")
    return folder


def codes(report: Report) -> dict[str, int]:
    return {finding.code: finding.count for finding in report.findings}


def test_a_good_dataset_has_no_findings(root: Path) -> None:
    report = inspect_dataset(root / "data.yaml")
    assert codes(report) == {}
    assert report.verdict == "fit to train on: nothing found"
    assert (report.images, report.boxes["val"]) == ({"train": 6, "val": 2}, {"car": 2, "van": 2})
    assert report.sizes == {"96x64": 8}
    assert report.box_sizes == {"car": dict(small=8, medium=0, large=0), "van": dict(small=8, medium=0, large=0)}


def test_truncated_and_wrong_images_are_errors_and_do_not_end_the_check(root: Path) -> None:
    for number, suffix in enumerate((".png", ".jpg", ".tif")):
        old = root / f"images/train/train{number}.png"
        place = old.with_suffix(suffix)
        Image.open(old).save(place)
        place.write_bytes(place.read_bytes()[: place.stat().st_size * 2 // 3])
        if suffix != ".png":
            old.unlink()
    (root / "images/train/train3.png").write_bytes(b"")
    (root / "images/train/train4.png").write_bytes(b"no picture")
    report = inspect_dataset(root / "data.yaml")
    assert codes(report) == {"unreadable": 5}
    assert report.verdict.startswith("not fit to train on: 1 error, 0 warnings")
    assert all("\n" not in place for place in report.findings[0].where)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("2 0.5 0.5 0.2 0.2\n", "label"),
        ("0 1.5 0.5 0.2 0.2\n", "label"),
        ("0 0.5 0.5 0.2\n", "label"),
        ("0 0.5 0.5 0 0.2\n", "no-area"),
        ("", "empty-label"),
        (None, "missing-label"),
        ("0 0.95 0.5 0.2 0.2\n", "over-border"),
        ("0 0.5 0.5 0.2 0.2\n0 0.5 0.505 0.2 0.2\n", "near-boxes"),
    ],
)
def test_each_trouble_of_labels_is_found(text: str | None, code: str, root: Path) -> None:
    label = root / "labels/train/train0.txt"
    label.unlink() if text is None else label.write_text(text)
    report = inspect_dataset(root / "data.yaml")
    assert codes(report) == {code: 1}
    assert "train0" in report.findings[0].where[0]
    assert bool(report.errors) == (code in {"label", "no-area"})


def test_boxes_of_two_classes_or_apart_are_no_doubles(root: Path) -> None:
    (root / "labels/train/train0.txt").write_text("0 0.5 0.5 0.2 0.2\n1 0.5 0.5 0.2 0.2\n0 0.5 0.53 0.2 0.2\n")
    assert codes(inspect_dataset(root / "data.yaml")) == {}


def test_a_label_without_image_is_found(root: Path) -> None:
    (root / "labels/val/other.txt").write_text(BOX)
    (root / "labels/val/classes.txt").write_text("car\nvan\n")
    assert codes(inspect_dataset(root / "data.yaml")) == {"orphan-label": 1}


def test_the_same_pixels_in_two_splits_are_an_error_whatever_the_file(root: Path) -> None:
    pixels = np.asarray(Image.open(root / "images/train/train3.png"))
    (root / "images/val/val0.png").unlink()
    tifffile.imwrite(root / "images/val/val0.tif", pixels, photometric="rgb")
    report = inspect_dataset(root / "data.yaml")
    assert codes(report) == {"leak": 1}
    assert "train3.png" in report.findings[0].where[0] and "val0.tif" in report.findings[0].where[0]
    assert report.errors


def test_the_same_picture_in_two_splits_is_found_in_another_depth_size_and_quality(root: Path) -> None:
    pixels = np.asarray(Image.open(root / "images/train/train3.png"))
    for name in ("val0", "val1"):
        (root / f"images/val/{name}.png").unlink()
    Image.fromarray(pixels).resize((120, 80)).save(root / "images/val/val0.jpg", quality=60)
    tifffile.imwrite(root / "images/val/val1.tif", pixels.astype(np.uint16) * 90 + 5, photometric="rgb")
    found = codes(inspect_dataset(root / "data.yaml"))
    assert found["near-leak"] == 2
    assert "leak" not in found


def test_a_camera_that_stood_still_gives_one_line_an_image(root: Path) -> None:
    for number, path in enumerate(sorted((root / "images").rglob("*.png"))):
        pixels = scene(0).copy()
        pixels[number, number] = 255
        Image.fromarray(pixels).save(path)
    assert codes(inspect_dataset(root / "data.yaml")) == {"near-leak": 2}


def test_a_picture_twice_in_its_split_is_a_warning(root: Path) -> None:
    (root / "images/train/train1.png").write_bytes((root / "images/train/train0.png").read_bytes())
    report = inspect_dataset(root / "data.yaml")
    assert (codes(report), report.errors) == ({"duplicate": 1}, [])


def deep(root: Path, change: str) -> None:
    """Make every image 16-bit."""
    for path in sorted((root / "images").rglob("*.png")):
        pixels = np.asarray(Image.open(path)).astype(np.uint16)
        noise = np.random.default_rng(0).integers(0, 257, pixels.shape, dtype=np.uint16)
        wide = {"full": pixels * 256 + noise % 256, "eight": pixels * 257, "dim": pixels * 3 + noise % 200}[change]
        tifffile.imwrite(path.with_suffix(".tif"), wide, photometric="rgb")
        path.unlink()


@pytest.mark.parametrize(("change", "code"), [("full", None), ("eight", "few-levels"), ("dim", "dim")])
def test_bits_that_are_not_used_are_found(change: str, code: str | None, root: Path) -> None:
    deep(root, change)
    report = inspect_dataset(root / "data.yaml")
    assert codes(report) == ({code: 8} if code else {})
    (pixels,) = report.pixels
    assert (pixels.dtype, pixels.images, pixels.channels) == ("uint16", 8, {3: 8})
    assert (pixels.levels <= 256) == (change == "eight")
    assert (pixels.share < 1 / 64) == (change == "dim")


def test_mixed_sizes_depths_channels_and_flat_or_broken_floats_are_found(root: Path) -> None:
    images = root / "images/train"
    Image.fromarray(scene(7, (120, 60))).save(images / "train0.png")
    Image.fromarray(scene(8)[..., 0]).save(images / "train1.png")
    Image.fromarray(np.full((64, 96, 3), 9, np.uint8)).save(images / "train2.png")
    (images / "train3.png").unlink()
    broken = scene(9).astype(np.float32) / 255
    broken[3, 3] = np.nan
    tifffile.imwrite(images / "train3.tif", broken, photometric="rgb")
    report = inspect_dataset(root / "data.yaml")
    expected = {"sizes": 1, "channels": 1, "one-colour": 1, "not-finite": 1, "bit-depths": 1, "few-levels": 1}
    assert codes(report) == expected
    assert [finding.code for finding in report.errors] == ["not-finite", "bit-depths"]


def test_classes_that_cannot_be_learned_or_measured_and_imbalance_are_found(root: Path) -> None:
    for path in (root / "labels/val").iterdir():
        path.write_text("0 0.5 0.5 0.2 0.2\n")
    many = [f"1 {x / 20 + 0.1:.3f} {y / 20 + 0.1:.3f} 0.01 0.01\n" for x in range(16) for y in range(16)]
    (root / "labels/train/train0.txt").write_text("".join(many))
    for index in range(1, 6):
        (root / f"labels/train/train{index}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    report = inspect_dataset(root / "data.yaml")
    assert codes(report) == {"class-not-in-val": 1, "imbalance": 2}
    assert "51 times as many van as car" in report.findings[1].message


def test_a_split_without_boxes_is_an_error(root: Path) -> None:
    for path in (root / "labels/val").iterdir():
        path.unlink()
    report = inspect_dataset(root / "data.yaml")
    assert [finding.code for finding in report.errors] == ["no-labels"]
    assert report.background == {"train": 0, "val": 2}


def test_one_process_and_several_find_the_same(root: Path) -> None:
    (root / "images/train/train4.png").write_bytes(b"no picture")
    assert inspect_dataset(root / "data.yaml", workers=2) == inspect_dataset(root / "data.yaml", workers=1)


def test_box_sizes_are_cocos() -> None:
    assert [box_size(32, side) for side in (31.9, 32, 288)] == ["small", "medium", "large"]


def test_the_perceptual_hash_knows_a_picture_and_not_another() -> None:
    grey = [scene(seed, (32, 32)).astype(np.float32).mean(axis=2) for seed in range(8)]
    hashes = [perceptual_hash(one) for one in grey]
    assert all((perceptual_hash(one * 200 + 3) == known).mean() > 0.95 for one, known in zip(grey, hashes, strict=True))
    apart = [int((a != b).sum()) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(apart) > 12


def test_every_kind_of_file_is_read_as_it_is_stored(tmp_path: Path) -> None:
    pixels = scene(1)
    for suffix in (".png", ".bmp", ".webp", ".tif"):
        Image.fromarray(pixels).save(tmp_path / f"a{suffix}", **({"lossless": True} if suffix == ".webp" else {}))
        assert np.array_equal(read_picture(tmp_path / f"a{suffix}"), pixels)
    tifffile.imwrite(tmp_path / "p.tif", np.moveaxis(pixels, -1, 0), photometric="rgb", planarconfig="separate")
    assert np.array_equal(read_picture(tmp_path / "p.tif"), pixels)
    with pytest.raises(InputError, match="not read here"):
        (tmp_path / "a.heic").write_bytes(b"x")
        read_picture(tmp_path / "a.heic")
    look = look_at((tmp_path / "gone.png", "train", 1))
    assert look.error == "no such file"


def test_what_training_would_refuse_of_the_pixels_is_an_error(root: Path) -> None:
    """The verdict is about training: a range that is exceeded, an odd type or channel count, a type it cannot take."""
    deep(root, "full")
    data = root / "data.yaml"
    plain = data.read_text()
    data.write_text(plain + "pixels: {range: [0, 4095]}\n")
    assert "range" in {finding.code for finding in inspect_dataset(data).errors}
    data.write_text(plain + "pixels: {rnage: [0, 4095]}\n")
    (wrong,) = inspect_dataset(data).errors
    assert wrong.code == "pixels" and "rnage" in wrong.where[0]
    data.write_text(plain)
    image = root / "images/train/train0.tif"
    tifffile.imwrite(image, np.zeros((64, 96, 4), np.uint16) + np.arange(96, dtype=np.uint16)[:, None])
    assert "channels" in {finding.code for finding in inspect_dataset(data).errors}
    tifffile.imwrite(image, np.random.default_rng(0).random((64, 96, 3)), photometric="rgb")
    (wrong,) = inspect_dataset(data).errors
    assert wrong.code == "unreadable" and "float64" in wrong.where[0]


def test_values_of_fewer_bits_without_a_declared_range_are_told(root: Path) -> None:
    deep(root, "full")
    for path in (root / "images").rglob("*.tif"):
        tifffile.imwrite(path, tifffile.imread(path) >> 4, photometric="rgb")
    report = inspect_dataset(root / "data.yaml")
    assert codes(report) == {"unused-bits": 1}
    (told,) = report.findings
    assert "no value is above 4095" in told.message and "range: [0, 4095]" in told.message
