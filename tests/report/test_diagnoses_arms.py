"""Diagnoses of arms beside each other: unequal settings, no difference, and what the images are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from diagnosed import SETTINGS, a_run, a_stage, a_study, arguments, change, evidence_of
from frostline.imaging import chroma_and_saturated, linear_to_srgb, write_png8, write_tiff16
from frostline.report.diagnoses import Diagnosis, difference, images, unequal
from frostline.report.diagnoses.facts import Facts
from run_folders import new_ultralytics


def facts_of(*folders: Path) -> Facts:
    return Facts.of(evidence_of(*folders))


def arms(folder: Path, **odd: Any) -> Path:
    """Write three arms, of which the last is odd."""
    for arm in ("baseline", "freeze_1_to_3"):
        a_run(folder / arm / "seed0", arm)
    a_run(folder / "odd" / "seed0", "odd", **odd)
    return folder


def only(found: list[Diagnosis]) -> Diagnosis:
    (one,) = found
    return one


@pytest.mark.parametrize(
    ("odd", "line"),
    [
        ({"settings": {**SETTINGS, "imgsz": 320}}, "imgsz: 640 (baseline and freeze_1_to_3), 320 (odd)"),
        ({"settings": {**SETTINGS, "hsv_h": 0.5}}, None),  # the others do not say theirs
        ({"settings": {**SETTINGS, "lr0": 0.001}}, "lr0: 0.01 (baseline and freeze_1_to_3), 0.001 (odd)"),
        ({"settings": {**SETTINGS, "optimizer": "AdamW"}}, "optimizer: SGD (baseline and freeze_1_to_3), AdamW (odd)"),
        ({"data": "other.yaml"}, "data: data.yaml (baseline and freeze_1_to_3), other.yaml (odd)"),
        ({"model": "yolo11n.pt"}, "model: yolo11s.pt (baseline and freeze_1_to_3), yolo11n.pt (odd)"),
        ({"stages": [a_stage(batch=8)]}, "batch: 16 (baseline and freeze_1_to_3), 8 (odd)"),
        ({"stages": [a_stage(14)]}, "epochs: 12 (baseline and freeze_1_to_3), 14 (odd)"),
        (
            {"versions": {"ultralytics": "8.3.0", "torch": "2.14.1"}},
            "version of ultralytics: 8.4.190 (baseline and freeze_1_to_3), 8.3.0 (odd)",
        ),
        ({"settings": {**SETTINGS, "imgsz": 640.0, "plots": True, "workers": 7}}, None),
        ({"stages": [a_stage(6), a_stage(6, stage=2, lr0=0.001)]}, None),  # the plan's own
    ],
)
def test_each_setting_in_which_arms_differ_is_named_with_its_values(
    odd: dict[str, Any], line: str | None, tmp_path: Path
) -> None:
    found = unequal.unequal_settings(facts_of(arms(tmp_path, **odd)))
    assert [one.detail for one in found] == ([line] if line else [])
    assert not found or (found[0].severity == "warning" and found[0].arms == ("odd",))


def test_what_a_stage_sets_for_itself_is_the_plans_own(tmp_path: Path) -> None:
    arms(tmp_path)
    for arm, rate in (("baseline", 0.01), ("freeze_1_to_3", 0.01), ("odd", 0.1)):
        arguments(tmp_path / arm / "seed0", **SETTINGS, model="yolo11s.pt", lrf=rate, cos_lr=arm == "odd")
    assert unequal.unequal_settings(facts_of(tmp_path)) == []


def test_augmentation_is_compared_between_our_runs_and_those_of_plain_ultralytics(tmp_path: Path) -> None:
    a_run(tmp_path / "ours")
    new_ultralytics(tmp_path / "plain", [0.1] * 12)
    arguments(tmp_path / "plain", **{**SETTINGS, "mosaic": 0.0, "model": "yolo11s.pt", "name": "x", "freeze": 3})
    assert only(unequal.unequal_settings(facts_of(tmp_path))).detail == "mosaic: 1.0 (arm), 0.0 (plain)"


def test_a_seed_with_settings_of_its_own_is_named_by_its_seed(tmp_path: Path) -> None:
    for seed in range(3):
        imgsz = 320 if seed == 2 else 640
        a_run(tmp_path / "a" / f"seed{seed}", "a", seed, settings={**SETTINGS, "imgsz": imgsz})
    found = only(unequal.unequal_settings(facts_of(tmp_path)))
    assert found.detail == "imgsz: 640 (a, seed 0 and a, seed 1), 320 (a, seed 2)"


def test_what_the_study_file_gives_an_arm_is_a_note_and_what_it_does_not_is_a_warning(tmp_path: Path) -> None:
    arms(tmp_path, model="yolo11n.yaml", settings={**SETTINGS, "imgsz": 320})
    study = {"name": "s", "arms": {"baseline": {}, "freeze_1_to_3": {}, "odd": {"model": "yolo11n.yaml"}}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    found = {one.severity: one for one in unequal.unequal_settings(facts_of(tmp_path))}
    assert found["note"].detail.startswith("model: yolo11s.pt") and found["warning"].detail.startswith("imgsz: 640")
    study["arms"] = {"baseline": {}, "freeze_1_to_3": {"model": "yolo11n.yaml"}, "odd": {}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    assert {one.severity for one in unequal.unequal_settings(facts_of(tmp_path))} == {"warning"}


def test_runs_that_ended_early_are_named_with_their_patience(tmp_path: Path) -> None:
    arms(tmp_path, settings={**SETTINGS, "epochs": 100, "patience": 5}, stages=[a_stage(100)])
    found = only(unequal.lengths(facts_of(tmp_path)))
    assert found.detail == "12 of 100 epochs; patience is 5" and found.arms == ("odd",)


def test_machines_and_automatic_optimizers_are_told(tmp_path: Path) -> None:
    facts = facts_of(arms(tmp_path, device="cuda H100", settings={**SETTINGS, "optimizer": "auto"}))
    assert only(unequal.machines(facts)).detail == "device: cpu, 2 cores (baseline and freeze_1_to_3), cuda H100 (odd)"
    assert only(unequal.automatic_optimizer(facts)).arms == ("odd",)
    for rule in (unequal.machines, unequal.automatic_optimizer, unequal.lengths, unequal.unequal_settings):
        assert rule(facts_of(arms(tmp_path / rule.__name__))) == []


def test_times_measured_in_lockstep_are_told(tmp_path: Path) -> None:
    assert unequal.lockstep(facts_of(arms(tmp_path / "apart", together=[]))) == []
    assert unequal.lockstep(facts_of(arms(tmp_path / "alone", together=["odd/seed0"]))) == []
    found = only(unequal.lockstep(facts_of(arms(tmp_path / "both", together=["odd/seed0", "baseline/seed0"]))))
    assert found.arms == ("odd",) and found.severity == "note" and found.detail.startswith("1 of 3 runs shared")


def test_the_same_detections_are_the_same_to_the_last_digit(tmp_path: Path) -> None:
    a_study(tmp_path, {"baseline": 0, "freeze_1_to_3": 3}, shares=(0.9, 0.5))
    for seed in range(3):
        source = tmp_path / "baseline" / f"seed{seed}" / "predictions.parquet"
        (tmp_path / "freeze_1_to_3" / f"seed{seed}" / "predictions.parquet").write_bytes(source.read_bytes())
    found = only(difference.no_difference(facts_of(tmp_path)))
    assert found.severity == "note" and found.title == "The arm is not told apart from baseline"
    assert "freeze_1_to_3: mAP50-95 is that of baseline to the last digit" in found.detail
    assert "all of them started from yolo11s.pt (427 of 427 tensors came from it)" in found.detail
    assert "freeze_1_to_3 freezes most of the first layers: 3 of 24 layers" in found.detail
    assert found.try_[-1] == "freeze deeper: --freeze 0-5 and --freeze backbone"


def test_an_undecided_arm_comes_with_what_would_decide_it_and_an_equivalent_one_does_not(tmp_path: Path) -> None:
    a_study(tmp_path / "few", {"baseline": 0, "freeze_1_to_3": 3}, images=20, shares=(0.6, 0.6))
    found = only(difference.no_difference(facts_of(tmp_path / "few")))
    assert found.severity == "warning" and "undecided (the 95% interval holds 0" in found.detail
    assert "one point to baseline, found with a chance of 80%" in found.try_[0]
    a_study(tmp_path / "many", {"baseline": 0, "freeze_1_to_3": 3}, images=500, shares=(0.996, 0.996))
    found = only(difference.no_difference(facts_of(tmp_path / "many")))
    assert found.severity == "note" and "equivalent to baseline within one point" in found.detail
    assert not any("chance of 80%" in line for line in found.try_)


def test_arms_that_differ_are_not_spoken_of_and_the_deepest_that_differs_ends_the_advice(tmp_path: Path) -> None:
    a_study(tmp_path, {"baseline": 0, "freeze_1_to_3": 3, "freeze_1_to_6": 6}, images=60, shares=(0.7, 0.7, 0.2))
    found = only(difference.no_difference(facts_of(tmp_path)))
    assert found.arms == ("freeze_1_to_3",) and found.title.startswith("1 of 2 arms are not told apart")
    assert "freeze_1_to_6 freezes most of the first layers: 6 of 24 layers, and it does differ" in found.detail
    assert not any("freeze deeper" in line for line in found.try_)


def test_random_weights_are_told_where_the_baseline_has_them(tmp_path: Path) -> None:
    nothing: dict[str, Any] = {"loaded": 0, "total": 0, "source": None, "fresh": []}
    a_study(tmp_path, {"baseline": 0, "arm": 0}, images=20, shares=(0.6, 0.6), transfer=nothing)
    found = only(difference.no_difference(facts_of(tmp_path)))
    assert "all of them started from random weights" in found.detail
    assert any("pretrained checkpoint" in line for line in found.try_)


def scene(seed: int) -> NDArray[np.uint16]:
    """Make linear light of coloured surfaces in sun and shadow."""
    rng = np.random.default_rng(seed)
    surfaces = rng.uniform(0.1, 0.9, (8, 8, 3)).repeat(16, axis=0).repeat(16, axis=1)
    light = np.exp(rng.normal(0, 1, (16, 16, 1))).repeat(8, axis=0).repeat(8, axis=1)
    linear = 8000 * surfaces * light ** np.array([1.0, 0.9, 0.8]) * rng.uniform(0.97, 1.03, (128, 128, 3))
    clipped: NDArray[np.uint16] = np.clip(linear, 1, 65534).astype(np.uint16)
    return clipped


ISD = np.array([1.0, 0.9, 0.8]) / np.linalg.norm([1.0, 0.9, 0.8])


def projected(linear: NDArray[np.uint16], encode: Any, bits: int = 16) -> NDArray[Any]:
    """Project in NumPy: the compiled pass takes seconds to compile."""
    return chroma_and_saturated(linear, ISD, encode=encode, bits=bits, compiled=False)[0]


def dataset(folder: Path, kind: str, count: int = 3) -> str:
    """Write images of a kind, and their data.yaml."""
    for split in ("train", "val"):
        for seed in range(count):
            path, linear = folder / "images" / split / f"{seed}", scene(seed)
            if kind in ("log", "linear"):
                write_tiff16(path.with_suffix(".tiff"), projected(linear, kind))
            elif kind == "log 8":
                write_png8(path.with_suffix(".png"), projected(linear, "log", 8))
            else:
                srgb = (linear_to_srgb(linear) * 255).round().astype(np.uint8)
                grey = srgb.mean(axis=2, keepdims=True).repeat(3, axis=2).astype(np.uint8)
                write_png8(path.with_suffix(".png"), grey if kind == "grey" else srgb)
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [Car]\n")
    return str(folder / "data.yaml")


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("log", "log-chromaticity"),
        ("linear", "log-chromaticity"),
        ("log 8", "log-chromaticity"),
        ("photo", "photographs"),
        ("grey", "grey"),
    ],
)
def test_images_are_told_by_their_pixels_alone(kind: str, found: str, tmp_path: Path) -> None:
    told = images.image_statistics(dataset(tmp_path, kind))
    assert told is not None and told.kind == found and (told.images, told.total) == (3, 3)
    if found == "log-chromaticity":
        # The direction that was taken out is the normal of the plane.
        assert told.angle == pytest.approx(np.degrees(np.arccos(ISD.sum() / np.sqrt(3))), abs=1.5)


def test_means_and_spreads_are_those_of_the_pixels_at_the_network(tmp_path: Path) -> None:
    data = dataset(tmp_path, "log")
    stored = np.concatenate([projected(scene(seed), "log").reshape(-1, 3) for seed in range(3)])
    told = images.image_statistics(data, {"kind": "uint16", "low": 1000, "high": 50000})
    shares = (stored.astype(float) - 1000) / 49000
    assert told is not None
    assert told.mean == pytest.approx(shares.mean(axis=0), abs=0.005)
    assert told.std == pytest.approx(shares.std(axis=0), rel=0.05)
    furthest = max(abs(told.mean[i] - images.IMAGENET_MEAN[i]) / images.IMAGENET_STD[i] for i in range(3))
    assert f"up to {furthest:.1f} of its deviations off" in images.told(told)[1]


def test_a_manifest_that_the_pixels_belie_is_told(tmp_path: Path) -> None:
    data = dataset(tmp_path, "photo")
    (tmp_path / "chroma.json").write_text(json.dumps({"version": 1, "anchor": 10.4, "encode": "log", "images": {}}))
    told = images.image_statistics(data)
    assert told is not None
    assert "not log-chromaticity" in images.told(told)[0] and "chroma.json says" in images.told(told)[0]
    assert len(images.advice(told)) == 1


def test_images_that_are_not_at_hand_say_nothing(tmp_path: Path) -> None:
    assert images.image_statistics(None) is None and images.image_statistics("none.yaml") is None
    data = dataset(tmp_path, "photo", 2)
    for image in (tmp_path / "images" / "train").iterdir():
        image.write_bytes(b"")
    assert images.image_statistics(data) is None
    (tmp_path / "data.yaml").write_text("train: gone\nval: gone\nnames: [Car]\n")
    assert images.image_statistics(data) is None


def test_no_difference_tells_what_the_images_are(tmp_path: Path) -> None:
    data = dataset(tmp_path / "set", "log")
    a_study(tmp_path / "study", {"baseline": 0, "arm": 3}, images=20, shares=(0.6, 0.6), data=data)
    found = only(difference.no_difference(facts_of(tmp_path / "study")))
    assert "3 of 3 training images are log-chromaticity" in found.detail
    other = dataset(tmp_path / "photo", "photo")
    for seed in range(3):
        change(tmp_path / "study" / "arm" / f"seed{seed}", data=other)
    found = only(difference.no_difference(facts_of(tmp_path / "study")))
    assert "baseline: 3 of 3 training images are log" in found.detail
    assert "arm: 3 of 3 training images are not log" in found.detail
