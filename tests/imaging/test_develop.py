from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from frostline.errors import InputError
from frostline.imaging import BayerGeometry, RawOptions, convert_raw, develop, read_linear, tiff_metadata

SMALL = BayerGeometry(16, 12, 16)


def mosaic(red: int = 8000, green: int = 16000, blue: int = 4000, height: int = 12, width: int = 16) -> np.ndarray:
    return np.tile(np.array([[red, green], [green, blue]], np.uint16), (height // 2, width // 2))


def write_raw(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image.astype("<u2").tobytes())
    return path


def write_dng(path: Path, image: np.ndarray, white: int = 4095) -> Path:
    """A linear 12-bit DNG whose camera neutral asks for gains of 2, 1 and 1.5."""
    identity = (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1)
    tags = [
        (33421, "H", 2, (2, 2), True), (33422, "B", 4, bytes([0, 1, 1, 2]), True),
        (50706, "B", 4, bytes([1, 4, 0, 0]), True), (50708, "s", 0, "test", True), (50717, "I", 1, white, True),
        (50714, "I", 1, 0, True), (50721, "2i", 9, identity, True), (50728, "2I", 3, (1, 2, 1, 1, 2, 3), True),
        (50778, "H", 1, 21, True), (271, "s", 0, "test", True), (272, "s", 0, "test", True),
    ]  # fmt: skip
    tifffile.imwrite(path, image.astype(np.uint16), photometric=32803, extratags=tags, metadata=None)
    return path


def test_a_camera_file_is_linear_and_keeps_the_sensors_own_scale(tmp_path: Path):
    path = write_dng(tmp_path / "a.DNG", mosaic(800, 1600, 400, 64, 96))
    plain = develop(path, RawOptions()).image
    assert np.abs(plain[8:-8, 8:-8] / 65535 - np.array([800, 1600, 400]) / 4095).max() < 1e-3
    double = develop(write_dng(path, mosaic(1600, 3200, 800, 64, 96)), RawOptions()).image
    assert np.abs(double[8:-8, 8:-8] - 2.0 * plain[8:-8, 8:-8]).max() <= 3
    camera = develop(path, RawOptions(white_balance="camera")).image
    ratio = camera[20, 20] / double[20, 20]
    assert ratio / ratio[1] == pytest.approx([2, 1, 1.5], rel=1e-2)


def test_a_broken_camera_file_is_one_clear_line(tmp_path: Path):
    path = write_dng(tmp_path / "a.dng", mosaic(height=64, width=96))
    path.write_bytes(path.read_bytes()[:500])
    for content in (path.read_bytes(), b"", b"not a raw file"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="cannot be decoded as camera RAW") as told:
            develop(path, RawOptions())
        assert "\n" not in str(told.value)


def test_full_scale_of_the_sensor_is_full_scale_of_the_image_without_scaling(tmp_path: Path):
    for bits in (10, 12, 16):
        top = 2**bits - 1
        path = write_raw(tmp_path / "a.raw", mosaic(top, top // 2, 0))
        image = develop(path, RawOptions(BayerGeometry(16, 12, bits))).image
        assert image[4, 4].tolist() == [65535, round(top // 2 / top * 65535), 0]


def test_white_balance_percentile_black_level_and_size(tmp_path: Path):
    path = write_raw(tmp_path / "a.raw", mosaic())
    grey = develop(path, RawOptions(SMALL, "grey"))
    assert grey.gains == pytest.approx((2, 1, 4)) and grey.image[5, 5].tolist() == [16000] * 3
    assert develop(path, RawOptions(SMALL, (3.0, 1.0, 2.0))).image[5, 5].tolist() == [24000, 16000, 8000]
    scaled = develop(path, RawOptions(SMALL, percentile=99.5))
    assert scaled.image[5, 5].tolist() == [32768, 65535, 16384] and scaled.white == pytest.approx(16000)
    assert scaled.clipped == 12 * 16
    black = develop(path, RawOptions(SMALL, black_level=4000)).image[5, 5]
    assert black.tolist() == [round((v - 4000) / (65535 - 4000) * 65535) for v in (8000, 16000, 4000)]
    assert develop(path, RawOptions(SMALL, resize=(8, 6))).image.shape == (6, 8, 3)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"white_balance": "auto"}, "unknown white balance"),
        ({"white_balance": (1, 0, 1)}, "above zero"),
        ({"percentile": 20}, "expected 50 to 100"),
        ({"resize": (0, 5)}, "at least one pixel"),
        ({"black_level": -1}, "black level"),
    ],
)
def test_options_that_cannot_be_right_are_refused(wrong: dict, said: str):
    with pytest.raises(InputError, match=said):
        RawOptions(SMALL, **wrong)


def test_files_that_leave_no_answer_are_one_clear_line(tmp_path: Path):
    path = write_raw(tmp_path / "a.raw", mosaic(0, 0, 0))
    cases = [
        (RawOptions(SMALL, "grey"), "grey-world has no answer"),
        (RawOptions(SMALL, percentile=99.5), "nothing to scale"),
        (RawOptions(SMALL, "camera"), "no camera white balance"),
        (RawOptions(), "has no header; give its --preset"),
    ]
    for options, said in cases:
        with pytest.raises(InputError, match=said):
            develop(path, options)
    with pytest.raises(InputError, match="no such file"):
        develop(tmp_path / "none.raw", RawOptions(SMALL))


def test_a_folder_is_converted_says_how_and_is_resumed(tmp_path: Path):
    src, out = tmp_path / "in", tmp_path / "out"
    write_raw(src / "day ö" / "a.raw", mosaic())
    write_raw(src / "b.raw", mosaic(1, 2, 3))
    write_raw(src / "c.raw", mosaic()[:3])
    write_dng(src / "b.dng", mosaic(800, 1600, 400, 64, 96))
    (src / "notes.txt").write_text("no image")
    options = RawOptions(SMALL, "grey", 99.5, resize=(8, 6))
    summary = convert_raw(src, out, options, "zstd")
    assert (summary.done, summary.skipped) == (2, 0)
    assert [name for name, _ in summary.failed] == ["b.raw", "c.raw"]
    assert "same name as b.dng" in summary.failed[0][1] and "has 96 bytes" in summary.failed[1][1]
    made = out / "day ö" / "a.tiff"
    assert np.array_equal(read_linear(made), develop(src / "day ö/a.raw", options).image)
    told = tiff_metadata(made)
    assert (told["source"], told["frostline"]) == ("day ö/a.raw", __import__("frostline").__version__)
    assert told["parameters"]["geometry"]["bits"] == 16 and told["gains"] == pytest.approx([2, 1, 4])
    assert json.loads((out / "raw.json").read_text())["images"]["day ö/a.tiff"]["white"] == told["white"]
    before = made.stat().st_mtime_ns
    assert convert_raw(src, out, options, "zstd").skipped == 2 and made.stat().st_mtime_ns == before
    write_raw(src / "day ö" / "a.raw", mosaic(9))
    assert convert_raw(src, out, options, "zstd").done == 1
    assert convert_raw(src, out, options).done == 2  # other parameters
    (src / "b.dng").unlink()
    (src / "b.raw").unlink()
    convert_raw(src, out, options)
    assert not (out / "b.tiff").exists() and made.exists()


def test_folders_that_cannot_be_right_are_refused(tmp_path: Path):
    path = write_raw(tmp_path / "in" / "a.raw", mosaic())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    cases = [
        (tmp_path / "none", tmp_path / "out", "no such file or folder"),
        (tmp_path / "empty", tmp_path / "out", "no RAW file"),
        (tmp_path / "full" / "precious.txt", tmp_path / "out", "no RAW file"),
        (path.parent, path.parent / "out", "lies in the source folder"),
        (path, tmp_path / "full", "not empty and has no raw.json"),
        (path, path, "is a file"),
    ]
    for src, dst, said in cases:
        with pytest.raises(InputError, match=said):
            convert_raw(src, dst, RawOptions(SMALL))
    with pytest.raises(InputError, match="compression"):
        convert_raw(path, tmp_path / "out", RawOptions(SMALL), "rar")  # type: ignore[arg-type]
    assert convert_raw(path, tmp_path / "out", RawOptions(SMALL)).done == 1
