from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest
import typer
from typer.testing import CliRunner, Result

from frostline.analysis import compare
from frostline.cli import compare as command
from frostline.errors import InputError
from run_folders import new_ultralytics, our_run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def invoke() -> Callable[..., Result]:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    app.command("compare", cls=command.ManyMetricsCommand)(command.compare)
    return lambda *words: CliRunner().invoke(app, ["compare", *map(str, words)], env={"COLUMNS": "100"})


@pytest.fixture
def depth(tmp_path: Path) -> Path:
    for layers in (0, 3):
        arm = f"freeze_1_to_{layers}" if layers else "baseline"
        our_run(tmp_path / "depth" / arm, arm, [0.1, 0.2, 0.3], depth=layers)
    return tmp_path / "depth"


@pytest.mark.parametrize(
    ("words", "spread"),
    [
        ("d --metrics mAP50 mAP50-95 --out o", "d --metrics mAP50 --metrics mAP50-95 --out o"),
        ("--metrics mAP50 recall", "--metrics mAP50 --metrics recall"),
        ("d --metrics=mAP50 recall", "d --metrics=mAP50 --metrics recall"),
        ("d --metrics mAP50,recall", "d --metrics mAP50,recall"),
        ("d --metrics a --metrics b", "d --metrics a --metrics b"),
        ("--metrics mAP50 runs/depth x", "--metrics mAP50 runs/depth x"),
        ("--metrics mAP50 metrics/mAP50-95(B)", "--metrics mAP50 --metrics metrics/mAP50-95(B)"),
        ("d --metrics mAP50 mAP05", "d --metrics mAP50 --metrics mAP05"),
        ("d --metrics", "d --metrics"),
        ("d --metrics --out o", "d --metrics --out o"),
        ("d --out o e", "d --out o e"),
        ("--metrics a -- --metrics b c", "--metrics a -- --metrics b c"),
    ],
)
def test_any_number_of_metrics_may_follow_the_option(words: str, spread: str) -> None:
    assert command.spread_metrics(words.split()) == spread.split()


def test_runs_of_different_length_are_told(invoke: Callable[..., Result], tmp_path: Path) -> None:
    told = "Runs differ in length, 2 to 3 epochs"
    our_run(tmp_path / "r" / "a", "a", [0.1, 0.2])
    our_run(tmp_path / "r" / "b", "b", [0.1, 0.2])
    assert told not in " ".join(invoke(tmp_path / "r", "--out", tmp_path / "c.png").output.split())
    our_run(tmp_path / "r" / "c", "c", [0.1, 0.2, 0.3])
    assert told in " ".join(invoke(tmp_path / "r", "--out", tmp_path / "c.png").output.split())


def test_a_folder_after_the_metrics_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "depth").mkdir()
    (tmp_path / "recall").mkdir()
    monkeypatch.chdir(tmp_path)
    words = ["--metrics", "mAP50", "recall", "depth", "other"]
    assert command.spread_metrics(words) == ["--metrics", "mAP50", "--metrics", "recall", "depth", "other"]


def test_the_command_of_the_readme_prints_draws_and_saves(
    invoke: Callable[..., Result], depth: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "comparison.png"
    result = invoke(depth, "--metrics", "mAP50", "mAP50-95", "--out", out, "--small-classes", "Pedestrian,Cyclist")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.parent.iterdir()) == ["comparison.csv", "comparison.json", "comparison.png"]
    assert out.read_bytes().startswith(b"\x89PNG")
    for path in out.parent.iterdir():
        assert str(path) in result.output
    rows = [line.split() for line in result.output.splitlines() if line.startswith(("baseline", "freeze_1_to_3"))]
    assert [row[:4] for row in rows] == [["baseline", "0", "0.310", "0.155"], ["freeze_1_to_3", "3", "0.310", "0.155"]]
    expected = compare([depth], small_classes=("Pedestrian", "Cyclist"))
    assert pl.read_csv(out.with_suffix(".csv")).columns == expected.columns
    assert json.loads(out.with_suffix(".json").read_text())["runs"] == expected.to_dicts()


def test_json_is_the_only_thing_on_standard_output(invoke: Callable[..., Result], depth: Path, tmp_path: Path) -> None:
    result = invoke("--metrics", "mAP50", depth, "--out", tmp_path / "c.svg", "--format", "json")
    assert json.loads(result.stdout) == json.loads((tmp_path / "c.json").read_text())
    assert str(tmp_path / "c.svg") in result.stderr


def test_names_that_look_like_markup_print_as_they_are(invoke: Callable[..., Result], tmp_path: Path) -> None:
    new_ultralytics(tmp_path / "[red]x[link=y]", [0.2])
    result = invoke(tmp_path, "--out", tmp_path / "[b]c.svg")
    assert result.exit_code == 0, result.output
    assert "[red]x[link=y]" in result.output
    assert "[b]c.svg" in result.output


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--metrics", "mAP50", "mAP05"], "unknown metric 'mAP05', did you mean 'mAP50'"),
        (["--small-classes", "Cyclits"], "unknown class 'Cyclits', did you mean 'Cyclist'"),
        (["--out", "c.txt"], "expected a name that ends in"),
        (["--out", "results.png"], "choose another name"),
        (["nowhere"], "nowhere: no such folder"),
    ],
)
def test_a_bad_input_is_one_clear_error(
    words: list[str],
    fault: str,
    invoke: Callable[..., Result],
    depth: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke(depth, *words)
    assert isinstance(result.exception, InputError)
    assert fault in str(result.exception)
    assert "\n" not in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["depth"]


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("plot_comparison", ROOT / "scripts" / "plot_comparison.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_finds_the_reference_users_experiments(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for layers in (3, 4, 10):
        our_run(tmp_path / "runs" / "train" / f"freeze_1_to_{layers}", f"freeze_1_to_{layers}", [0.2], depth=layers)
    new_ultralytics(tmp_path / "1-5", [0.3])
    words = ["--exp_dirs", "1-10", "1-3", "1-5", "--metrics", "mAP50", "mAP50-95", "--out", "comparison.svg"]
    assert script.main(words) == 0
    assert pl.read_csv("comparison.csv").get_column("arm").to_list() == ["freeze_1_to_10", "freeze_1_to_3", "1-5"]
    assert "comparison.svg" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        script.run_script(lambda: script.main([*words[:2], "1-7"]))
    told = capsys.readouterr().err
    assert told.startswith("error: 1-7: no such experiment folder; looked for 1-7, ")
    assert "runs/train/freeze_1_to_7" in told
    assert told.count("\n") == 1


def test_the_script_explains_names_in_its_help(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        script.main(["--help"])
    told = capsys.readouterr().out
    assert "1-3 also means freeze_1_to_3" in told
    assert "runs/train" in told


def test_the_command_is_light_to_import() -> None:
    import subprocess

    heavy = ("torch", "polars", "matplotlib", "numpy")
    code = f"import sys, frostline.cli.compare; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
