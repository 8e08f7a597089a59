"""Diagnoses of a whole study: silence about a healthy one, merging, and the page that each leads to."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from diagnosed import IMAGES, a_run, a_study, arguments, change, codes_of, evidence_of, predictions
from frostline.report.diagnoses import ANCHORS, Diagnosis, diagnose
from frostline.report.diagnoses.model import listed, merged
from random_runs import random_run
from run_folders import new_ultralytics

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"


def slug(heading: str) -> str:
    """Make an anchor as Python-Markdown's `toc` does: letters, digits, `_` and `-`, joined by `-`."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_study(tmp_path_factory.mktemp("healthy"), {"baseline": 0, "freeze_1_to_3": 3})


def test_nothing_is_said_of_a_healthy_study(healthy: Path) -> None:
    assert diagnose(evidence_of(healthy)) == []


def test_every_code_has_its_entry_in_the_page_and_each_entry_says_why_and_what_to_do() -> None:
    text = PAGE.read_text(encoding="utf-8")
    entries = {slug(part.split("\n", 1)[0]): part for part in text.split("\n### ")[1:]}
    assert {code: anchor for code, anchor in ANCHORS.items() if anchor not in entries} == {}
    for anchor in ANCHORS.values():
        assert "**Why.**" in entries[anchor] and "**What to do.**" in entries[anchor], anchor


def test_the_same_of_several_runs_is_one_diagnosis_and_the_most_serious_comes_first() -> None:
    def of(code: str, severity: str, arm: str, seed: int, detail: str) -> Diagnosis:
        return Diagnosis(code, severity, code, detail, ("try",), (arm,), (f"{arm}, seed {seed}",))  # type: ignore[arg-type]

    found = merged(
        [
            of("still-rising", "warning", "a", 0, "x"),
            of("diverged", "error", "a", 0, "x"),
            of("worse-stage", "warning", "a", 0, "x"),
            of("out-of-memory", "note", "a", 0, "x"),
            of("diverged", "error", "a", 1, "x"),
            of("diverged", "error", "b", 0, "y"),
        ]
    )
    assert [one.code for one in found] == ["diverged", "worse-stage", "still-rising", "out-of-memory"]
    first = found[0]
    assert first.about == "2 runs of a and 1 run of b" and first.arms == ("a", "b") and first.try_ == ("try",)
    assert first.detail == "a, seed 0 and a, seed 1: x\nb, seed 0: y"
    assert found[1].about == "a, seed 0" and found[1].detail == "x"


def test_long_lists_are_cut_only_where_that_saves_words() -> None:
    assert listed([]) == "" and listed(["a"]) == "a" and listed(["a", "b", "c"]) == "a, b and c"
    assert listed(list("abcde")) == "a, b, c, d and e"
    assert listed(list("abcdef")) == "a, b, c, d and 2 more"


def test_runs_left_out_are_named_with_their_reason(healthy: Path, tmp_path: Path) -> None:
    for seed in range(3):
        a_run(tmp_path / "freeze_1_to_6" / f"seed{seed}", "freeze_1_to_6", seed, depth=6)
    change(tmp_path / "freeze_1_to_6" / "seed0", status="interrupted")
    change(tmp_path / "freeze_1_to_6" / "seed1", status="failed", reason="RuntimeError: boom")
    found = diagnose(evidence_of(healthy, tmp_path))
    by_code = {(one.code, one.severity): one for one in found}
    assert by_code["unfinished", "error"].detail == "failed: RuntimeError: boom"
    assert by_code["unfinished", "error"].about == "freeze_1_to_6, seed 1"
    assert "interrupted" in by_code["unfinished", "warning"].detail
    assert "no predictions.parquet" in by_code["left-out", "warning"].detail
    assert by_code["left-out", "warning"].runs == ("freeze_1_to_6, seed 2",)
    assert by_code["fewer-seeds", "warning"].arms == ("freeze_1_to_6",)
    assert by_code["fewer-seeds", "warning"].detail == "1 where others have 3"


def test_a_truncated_parquet_is_an_error_and_not_also_a_run_left_out(healthy: Path, tmp_path: Path) -> None:
    a_run(tmp_path / "x" / "seed0", "x")
    whole = (healthy / "baseline" / "seed0" / "predictions.parquet").read_bytes()
    (tmp_path / "x" / "seed0" / "predictions.parquet").write_bytes(whole[: len(whole) // 2])
    found = codes_of(healthy, tmp_path)
    assert found["damaged-file"].severity == "error" and "predictions.parquet" in found["damaged-file"].detail
    assert found["damaged-file"].runs == ("x, seed 0",) and "left-out" not in found
    assert any("frostline evaluate" in line for line in found["damaged-file"].try_)


@pytest.mark.parametrize(
    ("name", "text", "word"), [("results.csv", "epoch,x\n1,2\n3\n4,5\n", "row 3"), ("args.yaml", "a: [", "YAML")]
)
def test_a_run_whose_own_files_are_broken_is_an_error_and_the_others_are_compared(
    name: str, text: str, word: str, healthy: Path, tmp_path: Path
) -> None:
    folder = a_run(tmp_path / "x" / "seed7", "x", 7)
    (folder / name).write_text(text)
    found = codes_of(healthy, tmp_path)
    assert set(found) == {"damaged-file"} and name in found["damaged-file"].detail
    assert word in found["damaged-file"].detail and found["damaged-file"].runs == ("x, seed 7",)


def test_few_images_few_seeds_and_rare_classes(tmp_path: Path) -> None:
    found = codes_of(a_study(tmp_path, {"baseline": 0, "freeze_1_to_3": 3}, seeds=2, images=12))
    assert found["few-images"].detail.startswith("12 images; intervals were checked with 200")
    assert found["few-seeds"].detail.startswith("2 seeds:")
    counts = [int(number) for number in re.findall(r"class\d (\d+)", found["rare-classes"].detail)]
    assert counts and all(count < 20 for count in counts)


def test_arms_with_different_validation_sets_are_told_with_what_they_have_in_common(
    healthy: Path, tmp_path: Path
) -> None:
    for seed in range(3):
        predictions(a_run(tmp_path / "other" / f"seed{seed}", "other", seed), random_run(7, IMAGES + 5))
    found = codes_of(healthy, tmp_path)["other-images"]
    assert found.arms == ("other",)
    assert found.detail == f"other: {IMAGES + 5} images, of which {IMAGES} are among the {IMAGES} of the others"


def test_a_folder_of_plain_ultralytics_is_diagnosed_too(tmp_path: Path) -> None:
    folder = new_ultralytics(tmp_path / "plain", [0.1, 0.2, 0.21])
    arguments(folder, model="yolo11s.yaml", pretrained=True, freeze=3, optimizer="auto", lr0=0.01, epochs=10)
    found = codes_of(tmp_path)
    assert found["frozen-random"].detail == "args.yaml freezes 3 layers of yolo11s.yaml and names no weights"
    assert "lr0=0.01" in found["automatic-optimizer"].detail
    assert found["unequal-settings"].detail == "3 of 10 epochs"
    # With weights named beside the YAML, and an optimizer, there is nothing to say of either.
    arguments(folder, model="yolo11s.yaml", pretrained="yolo11s.pt", freeze=3, optimizer="SGD", lr0=0.01, epochs=3)
    assert set(codes_of(tmp_path)) == {"left-out", "few-seeds"}


def test_a_broken_file_never_stops_the_diagnoses(healthy: Path, tmp_path: Path) -> None:
    folder = a_run(tmp_path / "x" / "seed0", "x")
    (folder / "audit.json").write_text("{")
    (folder / "notes.txt").write_bytes(b"\xff\xfe")
    change(folder, stages=None, transfer="?", pixels=3, settings=[], versions=None, frozen_layers=None)
    assert "left-out" in codes_of(healthy, tmp_path)
    assert json.loads((folder / "run.json").read_text())["pixels"] == 3
