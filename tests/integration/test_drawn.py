"""Ultralytics' pictures of a run are all there, and none is drawn twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml
from tiny import SETTINGS

import frostline as fl
from frostline.training.drawn import LABELS

pytestmark = pytest.mark.integration
CURVES = {f"Box{name}_curve.png" for name in ("F1", "P", "R", "PR")}
PICTURES = CURVES | {
    LABELS, "results.png", "confusion_matrix.png", "confusion_matrix_normalized.png", "train_batch0.jpg",
    "val_batch0_labels.jpg", "val_batch0_pred.jpg",
}  # fmt: skip


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a curve, and the labels, were drawn."""
    from ultralytics.models.yolo.detect import train
    from ultralytics.utils import metrics

    count: Counter[str] = Counter()
    for module, name in ((metrics, "plot_mc_curve"), (metrics, "plot_pr_curve"), (train, "plot_labels")):
        real = getattr(module, name)

        def counting(*args: object, real: object = real, name: str = name, **kwargs: object) -> object:
            count[name] += 1
            return real(*args, **kwargs)  # type: ignore[operator]

        monkeypatch.setattr(module, name, counting)
    return count


def test_a_study_has_every_picture_in_each_run_and_draws_none_twice(
    tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path, drawn: Counter[str]
) -> None:
    train = {**SETTINGS, "plots": True, "image_cache": True}
    file = tmp_path / "a.yaml"
    arms = {"baseline": {}, "freeze_1_to_3": {"freeze": "0-2"}}
    value = {"model": str(tiny_checkpoint), "data": str(tiny_data), "train": train, "arms": arms, "seeds": [0]}
    file.write_text(yaml.safe_dump(value))
    study = fl.Study.from_yaml(file, tmp_path / "study")
    assert study.run(device="cpu").complete
    for arm in arms:
        there = {path.name for path in (study.folder / arm / "seed0").iterdir()}
        assert there >= PICTURES, PICTURES - there
    one, other = ((study.folder / arm / "seed0" / LABELS).read_bytes() for arm in arms)
    assert one == other and one[:2] == b"\xff\xd8"
    assert drawn == {"plot_mc_curve": 6, "plot_pr_curve": 2, "plot_labels": 1}


def test_labels_are_drawn_anew_where_nothing_is_kept(
    tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path, drawn: Counter[str]
) -> None:
    settings = {**SETTINGS, "plots": True, "image_cache": False}
    plan = fl.FreezePlan.parse({"stages": [{"epochs": 1, "freeze": "0-2"}, {"epochs": 1}]})
    fl.train(tiny_checkpoint, tiny_data, plan, project=tmp_path, name="two", device="cpu", **settings)
    assert drawn["plot_labels"] == 2 and (tmp_path / "two" / LABELS).is_file()


def test_a_tracker_still_gets_the_curves_of_the_last_epoch(
    tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path, drawn: Counter[str]
) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed (extra track)")
    settings = {**SETTINGS, "epochs": 1, "plots": True}
    fl.train(tiny_checkpoint, tiny_data, project=tmp_path, name="one", device="cpu", track="tensorboard", **settings)
    assert drawn["plot_mc_curve"] == 6
