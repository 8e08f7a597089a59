from __future__ import annotations

from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from frostline.cli import app
from frostline.imaging import read_linear, tiff_metadata


def run(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_preset_brings_geometry_and_percentile_and_both_can_be_changed(tmp_path: Path):
    (tmp_path / "in").mkdir()
    pixels = np.full((8, 8), 1_000_000, np.uint32)
    (tmp_path / "in/a.raw").write_bytes(pixels.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes())
    words = ("raw", "convert", tmp_path / "in", tmp_path / "out", "--preset", "huawei-rod", "--width", 8, "--height", 8)
    result = run(*words)
    assert (result.exit_code, "converted 1, skipped 0" in result.output) == (0, True), result.output
    told = tiff_metadata(tmp_path / "out/a.tiff")["parameters"]
    assert (told["geometry"]["bits"], told["percentile"]) == (24, 99.5)
    assert read_linear(tmp_path / "out/a.tiff").min() == 65535
    assert run(*words, "--percentile", 0, "--white-balance", "2,1,0.5").exit_code == 0
    value = 1_000_000 / (2**24 - 1) * 65535
    assert read_linear(tmp_path / "out/a.tiff")[4, 4].tolist() == [round(2 * value), round(value), round(value / 2)]


def test_a_bad_file_is_named_with_status_1_and_a_bad_option_ends_the_command(tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.raw").write_bytes(bytes(100))
    words = ("raw", "convert", tmp_path / "in", tmp_path / "out")
    result = run(*words, "--width", 8, "--height", 8)
    assert result.exit_code == 1 and "a.raw: has 100 bytes; 8 x 8 at 16 bits need 128" in result.output
    for wrong in (("--width", 8), ("--preset", "nikon"), ("--white-balance", "1,2"), ("--resize", "big")):
        assert "InputError" in repr(run(*words, *wrong).exc_info)
