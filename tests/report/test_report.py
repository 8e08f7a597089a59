"""The report whole: from run folders to its files, in agreement with `compare --ci`, whatever the runs are like."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

import frostline as fl
from frostline.errors import InputError
from run_folders import new_ultralytics, our_run
from study_runs import study, write_detections

pytestmark = pytest.mark.integration
ARMS = {"baseline": 0.7, "freeze_1_to_3": 0.72, "freeze_1_to_6": 0.4}
HYPOTHESES = [{"name": "six layers cost mAP", "metric": "mAP50", "better": "baseline", "than": "freeze_1_to_6"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study(tmp_path_factory.mktemp("report") / "depth", ARMS, seeds=(0, 1), hypotheses=HYPOTHESES)


@pytest.fixture(scope="module")
def written(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fl.Report.from_study(folder, draws=200).write(tmp_path_factory.mktemp("out") / "report")


def invoke(*words: object) -> Result:
    from frostline.cli.app import app

    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})


def test_every_file_of_a_report_is_there_and_named_in_its_record(written: Path) -> None:
    record = json.loads((written.parent / "report.json").read_text())
    files = {path.relative_to(written.parent).as_posix() for path in written.parent.rglob("*") if path.is_file()}
    assert files == {*record["files"], "report.json"}
    for suffix in ("csv", "md", "tex"):
        assert f"tables/arms.{suffix}" in files
    assert {"figures/freeze_depth.png", "figures/freeze_depth.svg", "tables/hypotheses.csv"} <= files
    assert record["verdict"]["headline"] in _text(written)
    assert record["options"] == {
        "baseline": "baseline", "confidence": 0.95, "method": "percentile", "draws": 200, "include_unfinished": False,
        "margin": 0.01,
    }  # fmt: skip


def test_the_page_asks_for_nothing(written: Path) -> None:
    page = written.read_text(encoding="utf-8")
    asked = re.findall(r"<(?:script|img|link|iframe|source)\b[^>]*\b(?:src|href)=[\"']?([^\"' >]+)", page)
    assert [one for one in asked if not one.startswith(("data:", "#"))] == []
    assert "@import" not in page and "url(http" not in page


def test_compare_agrees_with_the_report_to_the_last_digit(folder: Path, written: Path, tmp_path: Path) -> None:
    words = ("compare", folder, "--ci", "--draws", 200, "--out", tmp_path / "c.png", "--format")
    for suffix in ("csv", "md", "tex"):
        told = invoke(*words, suffix)
        assert told.exit_code == 0, told.output
        assert told.stdout == (written.parent / "tables" / f"arms.{suffix}").read_text()
    rows = json.loads(invoke(*words, "json").stdout)["intervals"]
    assert rows == json.loads((written.parent / "report.json").read_text())["tables"]["arms"]["rows"]


def test_the_frames_hold_what_the_tables_show(folder: Path, written: Path) -> None:
    report = fl.Report.from_study(folder, draws=200)
    for name, table in report.tables.items():
        assert {column.key for column in table.columns} <= set(table.frame.columns), name
        csv = pl.read_csv(written.parent / "tables" / f"{name}.csv")
        assert csv.columns == table.frame.columns and csv.height == table.frame.height
    assert report.frame("hypotheses").item(0, "answer") == "supported"
    with pytest.raises(InputError, match="no table 'amrs', did you mean 'arms'"):
        report.frame("amrs")


def test_names_from_outside_show_as_text_in_every_file(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    odd = study(
        tmp_path / "odd", {"baseline": 0.7, "freeze_1_to_3": 0.6}, seeds=(0,), images=12, classes=(evil, "a|b&c")
    )
    out = fl.Report.from_study(odd, draws=100, title=f"{evil}</title>").write(tmp_path / "out")
    page = out.read_text(encoding="utf-8")
    assert evil not in page and "&lt;script&gt;alert(1)" in page
    for path in (out.parent / "figures").glob("*.svg"):
        assert "<script" not in path.read_text(), path.name
    for path in (out.parent / "tables").glob("*.md"):
        assert evil not in path.read_text(), path.name


def test_an_earlier_report_is_replaced_and_anything_else_is_left_alone(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    fl.Report.from_study(folder, draws=100).write(out)
    shutil.copytree(folder / "baseline", tmp_path / "one" / "baseline")
    fl.Report.from_runs([tmp_path / "one"], draws=100).write(out)
    assert not (out / "tables" / "pairs.csv").exists() and (out / "tables" / "arms.csv").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="holds files and no report of ours"):
        fl.Report.from_runs([tmp_path / "one"], draws=100).write(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_whatever_the_runs_are_like_there_is_a_report_and_it_says_so(folder: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(folder, mixed)
    record = mixed / "freeze_1_to_3" / "seed1" / "run.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "status": "interrupted"}))
    parquet = mixed / "freeze_1_to_6" / "seed0" / "predictions.parquet"
    parquet.write_bytes(parquet.read_bytes()[:-50])
    results = mixed / "freeze_1_to_6" / "seed1" / "results.csv"
    lines = results.read_text().splitlines()
    results.write_text("\n".join([*lines[:3], lines[3].replace(lines[3].split(",")[7], "nan"), *lines[4:]]) + "\n")
    study(tmp_path / "other", {"elsewhere": 0.7}, seeds=(0,), images=20)
    new_ultralytics(tmp_path / "plain", [0.1, 0.2, 0.3])
    told = invoke("report", mixed, tmp_path / "other", tmp_path / "plain", "--draws", 100, "--out", tmp_path / "out")
    assert told.exit_code == 0, told.output
    reasons = {
        one["run"]: one["reason"] for one in json.loads((tmp_path / "out" / "report.json").read_text())["left_out"]
    }
    assert reasons[str(record.parent)] == "interrupted, not finished"
    assert "not a whole Parquet file" in reasons[str(parquet.parent)]
    assert "no predictions.parquet" in reasons[str(tmp_path / "plain")]
    arms = {row["arm"]: row for row in pl.read_csv(tmp_path / "out" / "tables" / "arms.csv").to_dicts()}
    assert arms["freeze_1_to_3"]["runs"] == 1 and arms["baseline"]["runs"] == 2
    assert arms["elsewhere"]["images"] == 20 and arms["elsewhere"]["mAP50_difference"] is None
    assert arms["plain"]["mAP50"] == pytest.approx(0.3) and arms["plain"]["mAP50_low"] is None
    for text in ("interrupted", "not a whole Parquet file"):
        assert text in _text(tmp_path / "out" / "index.html")


@pytest.mark.parametrize("kind", ["one run", "curves only", "no baseline", "a class without objects"])
def test_little_evidence_makes_a_small_report(tmp_path: Path, kind: str) -> None:
    if kind == "curves only":
        our_run(tmp_path / "s" / "baseline", "baseline", [0.1, 0.2], depth=0)
    elif kind == "one run":
        study(tmp_path / "s", {"baseline": 0.5}, seeds=(0,), images=10)
    elif kind == "no baseline":
        study(tmp_path / "s", {"roles": 0.5, "decay": 0.4}, seeds=(0,), images=10)
    else:
        run = our_run(tmp_path / "s" / "baseline", "baseline", [0.1], depth=0)
        write_detections(run / "predictions.parquet", 0.5, 0, images=6, classes=("Car", *map(str, range(40))))
    report = fl.Report.from_runs([tmp_path / "s"], draws=100)
    page = report.write(tmp_path / "out")
    assert report.verdict.headline in _text(page)


def test_hundreds_of_runs_make_a_report(tmp_path: Path) -> None:
    for arm in range(60):
        for seed in range(4):
            our_run(tmp_path / "s" / f"arm{arm}" / f"seed{seed}", f"arm{arm}", [0.1, 0.2 + arm / 1000], seed=seed)
    report = fl.Report.from_runs([tmp_path / "s"], draws=100)
    assert len(report.evidence.arms) == 60 and report.write(tmp_path / "out").stat().st_size < 15_000_000


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--baseline", "bseline"], "no arm 'bseline', did you mean 'baseline'"),
        (["--confidence", "95"], "a confidence of 95 is outside of (0, 1)"),
        (["--out", "{folder}/study.yaml"], "is a file"),
    ],
)
def test_a_bad_option_is_one_line(folder: Path, words: list[str], fault: str) -> None:
    told = invoke("report", folder, "--draws", 100, *(word.format(folder=folder) for word in words))
    assert isinstance(told.exception, InputError) and fault in str(told.exception)


def test_options_for_intervals_need_ci(folder: Path, tmp_path: Path) -> None:
    told = invoke("compare", folder, "--draws", 200, "--out", tmp_path / "c.png")
    assert told.exit_code == 2 and "give --ci as well" in told.output


def _text(page: Path) -> str:
    import html

    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8"))))
