"""Studies and the command line, end to end on tiny images."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny import SETTINGS

import frostline as fl

pytestmark = pytest.mark.integration


def frostline(*words: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-m", "frostline", *map(str, words)],
        capture_output=True, text=True, check=False, cwd=cwd, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.fixture
def study_file(tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path) -> Path:
    path = tmp_path / "depth.yaml"
    study = {
        "model": str(tiny_checkpoint), "data": "squares/data.yaml", "train": dict(SETTINGS), "seeds": [0, 1],
        "arms": {"baseline": {}, "freeze_1_to_3": {"freeze": "0-2"}},
        "hypotheses": [{"name": "freezing helps", "better": "freeze_1_to_3", "than": "baseline"}],
    }  # fmt: skip
    path.write_text(yaml.safe_dump(study))
    return path


def test_a_study_runs_every_arm_and_seed_once(study_file: Path, tmp_path: Path) -> None:
    study = fl.Study.from_yaml(study_file, tmp_path / "study")
    outcome = study.run(device="cpu")
    assert outcome.complete and len(outcome.finished) == 4
    states = study.states()
    assert [(s.arm, s.seed, s.status, s.epochs_done, s.audit) for s in states] == [
        ("baseline", 0, "finished", 2, "PASS"), ("freeze_1_to_3", 0, "finished", 2, "PASS"),
        ("baseline", 1, "finished", 2, "PASS"), ("freeze_1_to_3", 1, "finished", 2, "PASS"),
    ]  # fmt: skip
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "study").rglob("*")}
    again = fl.Study.from_yaml(tmp_path / "study")  # a study's folder is enough
    assert again.run(device="cpu").complete
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "study").rglob("*")} == before
    table = fl.compare([tmp_path / "study"])
    assert table["arm"].to_list() == ["baseline", "baseline", "freeze_1_to_3", "freeze_1_to_3"]
    assert table["freeze_depth"].to_list() == [0, 0, 3, 3]
    records = {(s.arm, s.seed): json.loads((s.folder / "run.json").read_text()) for s in states}
    a, b = records["baseline", 0], records["freeze_1_to_3", 0]
    assert a["settings"] == b["settings"] and a["seeds"] == b["seeds"] and a["data"] == b["data"]
    assert records["baseline", 1]["seeds"]["torch"] == 1


def test_other_settings_in_the_same_folder_are_refused(study_file: Path, tmp_path: Path) -> None:
    study = fl.Study.from_yaml(study_file, tmp_path / "study")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "study.yaml").write_text(study.file.to_yaml())
    changed = yaml.safe_load(study_file.read_text())
    changed["train"]["lr0"] = 0.5
    changed["seeds"] = [0]
    study_file.write_text(yaml.safe_dump(changed))
    with pytest.raises(fl.InputError, match=r"train.lr0: 0.01 there, 0.5 now; seeds: \[0, 1\] there, \[0\] now"):
        fl.Study.from_yaml(study_file, tmp_path / "study").run(device="cpu")


def test_a_failed_run_does_not_stop_the_others(
    study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = fl.Study.from_yaml(study_file, tmp_path / "study")
    planned = {run.label: run for run in study.runs()}
    blocked = planned["baseline/seed0"].folder  # somebody's files in the way of the first run only
    blocked.mkdir(parents=True)
    (blocked / "thesis.txt").write_text("precious")
    (tmp_path / "study" / "study.yaml").write_text(study.file.to_yaml())
    outcome = study.run(device="cpu")
    assert [label for label, _ in outcome.failed] == ["baseline/seed0"] and len(outcome.finished) == 3
    assert not outcome.complete and (blocked / "thesis.txt").read_text() == "precious"


def test_arms_with_data_of_their_own_must_pair_by_image_name(study_file: Path, tiny_data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_data.parent, other)
    value = yaml.safe_load(study_file.read_text())
    value["arms"]["srgb"] = {"data": "other/data.yaml"}
    study_file.write_text(yaml.safe_dump(value))
    assert set(fl.Study.from_yaml(study_file, tmp_path / "s").prepare()) == {"baseline", "freeze_1_to_3", "srgb"}
    (other / "images" / "val" / "val0.png").rename(other / "images" / "val" / "odd.png")
    with pytest.raises(fl.InputError, match=r"does not pair .* 2 validation image names are in one only"):
        fl.Study.from_yaml(study_file, tmp_path / "s").prepare()


@pytest.mark.slow
def test_ablate_from_the_command_line(tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path) -> None:
    words = (
        "ablate", tiny_checkpoint, tiny_data, "--freeze-list", "3,6", "--epochs", 2, "--imgsz", 64, "--batch", 4,
        "--device", "cpu", "--project", tmp_path / "depth", "--two-stage", "plots=false",
    )  # fmt: skip
    dry = frostline(*words, "--dry-run")
    assert dry.returncode == 0 and "5 runs" in dry.stdout and not (tmp_path / "depth").exists(), dry.stderr
    done = frostline(*words)
    assert done.returncode == 0, done.stderr
    assert "Training with layers 1–3 frozen (indices 0..2)" in done.stdout
    assert "[freeze_experiment] total_layers=24 frozen_layers=[0, 1, 2]" in done.stdout
    assert "[freeze_1_to_3] trainable_params=" in done.stdout and "bn_eval=" in done.stdout
    assert "5 of 5 runs finished" in done.stdout and done.stdout.count("audit PASS") == 5
    arms = ["baseline", "freeze_1_to_3", "freeze_1_to_6", "two_stage_3", "two_stage_6"]
    assert sorted(path.name for path in (tmp_path / "depth").iterdir() if path.is_dir()) == sorted(
        [*arms, "claims", "logs"]
    )
    status = frostline("study", "status", tmp_path / "depth", "--json")
    assert {row["status"] for row in json.loads(status.stdout)} == {"finished"}
    compared = frostline(
        "compare", tmp_path / "depth", "--metrics", "mAP50", "mAP50-95", "--out", tmp_path / "comparison.png"
    )
    assert compared.returncode == 0 and (tmp_path / "comparison.png").stat().st_size > 10_000, compared.stderr
    assert (tmp_path / "comparison.csv").is_file() and (tmp_path / "comparison.json").is_file()


@pytest.mark.slow
def test_train_powers_off_once_with_a_stand_in(tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path) -> None:
    mark = tmp_path / "off"
    words = ("train", tiny_checkpoint, tiny_data, "--freeze", "0-2", "--epochs", 1, "--imgsz", 64, "--batch", 4,
             "--device", "cpu", "--project", tmp_path / "runs", "plots=false", "--shutdown")  # fmt: skip
    command = f"{sys.executable} -c \"open(r'{mark}', 'a').write('x')\""
    asked = frostline(*words, FROSTLINE_SHUTDOWN_COMMAND=command)
    assert asked.returncode != 0 and not (tmp_path / "runs").exists() and not mark.exists()
    done = frostline(*words, "--yes", FROSTLINE_SHUTDOWN_COMMAND=command)
    assert done.returncode == 0 and mark.read_text() == "x", done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "{model}", "{data}", "--freeze", "0-99"], "no layer 99"),
        (["train", "{model}", "{data}", "lr=1"], "did you mean 'lrf'"),
        (["train", "{model}", "{data}", "--freeze", "0-2-3"], "error: --freeze: selector '0-2-3'"),
        (["train", "{model}", "{data}", "--freeze", "0", "--name", "a/b"], "--name 'a/b': expected the name of one"),
        (["train", "{model}", "{data}", "--plan", "{plan}", "--epochs", "9"], "gives every stage its own (1, 2); give"),
        (["train", "{model}", "{data}", "--plan", "{plan}", "--freeze", "0"], "give one of --freeze, --train-only"),
        (["train", "{model}", "{data}", "--name", ""], "--name '': expected the name of one folder"),
        (["two-stage", "{model}", "{data}", "--freeze", "0", "--name", ".."], "--name '..': expected the name of one"),
        (["two-stage", "{model}", "{data}", "--freeze", "0-2-3"], "error: --freeze: selector '0-2-3'"),
        (["two-stage", "{model}", "{data}", "--freeze", "0", "--lr2", "0"], "--lr2 0: expected a number above 0"),
        (["ablate", "{model}", "{data}", "lr0=x"], "error: lr0: expected a number above 0, got 'x'"),
        (["train", "nothing.pt", "{data}"], "nothing.pt: no such checkpoint"),
        (["ablate", "{model}", "{data}", "--freeze-list", "0"], "give 1 or more"),
        (["ablate", "{model}", "{data}", "--freeze-list", "x"], "expected whole numbers"),
        (["two-stage", "{model}", "{data}"], "say what stage 1 freezes"),
        (["two-stage", "{model}", "{data}", "--freeze", "0", "lr0=0.3"], "use --lr1 and --lr2"),
        (["train", "{model}", "{data}", "project=x"], "project: cannot be given here: use --project"),
        (["train", "{model}", "{data}", "name=x"], "name: cannot be given here: use --name"),
        (["study", "run", "nothing.yaml"], "nothing.yaml: cannot read the study file"),
        (["layers", "{model}", "--freeze", "neckk"], "did you mean 'neck'"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    words: list[str], message: str, tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("stages:\n  - {epochs: 1, freeze: 0-2}\n  - {epochs: 2}\n")
    filled = [word.format(model=tiny_checkpoint, data=tiny_data, plan=plan) for word in words]
    done = frostline(*filled, cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_the_drop_in_scripts_train_and_compare(tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path) -> None:
    def script(name: str, *words: object) -> str:
        path = Path(__file__).parents[2] / "scripts" / name
        done = subprocess.run(
            [sys.executable, path, *map(str, words)], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    common = ("--model", tiny_checkpoint, "--data", tiny_data, "--imgsz", 64, "--batch", 4, "--device", "cpu")
    out = script("train_freeze.py", *common, "--epochs1", 1, "--epochs2", 1, "--layers", 6)
    assert "Training with layers 7–24 frozen (indices 6..23)" in out and "workers=40" in out
    assert "[stage1_before_train]" in out and "[stage2_before_train]" in out
    first, second = (fl.Run.open(tmp_path / "runs" / "train" / f"exp_stage{n}") for n in (1, 2))
    assert first is not None and second is not None and first.audit_passed and second.audit_passed
    assert second.record["model"] == str(first.weights.resolve())
    assert (first.record["settings"]["lr0"], second.record["settings"]["lr0"]) == (0.005, 0.01)
    out = script("train_freeze_ablation.py", *common, "--epochs", 1, "--freeze_list", "3,4")
    assert out.count("[freeze_experiment] total_layers=24") == 2 and "[freeze_1_to_4]" in out
    script("plot_comparison.py", "--exp_dirs", "1-3", "1-4", "--metrics", "mAP50", "--out", "c.png")
    assert (tmp_path / "c.png").is_file() and (tmp_path / "c.csv").is_file()
