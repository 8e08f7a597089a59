"""Prediction with a real network: 8 bits as plain Ultralytics, deeper images of the same light with the same boxes."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image
from tiny import save_checkpoint
from typer.testing import CliRunner, Result

import frostline as fl
from frostline.cli import app
from frostline.datasets import EIGHT_BITS, PixelFormat
from frostline.errors import InputError
from frostline.training import ImageDetections, Predictions
from frostline.training.predict_model import open_detector
from frostline.training.predict_sources import ImageLoader, KnownFormats, find_sources
from frostline.training.predictor import set_up

pytestmark = pytest.mark.integration

LOW = {"conf": 0.0, "max_det": 20, "device": "cpu"}
"""Of random weights: every box counts."""


@pytest.fixture(scope="module")
def detector(tiny_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny detector with random weights whose scores lie far apart, so that no rounding changes their order."""
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(2)
    model = DetectionModel(str(tiny_yaml), nc=10, verbose=False)
    model.args = {}
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.fill_(0.15)
    for branch in model.model[-1].cv3:
        branch[-1].weight.data.normal_(0, 0.7)
        branch[-1].bias.data.fill_(-1)
    return save_checkpoint(model, tmp_path_factory.mktemp("detector") / "loose.pt")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8-bit images of several shapes and kinds, in a folder whose name has a space and an umlaut."""
    folder = tmp_path_factory.mktemp("Bilder ä x")
    draw = np.random.default_rng(3)
    for name, (width, height) in {
        "a.png": (64, 48), "b.jpg": (64, 48), "c.tif": (150, 90), "grey.png": (33, 70), "雪.webp": (300, 200),
    }.items():  # fmt: skip
        coarse = draw.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
        (picture.convert("L") if name == "grey.png" else picture).save(folder / name)
    return folder


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["predict", *map(str, words)])


def tensors(weights: Path, images: Path, known: KnownFormats | None = None, imgsz: int = 64) -> dict[str, torch.Tensor]:
    """What reaches the first convolution, by file name."""
    network, _ = open_detector(weights, False)
    loader = ImageLoader(find_sources([images]), known or KnownFormats())
    predictor = set_up(network, "cpu", loader, imgsz=imgsz, conf=0.9, iou=0.7, max_det=1)
    seen: list[torch.Tensor] = []
    predictor.model.model.model[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    names = [Path(result.path).name for result in predictor(stream=True)]
    return dict(zip(names, seen, strict=True))


@pytest.mark.parametrize("imgsz", [64, 160])
def test_eight_bits_are_those_of_plain_ultralytics(detector: Path, photos: Path, imgsz: int) -> None:
    from ultralytics import YOLO

    plain = YOLO(detector)
    before: list[torch.Tensor] = []
    results = plain.predict(str(photos), imgsz=imgsz, iou=0.7, **LOW, verbose=False)
    expected = {Path(result.path).name: result.boxes for result in results}
    plain.predictor.model.model.model[0].register_forward_pre_hook(lambda _, inputs: before.append(inputs[0].clone()))
    plain.predict(str(photos), imgsz=imgsz, device="cpu", verbose=False)
    ours = fl.predict(detector, photos, imgsz=imgsz, **LOW)
    assert [image.file.name for image in ours.images] == list(expected) and len(expected) == 5
    for image in ours.images:
        boxes = expected[image.file.name]
        assert len(image.scores) >= 10
        assert np.allclose(image.boxes, boxes.xyxy.numpy(), atol=1e-3)
        assert np.allclose(image.scores, boxes.conf.numpy(), atol=1e-6)
        assert np.array_equal(image.classes, boxes.cls.numpy())
    after = tensors(detector, photos, imgsz=imgsz)
    assert all(torch.equal(one, other) for one, other in zip(before, after.values(), strict=True))
    assert len({tuple(tensor.shape) for tensor in before}) >= 2  # smallest rectangles, not squares


def same(image: ImageDetections, other: ImageDetections, boxes: float, scores: float) -> bool:
    return bool(
        np.allclose(image.boxes, other.boxes, atol=boxes)
        and np.allclose(image.scores, other.scores, atol=scores)
        and np.array_equal(image.classes, other.classes)
    )


def deepened(pixels: NDArray[np.uint8], kind: str) -> NDArray[np.generic]:
    return pixels.astype(np.uint16) * 257 if kind == "uint16" else pixels.astype(np.float32) / np.float32(255)


@pytest.mark.parametrize("kind", ["uint16", "float32"])
def test_the_same_light_in_more_bits_gives_the_same_boxes(
    detector: Path, photos: Path, tmp_path: Path, kind: str
) -> None:
    """No resize, 16 rows of padding: the inputs differ by rounding of float32 alone, the boxes by 0.01 px at most."""
    picture = np.asarray(Image.open(photos / "a.png"))
    tifffile.imwrite(tmp_path / "deep.tif", deepened(picture, kind), photometric="rgb")
    if kind == "uint16":
        cv2.imwrite(str(tmp_path / "deep.png"), deepened(picture, kind)[..., ::-1])
    eight = tensors(detector, photos / "a.png")["a.png"]
    assert eight.shape == (1, 3, 64, 64) and (eight[..., :8, :] == eight[0, 0, 0, 0]).all()
    for tensor in tensors(detector, tmp_path).values():
        assert tensor.dtype == torch.float32 and float((tensor - eight).abs().max()) < 1e-6
    (known,) = fl.predict(detector, photos / "a.png", imgsz=64, **LOW).images
    found = fl.predict(detector, tmp_path, imgsz=64, **LOW)
    assert found.failed == [] and len(found.images) == (2 if kind == "uint16" else 1)
    assert all(same(image, known, 0.01, 1e-5) for image in found.images)


def test_the_low_byte_reaches_the_first_convolution(detector: Path, tmp_path: Path) -> None:
    values = np.arange(64 * 64 * 3, dtype=np.uint16).reshape(64, 64, 3) % 256 + 512
    tifffile.imwrite(tmp_path / "low.tif", values, photometric="rgb", compression="zlib")
    trained = PixelFormat("uint16", 512.0, 767.0, "linear")
    expected = torch.from_numpy((values.astype(np.float32) - 512) / 255).permute(2, 0, 1)[None]
    assert torch.equal(tensors(detector, tmp_path, KnownFormats(None, trained))["low.tif"], expected)


def test_how_many_are_taken_at_once_changes_no_box(detector: Path, photos: Path) -> None:
    one, four = (fl.predict(detector, photos, imgsz=64, batch=batch, **LOW) for batch in (1, 4))
    assert len(one.images) == len(four.images) == 5
    assert all(same(image, other, 0.01, 1e-5) for image, other in zip(one.images, four.images, strict=True))


@pytest.fixture
def trained(detector: Path, tmp_path: Path) -> Path:
    """A run folder that says that it was trained on 16-bit logarithms."""
    run = tmp_path / "run"
    (run / "weights").mkdir(parents=True)
    (run / "weights/best.pt").write_bytes(detector.read_bytes())
    log = PixelFormat("uint16", 0.0, 65535.0, "log", (7.4, 13.4))
    (run / "run.json").write_text(json.dumps({"pixels": log.to_dict(), "imgsz": 96}))
    return run


def said(model: Path, images: Path, **options: object) -> tuple[Predictions, list[str]]:
    lines: list[str] = []
    return fl.predict(model, images, device="cpu", say=lines.append, **options), lines


def test_other_values_than_those_of_the_training_are_warned_of(trained: Path, photos: Path, tmp_path: Path) -> None:
    found, lines = said(trained, photos)
    warnings = [line for line in lines if line.startswith("warning")]
    assert found.settings["imgsz"] == 96 and len(found.images) == 5
    assert len(warnings) == 1 and "\n" not in warnings[0]
    assert "uint16 log from 7.4 to 13.4 in the range 0 to 65535" in warnings[0] and "holds uint8" in warnings[0]
    deep = tmp_path / "deep.tif"
    tifffile.imwrite(deep, np.full((64, 64, 3), 900, np.uint16), photometric="rgb")
    _, lines = said(trained, deep)
    assert [line for line in lines if line.startswith("warning")] == []
    assert any("uint16 images, logarithms of light from 7.4 to 13.4" in line for line in lines)
    (trained / "run.json").write_text(json.dumps({"pixels": EIGHT_BITS.to_dict(), "imgsz": 64}))
    _, lines = said(trained, deep)
    assert sum("was trained on uint8, but" in line for line in lines) == 1


def test_a_dataset_says_what_its_pixels_are(detector: Path, tmp_path: Path) -> None:
    for split, value in (("train", 700), ("val", 800)):
        (tmp_path / "images" / split).mkdir(parents=True)
        pixels = np.full((64, 64, 3), value, np.uint16)
        tifffile.imwrite(tmp_path / f"images/{split}/{split}.tif", pixels, photometric="rgb")
    content = {"train": "images/train", "val": "images/val", "names": ["a"], "pixels": {"range": [0, 750]}}
    data = tmp_path / "data.yaml"
    data.write_text(yaml.safe_dump(content))
    assert [path.name for path, _ in said(detector, data)[0].failed] == ["val.tif"]  # 800 is out of range
    found, lines = said(detector, data, split="train")
    assert [image.file.name for image in found.images] == ["train.tif"] and "750 becomes 1" in " ".join(lines)
    found, _ = said(detector, tmp_path / "images", data=data)
    assert [image.file.name for image in found.images] == ["train.tif"] and len(found.failed) == 1
    with pytest.raises(InputError, match="has no split 'vall', only train, val, did you mean 'val'"):
        said(detector, data, split="vall")


def test_the_command_draws_writes_counts_and_goes_on(detector: Path, photos: Path, tmp_path: Path) -> None:
    images, out = tmp_path / "in", tmp_path / "aus gabe ü"
    images.mkdir()
    for path in photos.iterdir():
        (images / path.name).write_bytes(path.read_bytes())
    deep = deepened(np.asarray(Image.open(photos / "a.png")), "uint16")
    tifffile.imwrite(images / "a.tif", deep, photometric="rgb")
    (images / "broken.jpg").write_bytes((photos / "b.jpg").read_bytes()[:400])
    options = ("--imgsz", 64, "--conf", "0.001", "--max-det", 3, "--device", "cpu")
    done = run(detector, images, "--out", out, "--save-txt", *options)
    assert done.exit_code == 1, done.output
    assert "images: 6; detections: 18; failed: 1" in done.stdout
    assert "broken.jpg: the image is cut off" in done.stderr and done.stderr.count("broken.jpg") == 1
    assert {path.name for path in (out / "overlays").iterdir()} == {
        "a.png.png", "a.tif.png", "b.png", "c.png", "grey.png", "雪.png",
    }  # fmt: skip
    for name, image in {"a.png": "a.png", "a.tif": "a.png", "c": "c.tif", "雪": "雪.webp"}.items():
        with Image.open(out / f"overlays/{name}.png") as drawn, Image.open(photos / image) as plain:
            assert drawn.size == plain.size
        rows = [line.split() for line in (out / f"labels/{name}.txt").read_text(encoding="utf-8").splitlines()]
        assert len(rows) == 3 and {len(row) for row in rows} == {6}
        assert all(0 <= float(number) <= 1 for row in rows for number in row[1:])
    (images / "broken.jpg").unlink()
    done = run(detector, images, "--out", out, "--no-overlays", "--json", *options)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [len(image["detections"]) for image in told["images"]] == [3] * 6
    assert [path.name for path in out.rglob("*") if path.is_file()] == ["predictions.json"]


def test_classes_are_chosen_by_name(detector: Path, photos: Path, tmp_path: Path) -> None:
    names = fl.training.open_checkpoint(detector).names
    first, second, *others = fl.predict(detector, photos, imgsz=64, **LOW).counts()
    assert others
    found = fl.predict(detector, photos, imgsz=64, classes=[second, first], **LOW)
    assert set(found.counts()) == {first, second}
    assert {names[int(index)] for image in found.images for index in image.classes} == {first, second}
    done = run(detector, photos, "--out", tmp_path / "out", "--classes", f"{names[3]}x", "--device", "cpu")
    assert done.exit_code != 0 and f"did you mean '{names[3]}'?" in str(done.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "val"}, "only a data.yaml has splits"),
        ({"conf": 1.5}, "conf 1.5: expected a number from 0 to 1"),
        ({"imgsz": 8}, "imgsz 8: expected at least 32"),
        ({"save_txt": True}, "save_txt needs a folder"),
        ({"device": "7"}, "device 7"),
        ({"data": "gone.yaml"}, "gone.yaml: there is no such file"),
    ],
)
def test_bad_arguments_are_told(detector: Path, photos: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fl.predict(detector, photos, **options)


def test_output_stays_out_of_what_is_read(detector: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lies in .*only read"):
        fl.predict(detector, photos, out=photos / "predictions", device="cpu")
    assert len(list(photos.iterdir())) == 5
