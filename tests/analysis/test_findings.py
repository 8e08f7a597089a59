from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from frostline.analysis import estimate_arm, estimate_difference, holm
from frostline.analysis.convergence import baseline_final, convergence_frame, cost_frame
from frostline.analysis.depth import frost_line
from frostline.analysis.findings import arm_frame, hypothesis_frame, needed_frame, pair_frame
from frostline.analysis.words import word
from toy_evidence import evidence

ARMS = {"baseline": 0.30, "freeze_1_to_3": 0.33, "freeze_1_to_5": 0.30, "freeze_1_to_6": 0.20}


def row(frame: pl.DataFrame, arm: str) -> dict[str, object]:
    return frame.row(by_predicate=pl.col("arm") == arm, named=True)


def test_the_row_of_an_arm_holds_the_estimates_of_the_bootstrap(tmp_path: Path) -> None:
    found = evidence(tmp_path, ARMS)
    frame = arm_frame(found)
    assert frame.get_column("arm").to_list() == list(ARMS)
    resamples = found.panels[0].resamples
    for metric in ("mAP50", "mAP50-95"):
        ps = {}
        for arm in ARMS:
            value = estimate_arm(resamples, f"ultralytics/{metric}", arm)
            assert [row(frame, arm)[f"{metric}{end}"] for end in ("", "_low", "_high")] == [
                value.value, value.low, value.high,
            ]  # fmt: skip
            if arm != "baseline":
                against = estimate_difference(resamples, f"ultralytics/{metric}", arm, "baseline")
                assert row(frame, arm)[f"{metric}_difference"] == against.value
                ps[arm] = against.p_value
        assert {arm: row(frame, arm)[f"{metric}_p_holm"] for arm in ps} == holm(ps)
    assert row(frame, "baseline")["mAP50-95_difference"] is None
    assert row(frame, "freeze_1_to_5")["mAP50-95_equivalent"] is True
    assert row(frame, "freeze_1_to_3")["mAP50-95_equivalent"] is False
    assert row(frame, "freeze_1_to_3")["mAP50-95_best"] == pytest.approx(1.0, abs=0.01)
    assert row(frame, "freeze_1_to_6")["seeds"] == [0, 1, 2, 3, 4]


def test_an_arm_without_predictions_has_its_mean_and_no_interval(tmp_path: Path) -> None:
    from dataclasses import replace

    found = evidence(tmp_path, ARMS)
    panel = found.panels[0]
    kept = replace(panel, runs={arm: runs for arm, runs in panel.runs.items() if arm != "freeze_1_to_6"})
    told = row(arm_frame(replace(found, panels=(kept,))), "freeze_1_to_6")
    assert told["mAP50"] == pytest.approx(0.61) and told["mAP50_low"] is None and told["images"] is None


def test_pairs_are_every_two_arms_with_holm_over_all_of_them(tmp_path: Path) -> None:
    found = evidence(tmp_path, ARMS)
    pairs = pair_frame(found)
    assert pairs.height == 6
    assert pairs.get_column("p_holm").to_list() == list(
        holm({str(i): p for i, p in enumerate(pairs.get_column("p"))}).values()
    )
    two = pairs.filter((pl.col("arm") == "freeze_1_to_3") & (pl.col("other") == "freeze_1_to_6"))
    assert two.item(0, "difference") == pytest.approx(0.13, abs=0.01)


@pytest.mark.parametrize(
    ("hypothesis", "answer"),
    [
        ({"better": "freeze_1_to_3", "than": "baseline", "metric": "mAP50-95"}, "supported"),
        ({"better": "freeze_1_to_3", "than": "baseline", "metric": "mAP50-95", "by": 0.1}, "refuted"),
        ({"better": "freeze_1_to_3", "than": "baseline", "metric": "mAP50-95", "by": 0.03}, "undecided"),
        ({"better": "freeze_1_to_6", "than": "baseline", "metric": "AP_small"}, "refuted"),
        ({"better": "gone", "than": "baseline"}, "undecided"),
        ({"better": "freeze_1_to_3", "metric": "epochs_to_90"}, "supported"),
        ({"better": "baseline", "than": "freeze_1_to_3", "metric": "epochs_to_90"}, "refuted"),
    ],
)
def test_a_declared_hypothesis_is_answered_by_its_interval(
    tmp_path: Path, hypothesis: dict[str, object], answer: str
) -> None:
    curves = {"baseline": [0.1, 0.2, 0.3, 0.4, 0.6, 0.6, 0.6, 0.6, 0.6], "freeze_1_to_3": [0.6] * 9}
    found = evidence(tmp_path, ARMS, curves=curves, study={"hypotheses": [{"name": "h", **hypothesis}]})
    (told,) = hypothesis_frame(found).to_dicts()
    assert told["answer"] == answer
    if answer != "undecided":
        assert told["low"] <= told["difference"] <= told["high"]
    elif hypothesis["better"] == "gone":
        assert told["reason"] == "no finished run of gone"


def test_convergence_and_cost_are_those_of_the_curves(tmp_path: Path) -> None:
    # mAP50-95 is half of these; its final value, the mean of the last 5 epochs, is 0.3.
    curves = {"baseline": [0.1, 0.3, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6], "freeze_1_to_3": [0.2, 0.6, 0.6, 0.6, 0.6, 0.6]}
    times = {"baseline": {"epoch_seconds": [10.0] * 8}, "freeze_1_to_3": {"epoch_seconds": [5.0] * 6}}
    found = evidence(tmp_path, {"baseline": 0.3, "freeze_1_to_3": 0.3}, curves=curves, **times)
    speed = convergence_frame(found)
    assert row(speed, "baseline")["epochs_to_90"] == 4 and row(speed, "freeze_1_to_3")["epochs_to_90"] == 2
    difference = [row(speed, "freeze_1_to_3")[f"epochs_to_90_difference{end}"] for end in ("", "_low", "_high")]
    assert difference == [-2, -2, -2]  # the same in every seed
    assert row(speed, "freeze_1_to_3")["area"] == pytest.approx((0.2 / 2 + 4 * 0.6 + 0.6 / 2 + 0.6 / 2 - 0.6 / 2) / 10)
    assert baseline_final(found) == pytest.approx(0.3)
    cost = cost_frame(found)
    told = row(cost, "freeze_1_to_3")
    assert (told["seconds_to_baseline"], told["training_seconds"], told["reached"]) == (10, 30, 5)
    assert row(cost, "baseline")["seconds_to_baseline"] == 40 and told["epoch_ratio"] == 0.5


def test_an_arm_that_never_reaches_the_baseline_has_no_seconds(tmp_path: Path) -> None:
    curves = {"baseline": [0.6] * 5, "freeze_1_to_3": [0.4] * 5}
    records = {arm: {"epoch_seconds": [1.0] * 5} for arm in curves}
    told = row(cost_frame(evidence(tmp_path, dict.fromkeys(curves, 0.3), curves=curves, **records)), "freeze_1_to_3")
    assert told["seconds_to_baseline"] is None and told["reached"] == 0


@pytest.mark.parametrize(
    ("arms", "line"),
    [
        ({"baseline": 0.3, "freeze_1_to_3": 0.3, "freeze_1_to_6": 0.2}, 3),
        ({"baseline": 0.3, "freeze_1_to_3": 0.34, "freeze_1_to_6": 0.3}, 3),  # 6 is as good as nothing, 3 is better
        ({"baseline": 0.3, "freeze_1_to_3": 0.2, "freeze_1_to_6": 0.1}, 0),
        ({"baseline": 0.3, "freeze_1_to_3": 0.3, "freeze_1_to_6": 0.301}, 6),
    ],
)
def test_the_frost_line_is_the_deepest_that_costs_less_than_a_point(
    tmp_path: Path, arms: dict[str, float], line: int
) -> None:
    found = frost_line(evidence(tmp_path, arms))
    assert found is not None and found.depth == line


def test_the_frost_line_is_undecided_where_nothing_is_shown(tmp_path: Path) -> None:
    noisy = evidence(tmp_path / "a", {"baseline": 0.3, "freeze_1_to_3": 0.3}, between_seeds=0.05, seeds=(0, 1))
    found = frost_line(noisy)
    assert found is not None and found.depth is None and found.open
    assert "undecided" in word(noisy).text
    assert frost_line(evidence(tmp_path / "b", {"baseline": 0.3, "roles": 0.3})) is None


def test_what_is_needed_is_told_for_every_arm_but_the_baseline(tmp_path: Path) -> None:
    frame = needed_frame(evidence(tmp_path, ARMS))
    assert frame.get_column("arm").to_list() == list(ARMS)[1:]
    assert all(0 < chance <= 1 for chance in frame.get_column("power"))


def test_the_verdict_names_the_best_arm_its_interval_and_its_cost(tmp_path: Path) -> None:
    records = {arm: {"epoch_seconds": [2.0 if arm == "freeze_1_to_3" else 4.0] * 3} for arm in ARMS}
    found = word(evidence(tmp_path, ARMS, **records))
    assert found.headline.startswith("freeze_1_to_3 ends above baseline: +2.8 points (95 % interval")
    assert "Holm-adjusted p" in found.headline and "best of all arms in 100 % of the draws" in found.headline
    assert "Below it: freeze_1_to_6 (-10." in found.text
    assert "Shown to be within 1 point of it either way: freeze_1_to_5" in found.text
    assert "An epoch of freeze_1_to_3 takes 0.50 times as long as one of baseline" in found.text


def test_no_difference_is_a_finding_and_doubt_is_none(tmp_path: Path) -> None:
    same = word(evidence(tmp_path / "a", {"baseline": 0.3, "freeze_1_to_3": 0.3}))
    assert same.headline == "No arm differs from baseline by more than 1 point of mAP50-95, and that is shown."
    doubt = word(evidence(tmp_path / "b", {"baseline": 0.3, "freeze_1_to_3": 0.31}, between_seeds=0.05))
    assert doubt.headline == (
        "No difference between any arm and baseline is shown, and none is ruled out: these runs do not decide."
    )
    assert "find a difference of 1 point between freeze_1_to_3 and the baseline" in doubt.text


def test_where_freezing_costs_at_every_depth_the_headline_says_just_that(tmp_path: Path) -> None:
    one = word(evidence(tmp_path / "a", {"baseline": 0.3, "freeze_1_to_3": 0.2}))
    assert one.headline == "freeze_1_to_3 ends below baseline."
    two = word(evidence(tmp_path / "b", {"baseline": 0.3, "freeze_1_to_3": 0.2, "freeze_1_to_6": 0.1}))
    assert two.headline == "Every other arm ends below baseline."


def test_a_verdict_without_a_baseline_claims_no_difference(tmp_path: Path) -> None:
    one = word(evidence(tmp_path / "a", {"roles": 0.3}))
    assert "nothing to compare it with" in one.headline
    two = word(evidence(tmp_path / "b", {"roles": 0.3, "decay": 0.4}))
    assert two.headline.startswith("decay has the highest mAP50-95, 39.9 %") and "there is no baseline" in two.headline


def test_with_one_seed_the_verdict_is_of_these_very_weights(tmp_path: Path) -> None:
    one, two = (word(evidence(tmp_path / str(len(seeds)), ARMS, seeds=seeds)) for seeds in ((0,), (0, 1)))
    assert "these very weights" in one.sentences[0] and "these very weights" not in " ".join(two.sentences)


def test_every_number_of_the_verdict_is_in_the_frames(tmp_path: Path) -> None:
    found = evidence(tmp_path, ARMS)
    base = row(arm_frame(found), "baseline")
    assert f"{100 * float(str(base['mAP50-95'])):.1f} %" in word(found).text
    json.dumps(arm_frame(found).to_dicts(), allow_nan=False)
