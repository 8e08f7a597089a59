"""What is predicted on and what is written for it, without a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from frostline.datasets import EIGHT_BITS, PixelFormat
from frostline.errors import InputError
from frostline.imaging.io import write_tiff16
from frostline.training.predict_model import find_weights, run_facts
from frostline.training.predict_outputs import ImageDetections, PredictionFolder, Predictions, yolo_text
from frostline.training.predict_sources import ImageLoader, KnownFormats, Source, find_sources, named

LOG = PixelFormat("uint16", 0.0, 65535.0, "log", (7.4, 13.4))


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def loader(*paths: Path, known: KnownFormats | None = None, batch: int = 1) -> ImageLoader:
    return ImageLoader([Source(path, path.name) for path in paths], known or KnownFormats(), batch)


def test_images_whose_names_collide_get_names_of_their_own() -> None:
    inner = ["a.png", "a.tif", "b.png", "sub/b.png", "c.x.png", "A.JPG"]
    pairs = [(Path("one") / name, Path(name)) for name in inner] + [(Path("two/b.png"), Path("b.png"))]
    names = [source.name for source in named(pairs)]
    assert names == ["a.png", "a.tif", "b.png", "sub/b", "c.x", "A.JPG", "b.png-2"]
    assert len({name.casefold() for name in names}) == len(names)


def test_folders_are_searched_and_nothing_counts_twice(tmp_path: Path) -> None:
    touch(tmp_path, "a ä.png", "sub/b.WEBP", ".hidden/c.png", "notes.txt", "ds/images/val/d.png", "ds/masks/d.png")
    found = find_sources([tmp_path / "sub", tmp_path / "a ä.png", tmp_path / "sub/b.WEBP", tmp_path / "ds"])
    assert [source.path.relative_to(tmp_path).as_posix() for source in found] == [
        "sub/b.WEBP",
        "a ä.png",
        "ds/images/val/d.png",
    ]
    assert [source.name for source in found] == ["b", "a ä", "images/val/d"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("gone.png", "no such image or folder"), ("notes.txt", "not an image"), ("empty", "no images; expected files")],
)
def test_what_is_no_image_is_told(tmp_path: Path, name: str, message: str) -> None:
    touch(tmp_path, "notes.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=f"{name}: .*{message}"):
        find_sources([tmp_path / name])


def test_the_format_is_what_was_declared_else_trained_on_else_told_by_the_file(tmp_path: Path) -> None:
    deep, plain, linear, floats = (tmp_path / name for name in ("d.tif", "p.png", "l.tif", "f.tif"))
    tifffile.imwrite(deep, np.full((8, 8, 3), 900, np.uint16), photometric="rgb")
    tifffile.imwrite(floats, np.full((8, 8, 3), 0.5, np.float32), photometric="rgb")
    Image.new("RGB", (8, 8)).save(plain)
    write_tiff16(linear, np.full((8, 8, 3), 900, np.uint16), {"encode": "linear"})
    twelve = PixelFormat("uint16", 0.0, 4095.0, "log", (1.0, 2.0))

    def of(path: Path, **known: Any) -> tuple[Any, ...]:
        return loader(known=KnownFormats(**known)).read(path)[1].scale

    assert of(deep) == ("uint16", 0.0, 65535.0, "linear", None)
    assert of(floats) == ("float32", 0.0, 1.0, "linear", None)
    assert of(plain, trained=LOG) == EIGHT_BITS.scale
    assert of(deep, trained=twelve) == twelve.scale
    assert of(linear, trained=twelve) == ("uint16", 0.0, 4095.0, "linear", None)
    assert of(floats, trained=twelve) == ("float32", 0.0, 1.0, "linear", None)
    assert of(linear, trained=twelve, declared=(LOG, Path("data.yaml"))) == LOG.scale
    with pytest.raises(InputError, match=r"p.png: holds uint8 values, not uint16 like the images of data.yaml"):
        of(plain, declared=(LOG, Path("data.yaml")))
    tifffile.imwrite(floats, np.full((8, 8, 3), 7.5, np.float32), photometric="rgb")
    with pytest.raises(InputError, match=r"f.tif: holds values from 7.5 to 7.5, outside the range 0 to 1"):
        of(floats)


def test_a_batch_holds_images_of_one_shape_and_type_and_bad_ones_are_left_out(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for path, width in zip(paths, (8, 8, 8, 9, 9, 9), strict=True):
        Image.new("RGB", (width, 8), (1, 2, 3)).save(path)
    paths[4].write_bytes(paths[4].read_bytes()[:-20])
    deep = tmp_path / "deep.tif"
    tifffile.imwrite(deep, np.full((8, 9, 3), 900, np.uint16), photometric="rgb")
    images = loader(*paths, deep, tmp_path / "gone.png", batch=2)
    batches = [([Path(path).name for path in names], pixels[0].kind) for names, _, pixels in images]
    assert batches == [
        (["0.png", "1.png"], "uint8"),
        (["2.png"], "uint8"),
        (["3.png", "5.png"], "uint8"),
        (["deep.tif"], "uint16"),
    ]
    assert [path.name for path, _ in images.failed] == ["4.png", "gone.png"]
    assert "the image is cut off" in images.failed[0][1] and str(tmp_path) not in images.failed[0][1]


def test_a_run_tells_what_its_model_was_trained_on(tmp_path: Path) -> None:
    best = tmp_path / "run/stage2/weights/best.pt"
    touch(tmp_path, "run/weights/best.pt", "run/stage2/weights/best.pt", "bare/best.pt")
    assert run_facts(tmp_path / "bare/best.pt").pixels is None
    (tmp_path / "run/args.yaml").write_text("imgsz: 320\n")
    assert (run_facts(best).pixels, run_facts(best).imgsz) == (EIGHT_BITS, 320)
    (tmp_path / "run/run.json").write_text(json.dumps({"pixels": LOG.to_dict(), "imgsz": 96}))
    for file in (best, tmp_path / "run/weights/best.pt"):
        assert (run_facts(file).pixels, run_facts(file).imgsz) == (LOG, 96)
    assert find_weights(tmp_path / "run") == tmp_path / "run/weights/best.pt"
    with pytest.raises(InputError, match=r"bare: has no weights/best.pt"):
        find_weights(tmp_path / "bare")
    with pytest.raises(InputError, match=r"yolo11n.yaml: a model YAML has no weights"):
        find_weights("yolo11n.yaml")


def detections(file: Path) -> ImageDetections:
    boxes = np.array([[10, 20, 30, 40], [0, 0, 100, 50]], np.float32)
    return ImageDetections(file, (100, 50), boxes, np.array([0.9, 0.5], np.float32), np.array([1, 0]))


def test_yolo_text_is_class_centre_size_and_confidence() -> None:
    found = detections(Path("a.png"))
    assert yolo_text(found.rows(), found.scores) == (
        "1 0.200000 0.600000 0.200000 0.400000 0.900000\n0 0.500000 0.500000 1.000000 1.000000 0.500000\n"
    )


def write(out: Path, *sources: Source, overlays: bool = True, save_txt: bool = True) -> None:
    folder = PredictionFolder(out, sources, overlays=overlays, save_txt=save_txt)
    found = [detections(source.path) for source in sources]
    for one in found:
        folder.write(one, np.zeros((50, 100, 3), np.uint16), {0: "Car", 1: "Fußgänger"})
    folder.close(Predictions(Path("m.pt"), {0: "Car", 1: "Fußgänger"}, found))
    folder.stop()


def files(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def test_a_second_prediction_takes_the_place_of_the_first(tmp_path: Path) -> None:
    out = tmp_path / "aus gabe"
    write(out, Source(Path("雪.png"), "雪"), Source(Path("x/b.tif"), "x/b"))
    assert files(out) == {
        "predictions.json",
        "overlays/雪.png",
        "overlays/x/b.png",
        "labels/雪.txt",
        "labels/x/b.txt",
    }
    assert np.asarray(Image.open(out / "overlays/雪.png")).any()
    write(out, Source(Path("雪.png"), "雪"), overlays=False)
    assert files(out) == {"predictions.json", "labels/雪.txt"}
    record = json.loads((out / "predictions.json").read_text(encoding="utf-8"))
    assert record["images"][0]["detections"][0] == {
        "class": 1,
        "name": "Fußgänger",
        "score": 0.9,
        "box": [10.0, 20.0, 30.0, 40.0],
    }


def test_foreign_files_and_sources_are_never_written_over(tmp_path: Path) -> None:
    source = Source(tmp_path / "in/a.png", "a")
    touch(tmp_path, "in/a.png", "full/mine.txt", "file", "other/predictions.json")
    for out, message in (
        ("full", "is not empty and has no predictions.json"),
        ("file", "is a file"),
        ("other", "not a record of predictions"),
        ("in", "holds .*a.png, which is read"),
        ("file/below", "cannot be written"),
    ):
        with pytest.raises(InputError, match=message):
            PredictionFolder(tmp_path / out, [source], overlays=True, save_txt=False)
    assert files(tmp_path) == {"in/a.png", "full/mine.txt", "file", "other/predictions.json"}
    record = {"version": 1, "files": ["../in/a.png", "mine.txt", "overlays/../mine.txt", "/labels/x"]}
    (tmp_path / "full/predictions.json").write_text(json.dumps(record))
    write(tmp_path / "full", source)
    assert (tmp_path / "in/a.png").exists() and (tmp_path / "full/mine.txt").exists()
