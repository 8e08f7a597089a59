from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "imaging"))

from estimate_scenes import TRUE, street

from frostline.cli import app
from frostline.errors import InputError
from frostline.imaging import parse_isd, write_tiff16


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        write_tiff16(tmp_path / "photos" / f"{name}.tiff", street())
    return tmp_path / "photos"


def run(*words: object):
    return CliRunner().invoke(app, ["chroma", "estimate", *map(str, words)], catch_exceptions=False)


def test_without_a_method_edges_are_taken_and_told_and_convert_takes_the_file(photos, tmp_path):
    out = tmp_path / "isd.yaml"
    done = run(photos, "--out", out, "--per-image")
    assert done.exit_code == 0
    assert "method: edges (taken as no --method was given)" in done.output
    assert "confidence 0." in done.output
    assert np.degrees(np.arccos(np.dot(parse_isd(str(out)).mean, TRUE))) < 1
    assert list(parse_isd(str(out)).images) == ["a", "b"]
    assert (tmp_path / "isd.png").read_bytes().startswith(b"\x89PNG")
    words = ["chroma", "convert", str(photos), str(tmp_path / "chroma"), "--isd", str(out)]
    assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0
    assert len(list((tmp_path / "chroma").glob("*.tiff"))) == 2


def test_every_other_method_writes_a_direction_and_a_figure(photos, tmp_path):
    (tmp_path / "p.json").write_text('{"a": [{"lit": [20, 20], "shadow": [20, 140]}]}')
    maps = np.tile(TRUE, (160, 240, 1))
    for name in ("a", "b"):
        np.save(photos / f"{name}.isd.npy", maps)
    for words in (
        ("entropy",),
        ("pairs", "--pairs", tmp_path / "p.json"),
        ("fixed", "--isd", ",".join(map(str, TRUE))),
        ("map",),
    ):
        out = tmp_path / f"{words[0]}.yaml"
        done = run(photos, "--method", *words, "--out", out)
        assert done.exit_code == 0, done.output
        assert np.degrees(np.arccos(np.clip(np.dot(parse_isd(str(out)).mean, TRUE), -1, 1))) < 1
        assert out.with_suffix(".png").is_file()


def test_one_image_is_enough_and_a_broken_one_is_named(photos, tmp_path):
    assert run(photos / "a.tiff", "--out", tmp_path / "one.yaml").exit_code == 0
    (photos / "c.tiff").write_bytes(b"II*\0")
    done = run(photos, "--out", tmp_path / "two.yaml")
    assert done.exit_code == 1
    assert "c.tiff: " in done.output
    assert (tmp_path / "two.yaml").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--isd", "1,1,1"), "--isd belongs to --method fixed"),
        (("--method", "map", "--pairs", "p.json"), "--pairs belongs to --method pairs"),
        (("--method", "fixed"), "needs --isd"),
        (("--method", "fixed", "--isd", "1,0,1"), "above zero"),
        (("--method", "fixed", "--isd", "1,-1,1"), "above zero"),
        (("--method", "pairs"), "needs either --pairs FILE"),
        (("--method", "pairs", "--lit", "m.png"), "both --lit and --shadow"),
        (("--method", "map", "--maps", "nowhere"), "no such folder of ISD maps"),
        (("--method", "map"), "no image could be estimated"),
        (("--out", "isd.json"), "ends in .yaml"),
    ],
)
def test_a_bad_input_is_one_line(photos, words, said, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        run(photos, *words)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*.png"))
