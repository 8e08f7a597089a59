"""Diagnoses of single runs: freezing, divergence, memory, stages, curves."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from diagnosed import CURVE, SETTINGS, a_run, a_stage, arguments, change, evidence_of
from frostline.report.diagnoses import Diagnosis, frozen, learning, memory, stages
from frostline.report.diagnoses.facts import Facts
from run_folders import new_ultralytics

Rule = Callable[[Facts], list[Diagnosis]]
PASSED = {"name": "frozen weights are bitwise unchanged", "passed": True, "detail": "all 6 tensors"}


def told(rule: Rule, *folders: Path) -> list[Diagnosis]:
    return rule(Facts.of(evidence_of(*folders)))


def audit(folder: Path, *checks: dict[str, object], notes: Sequence[str] = ()) -> None:
    (folder / "audit.json").write_text(json.dumps({"verdict": "FAIL", "checks": checks, "notes": list(notes)}))


@pytest.mark.parametrize(
    "rule",
    [
        frozen.nothing_trainable, frozen.audits, frozen.batchnorms, frozen.random_weights,
        learning.diverged, learning.still_rising, memory.out_of_memory, stages.worse_stages,
    ],
)  # fmt: skip
def test_nothing_is_said_of_a_run_that_is_well(rule: Rule, tmp_path: Path) -> None:
    audit(a_run(tmp_path, depth=3), PASSED)
    assert told(rule, tmp_path) == []


def test_a_stage_without_trainable_parameters_is_everything_frozen(tmp_path: Path) -> None:
    a_run(tmp_path, stages=[a_stage(frozen=range(24), trainable_parameters=0)])
    (found,) = told(frozen.nothing_trainable, tmp_path)
    assert (found.code, found.severity) == ("everything-frozen", "error")
    assert found.detail == "stage 1 has no trainable parameter, 24,000 are frozen"


def test_a_run_that_stopped_as_nothing_could_train_is_everything_frozen(tmp_path: Path) -> None:
    reason = "RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn"
    a_run(tmp_path, status="failed", reason=reason)
    (found,) = told(frozen.nothing_trainable, tmp_path)
    assert found.code == "everything-frozen" and reason in found.detail


@pytest.mark.parametrize(
    ("freeze", "layers"), [(24, 24), (30, 30), (list(range(24)), 24), (23, None), ([*range(23), "23.cv2"], None)]
)
def test_plain_ultralytics_that_freezes_all_layers_is_found(freeze: object, layers: int | None, tmp_path: Path) -> None:
    new_ultralytics(tmp_path, [0.1, 0.2, 0.3])
    arguments(tmp_path, model="yolo11s.pt", freeze=freeze)
    found = [one.detail for one in told(frozen.nothing_trainable, tmp_path)]
    assert found == ([] if layers is None else [f"args.yaml has freeze={layers}, and the model has 24 layers"])


def test_the_layers_of_an_unknown_model_are_those_that_another_run_of_it_counted(tmp_path: Path) -> None:
    a_run(tmp_path / "ours", model="/models/own.pt", total_layers=12)
    new_ultralytics(tmp_path / "plain", [0.1, 0.2, 0.3])
    arguments(tmp_path / "plain", model="/models/own.pt", freeze=12)
    (found,) = told(frozen.nothing_trainable, tmp_path)
    assert found.arms == ("plain",) and "12 layers" in found.detail


def test_a_mean_that_never_changes_by_a_digit_means_that_no_weight_moved(tmp_path: Path) -> None:
    a_run(tmp_path / "flat", curve=[0.3] * 4)
    a_run(tmp_path / "zero", curve=[0.0] * 4)  # a model that has not learned yet
    (found,) = told(frozen.nothing_trainable, tmp_path)
    assert found.code == "nothing-moved" and found.detail.startswith("mAP50-95 is 0.15000 in each of 4 epochs")
    audit(tmp_path / "zero", PASSED, notes=["warning: no trainable weight moved; too few optimizer steps"])
    assert [one.code for one in told(frozen.nothing_trainable, tmp_path)] == ["nothing-moved"] * 2


def test_a_failed_audit_names_its_tensors_and_tells_the_kinds_apart(tmp_path: Path) -> None:
    a_run(tmp_path, depth=3)
    names = {
        "frozen weights are bitwise unchanged": "frozen-in-name-only",
        "requires_grad follows the plan and no frozen tensor had a gradient": "frozen-in-name-only",
        "the checkpoint holds the values that were frozen at the start": "frozen-in-name-only",
        "statistics of frozen BatchNorms are unchanged": "batchnorm-training",
        "every layer that was to train got gradients": "audit-failed",
    }
    audit(tmp_path, *({"name": n, "passed": False, "detail": f"1 of 6 wrong: {i}.bn"} for i, n in enumerate(names)))
    found = told(frozen.audits, tmp_path)
    assert [one.code for one in found] == list(names.values()) and {one.severity for one in found} == {"error"}
    assert all(f"1 of 6 wrong: {i}.bn" in one.detail for i, one in enumerate(found))


def test_the_audit_of_a_later_stage_is_read_with_its_number(tmp_path: Path) -> None:
    a_run(tmp_path)
    bad = {"name": "frozen weights are bitwise unchanged", "passed": False, "detail": "0.conv.weight"}
    stages_of = [{"stage": 1, "checks": [PASSED]}, {"stage": 2, "checks": [bad]}]
    (tmp_path / "audit.json").write_text(json.dumps({"verdict": "FAIL", "stages": stages_of}))
    (found,) = told(frozen.audits, tmp_path)
    assert found.detail.endswith("stage 2: 0.conv.weight")


def test_frozen_layers_without_a_held_batchnorm_are_in_training_mode(tmp_path: Path) -> None:
    a_run(tmp_path, stages=[a_stage(frozen=[0, 1, 2], batchnorms_held=0)])
    (found,) = told(frozen.batchnorms, tmp_path)
    assert found.detail == "stage 1 froze 3 layers (3,000 parameters) and held none of their BatchNorms"


def test_the_summary_of_the_reference_scripts_is_found_in_a_log(tmp_path: Path) -> None:
    line = "[before_train] trainable_params=9000000 frozen_params={} bn_total=81 bn_eval={} bn_train={}\n"
    new_ultralytics(tmp_path / "bad", CURVE)
    (tmp_path / "bad" / "train.log").write_text("epoch 1\n" + line.format(50000, 0, 81))
    new_ultralytics(tmp_path / "held", CURVE)
    (tmp_path / "held" / "train.log").write_text(line.format(50000, 6, 75))
    new_ultralytics(tmp_path / "dfl", CURVE)  # what Ultralytics freezes anyway
    (tmp_path / "dfl" / "train.log").write_text(line.format(16, 0, 81))
    (found,) = told(frozen.batchnorms, tmp_path)
    assert found.arms == ("bad",) and "50,000 frozen parameters and 81 BatchNorms in training mode" in found.detail


def test_fresh_tensors_that_were_frozen_on_purpose_are_named(tmp_path: Path) -> None:
    transfer = {"loaded": 420, "total": 427, "source": "a.pt", "fresh": ["23.cv3.0.2.weight"]}
    plan = {"stages": [{"epochs": 12}], "freeze_fresh": True}
    a_run(tmp_path / "frozen", frozen_layers=[22, 23], transfer=transfer, plan=plan)
    a_run(tmp_path / "elsewhere", frozen_layers=[0, 1, 2], transfer=transfer, plan=plan)
    a_run(tmp_path / "kept", frozen_layers=[22, 23], transfer=transfer)
    (found,) = told(frozen.random_weights, tmp_path)
    assert "23.cv3.0.2.weight" in found.detail and found.code == "frozen-random"


def rewrite(folder: Path, column: str, values: Sequence[object]) -> None:
    """Replace a column of `results.csv`."""
    header, *rows = (folder / "results.csv").read_text().splitlines()
    place = header.split(",").index(column)
    lines = [header]
    for row, value in zip(rows, values, strict=True):
        cells = row.split(",")
        cells[place] = str(value)
        lines.append(",".join(cells))
    (folder / "results.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("word", ["nan", "inf", "-inf", "NaN"])
def test_a_training_loss_that_is_no_number_is_a_run_that_diverged(word: str, tmp_path: Path) -> None:
    rewrite(a_run(tmp_path), "train/box_loss", [1.5] * 10 + [word] * 2)
    (found,) = told(learning.diverged, tmp_path)
    assert (found.code, found.severity) == ("diverged", "error")
    assert found.detail == "train/box_loss is no number in 2 rows from row 11"
    assert found.try_[0] == "lr0=0.0033 instead of 0.01, for every arm"


def test_a_validation_loss_that_is_no_number_is_told_and_no_divergence(tmp_path: Path) -> None:
    rewrite(a_run(tmp_path), "val/cls_loss", ["nan"] + [1.5] * 11)
    (found,) = told(learning.diverged, tmp_path)
    assert found.code == "nan-in-results" and found.detail.startswith("val/cls_loss is no number in row 1;")


def test_a_run_that_ended_in_nan_is_one_that_diverged(tmp_path: Path) -> None:
    a_run(tmp_path, status="failed", reason="RuntimeError: Training failed: NaN persisted for 4 epochs")
    (found,) = told(learning.diverged, tmp_path)
    assert found.severity == "error" and "NaN persisted for 4 epochs" in found.detail


@pytest.mark.parametrize(
    ("losses", "severity"),
    [
        ([3, 2.5, 2, 2, 2, 2, 2, 9, 9, 9, 9, 9], "error"),
        ([3, 2.5, 2, 2, 2, 2, 2, 9, 2, 2, 2, 2], "note"),
        ([3, 2.5, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3], None),
    ],
)
def test_a_training_loss_that_jumps_is_told_and_worse_where_it_stays(
    losses: Sequence[float], severity: str | None, tmp_path: Path
) -> None:
    a_run(tmp_path)
    for name, share in (("box", 0.5), ("cls", 0.3), ("dfl", 0.2)):
        rewrite(tmp_path, f"train/{name}_loss", [share * loss for loss in losses])
    found = told(learning.diverged, tmp_path)
    assert [one.severity for one in found] == ([severity] if severity else [])
    assert not found or found[0].detail == "the training loss rose from 2 to 9 in epoch 8"


def test_a_later_stage_may_begin_with_a_higher_loss(tmp_path: Path) -> None:
    both = [a_stage(6), a_stage(6, stage=2)]
    a_run(tmp_path, lengths=[6, 6], stages=both)
    rewrite(tmp_path, "train/box_loss", [1] * 6 + [20] * 6)
    assert told(learning.diverged, tmp_path) == []
    rewrite(tmp_path, "train/box_loss", [1] * 6 + [20] * 3 + [200] * 3)
    (found,) = told(learning.diverged, tmp_path)
    assert found.detail.endswith("in epoch 10")


def test_a_map_that_falls_to_nothing_is_a_collapse(tmp_path: Path) -> None:
    a_run(tmp_path / "lost", "lost", curve=[0.2, 0.4, 0.001, 0.0])
    a_run(tmp_path / "dip", "dip", curve=[0.2, 0.4, 0.001, 0.41])
    a_run(tmp_path / "slow", "slow", curve=[0.02, 0.0, 0.1, 0.2])  # it had learned next to nothing
    found = {one.arms: one for one in told(learning.diverged, tmp_path)}
    assert {arms: one.severity for arms, one in found.items()} == {("lost",): "error", ("dip",): "note"}
    assert found["lost",].detail == "mAP50-95 fell to 0.1 in epoch 3 after 20.0 in epoch 2"


@pytest.mark.parametrize(
    "reason",
    [
        "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB",
        "RuntimeError: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate",
        "RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory",
        "MemoryError: ",
    ],
)
def test_a_run_that_failed_for_memory_gets_a_smaller_batch_with_the_same_steps(reason: str, tmp_path: Path) -> None:
    a_run(tmp_path, status="failed", reason=reason)
    (found,) = told(memory.out_of_memory, tmp_path)
    assert found.severity == "error" and found.detail.endswith("(batch 16)")
    assert found.try_[0] == "batch=8 nbs=64 for every arm: a step then gathers the gradients of 8 batches"
    assert found.try_[1].startswith("precision=auto") and found.try_[2].startswith("imgsz=480, not 640")
    assert "freeze more" in found.try_[3]


def test_advice_on_memory_goes_by_what_the_run_can_do(tmp_path: Path) -> None:
    settings = {**SETTINGS, "imgsz": 320, "amp": True, "batch": 100}
    a_run(tmp_path, status="failed", reason="CUDA out of memory", settings=settings, pixels={"kind": "uint8"})
    (found,) = told(memory.out_of_memory, tmp_path)
    assert found.try_[0].startswith("batch=50 nbs=100 ") and len(found.try_) == 2
    change(tmp_path, arithmetic={"precision": "fp32"})
    (found,) = told(memory.out_of_memory, tmp_path)
    assert found.try_[1].startswith("precision=auto") and len(found.try_) == 3
    change(tmp_path, arithmetic={"precision": "bf16"})
    (found,) = told(memory.out_of_memory, tmp_path)
    assert len(found.try_) == 2, "it is in half precision already"


def test_a_batch_that_was_cut_in_training_is_found(tmp_path: Path) -> None:
    a_run(tmp_path, stages=[a_stage(batch=4)])
    (found,) = told(memory.out_of_memory, tmp_path)
    assert found.severity == "warning" and "batch 16 did not fit and Ultralytics trained with 4" in found.detail
    assert found.try_[0].startswith("batch=4 nbs=64 ")


def two_stages(
    folder: Path, curves: tuple[Sequence[float], Sequence[float]], rates: tuple[float, float], model: str | None = None
) -> Path:
    """Write a run of two stages; curves are of mAP50, half of which is mAP50-95."""
    both = [
        a_stage(len(curve), stage=number, metrics={"ultralytics/mAP50-95": max(curve) / 2})
        for number, curve in enumerate(curves, 1)
    ]
    lengths = [len(curve) for curve in curves]
    a_run(folder, seed=0, curve=[*curves[0], *curves[1]], lengths=lengths, stages=both)
    for number, rate in enumerate(rates, 1):
        start = str(folder / "stage1" / "weights" / "best.pt") if number == 2 else "yolo11s.pt"
        arguments(folder / f"stage{number}", lr0=rate, model=model if model and number == 2 else start)
    return folder


FIRST = [0.1, 0.3, 0.4, 0.4, 0.4, 0.4]


def test_a_second_stage_that_falls_at_once_with_a_high_rate_is_put_down_to_the_rate(tmp_path: Path) -> None:
    two_stages(tmp_path / "a" / "seed0", (FIRST, [0.1, 0.2, 0.25, 0.26, 0.27, 0.27, 0.27, 0.27]), (0.005, 0.01))
    (found,) = told(stages.worse_stages, tmp_path)
    assert (found.code, found.severity) == ("worse-stage", "warning")
    assert found.detail.startswith("stage 2 reaches mAP50-95 13.5, stage 1 20.0 (-6.5); likely the learning rate: ")
    assert "lr0 is 0.01 in stage 2 and 0.005 in stage 1, and mAP50-95 falls from 20.0 to 5.0" in found.detail
    assert found.try_[0].startswith("lr0=0.002 for stage 2")


def test_a_second_stage_from_another_checkpoint_is_put_down_to_that_whatever_the_rate(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "seed0"
    two_stages(folder, (FIRST, [0.05, 0.1, 0.2]), (0.005, 0.01), model="/x/a/seed1/stage1/weights/best.pt")
    (found,) = told(stages.worse_stages, tmp_path)
    assert "it did not start from stage 1's best.pt but from seed1/stage1/weights/best.pt" in found.detail
    # The same folders at another place on the disk are no other checkpoint.
    two_stages(folder, (FIRST, [0.05, 0.1, 0.2]), (0.005, 0.01), model="/moved/a/seed0/stage1/weights/best.pt")
    assert "learning rate" in told(stages.worse_stages, tmp_path)[0].detail


def test_a_second_stage_from_the_last_checkpoint_is_wrong_unless_there_is_no_best(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "seed0"
    last = folder / "stage1" / "weights" / "last.pt"
    two_stages(folder, (FIRST, [0.05, 0.1, 0.2]), (0.005, 0.01), model=str(last))
    assert "did not start from stage 1's best.pt" in told(stages.worse_stages, tmp_path)[0].detail
    last.parent.mkdir()
    last.write_bytes(b"")
    assert "did not start from" not in told(stages.worse_stages, tmp_path)[0].detail


def test_a_second_stage_no_further_below_than_epochs_differ_may_be_chance(tmp_path: Path) -> None:
    second = [0.39, 0.37, 0.39, 0.37, 0.39, 0.37, 0.39, 0.37, 0.39, 0.37, 0.39, 0.37]
    two_stages(tmp_path / "a" / "seed0", (FIRST, second), (0.01, 0.005))
    (found,) = told(stages.worse_stages, tmp_path)
    assert found.severity == "note" and "may be chance" in found.detail


def test_a_second_stage_with_a_lower_rate_that_stays_level_has_no_cause_in_the_files(tmp_path: Path) -> None:
    second = [0.36, 0.361, 0.361, 0.362, 0.362, 0.362, 0.363, 0.363]
    two_stages(tmp_path / "a" / "seed0", (FIRST, second), (0.01, 0.001))
    (found,) = told(stages.worse_stages, tmp_path)
    assert "the files name no cause" in found.detail and "learning rate" not in found.detail


def test_a_better_second_stage_is_not_spoken_of(tmp_path: Path) -> None:
    two_stages(tmp_path / "a" / "seed0", (FIRST, [0.1, 0.2, 0.41]), (0.005, 0.01))
    assert told(stages.worse_stages, tmp_path) == []


def test_two_runs_of_the_reference_script_are_two_stages(tmp_path: Path) -> None:
    def run(name: str, curve: Sequence[float], model: str, rate: float) -> None:
        new_ultralytics(tmp_path / name, curve)
        arguments(tmp_path / name, model=model, lr0=rate)

    run("exp_stage1", FIRST, "yolo11s.pt", 0.005)
    run("exp_stage2", [0.1, 0.2, 0.25], str(tmp_path / "exp_stage1" / "weights" / "best.pt"), 0.01)
    (found,) = told(stages.worse_stages, tmp_path)
    assert found.arms == ("exp_stage2",) and "lr0 is 0.01 in exp_stage2 and 0.005 in exp_stage1" in found.detail
    run("exp_stage2", [0.1, 0.2, 0.25], str(tmp_path / "exp_stage1" / "weights" / "last.pt"), 0.01)
    assert "did not start from exp_stage1's best.pt" in told(stages.worse_stages, tmp_path)[0].detail
    run("exp_stage2", [0.1, 0.2, 0.25], "yolo11s.pt", 0.01)
    assert "but from yolo11s.pt" in told(stages.worse_stages, tmp_path)[0].detail


def test_scatter_is_that_of_the_noise_and_not_of_the_rise() -> None:
    rng = np.random.default_rng(0)
    values = [0.001 * epoch + 0.01 * noise for epoch, noise in enumerate(rng.standard_normal(4000))]
    assert stages.scatter_of(values) == pytest.approx(0.01, rel=0.08)
    assert stages.scatter_of([0.1, 0.2, 0.3, 0.4, 0.5]) is None


def test_a_curve_that_still_rises_is_found_and_noise_is_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    epochs = np.arange(100)
    rising = 0.2 + 0.002 * epochs + 0.002 * rng.standard_normal(100)
    rise = learning.rise_of(list(rising))
    assert rise is not None and rise.end == 20 and rise.low < 0.002 < rise.high
    levelled = 0.4 - 0.3 * np.exp(-epochs / 8)
    found = sum(learning.rise_of(list(levelled + 0.005 * rng.standard_normal(100))) is not None for _ in range(200))
    assert found <= 4  # the interval alone lets 2.5 % through, and the best epoch must be among the last 5 as well
    assert learning.rise_of([0.1, 0.2, 0.3, 0.4, 0.5]) is None  # five epochs have no end apart from their beginning
    assert learning.rise_of([*rising[:-1], math.nan]) is None


def test_an_arm_still_rises_where_half_of_its_runs_do(tmp_path: Path) -> None:
    rising = [0.1 + 0.01 * epoch for epoch in range(30)]
    for seed, curve in enumerate([rising, rising, [0.3] * 15 + [0.29] * 15]):
        a_run(tmp_path / "up" / f"seed{seed}", "up", seed, curve, settings={**SETTINGS, "close_mosaic": 3})
        a_run(tmp_path / "level" / f"seed{seed}", "level", seed, rising if seed == 0 else [0.3] * 15 + [0.29] * 15)
    (found,) = told(learning.still_rising, tmp_path)
    assert found.arms == ("up",)
    assert found.detail.startswith("2 of 3 runs gain 0.5 points of mAP50-95 an epoch over the last 6 of 30 ")
    assert "one more point takes 2 epochs" in found.detail or "one more point takes 3 epochs" in found.detail
    assert found.try_[0].startswith("half as many epochs again (12 to 18)")
    assert found.try_[-1].startswith("mind that mosaic was off in the last 3 epochs")
