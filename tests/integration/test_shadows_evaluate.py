"""Shadow robustness of a whole study, end to end: an arm on log-chromaticity beside one on sRGB images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from tiny import SETTINGS
from typer.testing import CliRunner, Result

import frostline as fl
from frostline.analysis import find_runs, read_predictions
from frostline.analysis.evidence import gather
from frostline.cli import app
from frostline.errors import InputError
from frostline.imaging import convert_folder, read_grey, read_rgb

pytestmark = pytest.mark.integration


def shadows(*words: object) -> Result:
    asked = ["shadows", "evaluate", *map(str, words), "--draws", "100", "--workers", "1", "--device", "cpu"]
    return CliRunner().invoke(app, asked)


@pytest.fixture(scope="module")
def trained(tiny_checkpoint: Path, tiny_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with an arm on log-chromaticity images and one on the sRGB images that they were made of."""
    folder = tmp_path_factory.mktemp("shadows")
    shutil.copytree(tiny_source.parent, folder / "squares")
    convert_folder(folder / "squares", folder / "chroma", (0.68, 0.58, 0.45), encode="log", workers=1)
    content = {
        "model": str(tiny_checkpoint), "data": str(folder / "chroma/data.yaml"), "train": {**SETTINGS, "epochs": 1},
        "seeds": [0], "arms": {"baseline": {}, "srgb": {"data": str(folder / "squares/data.yaml")}},
    }  # fmt: skip
    (folder / "study.yaml").write_text(yaml.safe_dump(content))
    assert fl.Study.from_yaml(folder / "study.yaml", folder / "study").run(device="cpu").complete
    return folder


def test_a_study_is_evaluated_once_and_its_report_shows_it(trained: Path) -> None:
    study = trained / "study"
    done = shadows(study, "--count", "2", "--strength", "heavy", "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record == json.loads((study / "shadows/shadows.json").read_text())
    (panel,) = record["panels"]  # both arms show the same images
    assert list(panel["arms"]) == ["baseline", "srgb"] and record["left_out"] == []
    assert panel["light"]["method"] == "estimate" and sum(panel["light"]["truths"].values()) == 8
    for told in panel["arms"].values():
        drop = [told["metrics"][f"stress/{key}/mAP50"]["value"] for key in ("clean", "stressed", "drop")]
        assert drop[2] == pytest.approx(drop[0] - drop[1], abs=1e-9)
    assert "stress/drop/mAP50" in panel["differences"]["srgb"]
    table = pl.read_csv(study / "shadows/shadows.csv")
    assert table.filter((pl.col("arm") == "srgb") & (pl.col("metric") == "stress/drop/mAP50")).height == 1

    # The same shadows on both, converted as each dataset was.
    chroma, srgb = study / "shadows/stressed/chroma", study / "shadows/stressed/squares"
    for mask in sorted((chroma / "cast/masks/val").iterdir()):
        assert np.array_equal(read_grey(mask), read_grey(srgb / "cast/masks/val" / mask.name))
        clean = read_rgb(trained / f"chroma/images/val/{mask.stem}.tiff")
        stressed = read_rgb(chroma / f"data/images/val/{mask.stem}.tiff")
        untouched = read_grey(mask) == 0
        assert stressed.dtype == np.uint16 and np.array_equal(stressed[untouched], clean[untouched])
        assert not np.array_equal(stressed, clean)
    assert not (srgb / "data").exists()
    frame = read_predictions(study / "shadows/srgb/seed0.parquet").frame
    assert set(frame["image"]) == {f"val{k}.png" for k in range(4)}

    # Again: nothing is computed anew, and the runs of the study are the same ones as before.
    kept = {path: path.stat().st_mtime_ns for path in (study / "shadows").rglob("*.parquet")}
    assert shadows(study, "--count", "2", "--strength", "heavy").exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    runs = find_runs([study])
    assert [run.arm for run in runs] == ["baseline", "srgb"]
    other = shadows(study, "--count", "1", "--strength", "heavy")
    assert other.exit_code == 0 and "Stress: 1 heavy" in other.stdout
    assert all(path.stat().st_mtime_ns != before for path, before in kept.items())

    from frostline.report.drawing import draw
    from frostline.report.shadows import shadow_charts, shadow_tables

    evidence = gather(runs, draws=100)
    assert [table.name for table in shadow_tables(evidence)] == ["shadows_light", "shadows_stress"]
    drawn = [draw(chart) for chart in shadow_charts(evidence)]
    assert [one.name for one in drawn] == ["shadows_light", "shadows_stress", "shadows_survival"]
    assert all(len(one.png) > 5000 and json.dumps(one.interactive, allow_nan=False) for one in drawn)


def refused(*words: object) -> str:
    done = shadows(*words)
    assert isinstance(done.exception, InputError), done.output
    return str(done.exception)


def test_what_cannot_be_is_told_in_one_line(trained: Path, tmp_path: Path) -> None:
    study = trained / "study"
    manifest = trained / "chroma/chroma.json"
    record = json.loads(manifest.read_text())
    del record["source_folder"]
    manifest.write_text(json.dumps(record))
    assert "give their folder with --source" in refused(study)
    # The arm on sRGB images tells the light of both; only the stress test needs the other's source.
    done = shadows(study / "baseline", study / "srgb", "--no-stress", "--out", tmp_path / "light")
    assert done.exit_code == 0 and "estimated on the images themselves" in done.stdout
    assert json.loads((tmp_path / "light/shadows.json").read_text())["stress"] is None
    assert "two rising shares" in refused(study, "--bounds", "0.6,0.2")
    assert "expected two shares" in refused(study, "--bounds", "half")
    shutil.copytree(trained / "squares", tmp_path / "squares")
    first, second = sorted((tmp_path / "squares/images/val").iterdir())[:2]
    first.write_bytes(second.read_bytes() + b" ")
    told = refused(study, "--source", tmp_path / "squares")
    assert "its size differs" in told and "--no-stress" in told
    (study / "srgb/seed0/weights/best.pt").write_bytes(b"cut off")
    done = shadows(study / "srgb/seed0", "--out", tmp_path / "alone")
    assert done.exit_code == 1 and "srgb, seed 0: no stress test" in done.stderr
