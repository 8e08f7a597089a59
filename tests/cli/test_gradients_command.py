from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from frostline.cli import app
from frostline.errors import InputError
from frostline.training.gradients import append_gradients
from run_folders import new_ultralytics, our_run


def runs(root: Path) -> Path:
    """A study of two arms: one freezes layer 0, the other layer 1 in its second epoch, where it has no third."""
    for arm, rows in {
        "freeze_1_to_1": [{1: 3.0, 2: 8.0}, {1: 2.0, 2: 4.0}, {1: 1.0, 2: 2.0}],
        "late": [{0: 1.0, 1: 3.0, 2: 8.0}, {0: 1.0, 2: 4.0}, {}],
    }.items():
        folder = our_run(root / arm / "seed0", arm, [0.1, 0.2, 0.3])
        for epoch, norms in enumerate(rows, 1):
            append_gradients(folder / "gradients.csv", epoch, norms, dict.fromkeys(norms, 2.0), 3)
    return root


def test_a_heat_map_and_every_number(tmp_path: Path) -> None:
    study, out = runs(tmp_path / "study"), tmp_path / "g.png"
    result = CliRunner().invoke(app, ["gradients", str(study), "--out", str(out), "--json"])
    assert result.exit_code == 0, result.output
    one, two = json.loads(result.stdout)
    assert [one["arm"], two["arm"]] == ["freeze_1_to_1", "late"]
    assert one["relative"] == [[None] * 3, [1.5, 1.0, 0.5], [4.0, 2.0, 1.0]]
    assert two["norm"] == [[1.0, 1.0, None], [3.0, None, None], [8.0, 4.0, None]]
    with Image.open(out) as figure:
        assert figure.width > 1000 and len(figure.getcolors(1 << 20) or []) > 50


def test_the_table_names_the_strongest_layer(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["gradients", str(runs(tmp_path / "s")), "--out", str(tmp_path / "g.svg")])
    assert result.exit_code == 0 and "2 (2.33)" in result.stdout and "1 (1)" in result.stdout, result.stdout


def test_folders_without_gradients_and_other_suffixes_are_refused(tmp_path: Path) -> None:
    plain = new_ultralytics(tmp_path / "plain", [0.1])
    with pytest.raises(InputError, match=r"has no gradients\.csv"):
        CliRunner().invoke(app, ["gradients", str(plain)], catch_exceptions=False)
    with pytest.raises(InputError, match=r"expected a name that ends in \.png"):
        CliRunner().invoke(app, ["gradients", str(runs(tmp_path / "s")), "--out", "g.txt"], catch_exceptions=False)
