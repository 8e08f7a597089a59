"""8-bit datasets get the tensors of plain Ultralytics, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tifffile
import torch
from tiny import SETTINGS
from ultralytics.models.yolo.detect import DetectionTrainer

from frostline.freezing import Stage
from frostline.training.job import StageJob
from frostline.training.machine import MemoryPeak
from frostline.training.settings import DEFAULTS
from frostline.training.trainer import StageTrainer

pytestmark = pytest.mark.integration


def batches(trainer: DetectionTrainer) -> list[list[dict[str, Any]]]:
    """Every batch that a training hands to its network: with mosaic, after close_mosaic, and in validation."""
    phases: list[list[dict[str, Any]]] = [[], [], []]

    def keep(place: Callable[[], int], prepare: Callable[..., Any]) -> Callable[..., Any]:
        def prepared(batch: dict[str, Any]) -> dict[str, Any]:
            done = prepare(batch)
            copied = {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in done.items()}
            phases[place()].append(copied)
            return done

        return prepared

    trainer.preprocess_batch = keep(lambda: trainer.epoch, trainer.preprocess_batch)  # type: ignore[method-assign]
    build = trainer.get_validator

    def get_validator() -> Any:
        validator = build()
        validator.preprocess = keep(lambda: 2, validator.preprocess)
        return validator

    trainer.get_validator = get_validator  # type: ignore[method-assign]
    trainer.train()
    return phases


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_every_batch_is_that_of_plain_ultralytics(
    suffix: str, tiny_yaml: Path, tiny_data: Path, tmp_path: Path
) -> None:
    if suffix == ".tif":
        import cv2

        for path in sorted(tiny_data.parent.glob("images/*/*.png")):
            tifffile.imwrite(path.with_suffix(".tif"), cv2.imread(str(path))[..., ::-1], compression="lzw")
            path.unlink()
    overrides = {
        **DEFAULTS, **SETTINGS, "close_mosaic": 1, "model": str(tiny_yaml), "data": str(tiny_data), "device": "cpu",
        "seed": 3, "project": str(tmp_path), "exist_ok": True, "mixup": 0.5, "degrees": 5.0, "workers": 0,
    }  # fmt: skip
    plain = batches(DetectionTrainer(overrides={**overrides, "name": "plain"}))
    job = StageJob(Stage(freeze=None), "x", False, None, MemoryPeak("cpu"), lambda *_: None, lambda _: None)
    ours = batches(StageTrainer(overrides={**overrides, "name": "ours"}, _callbacks=job.carried()))
    plain[2] = plain[2][: len(ours[2])]  # plain Ultralytics validates once more at the end
    assert [len(phase) for phase in plain] == [len(phase) for phase in ours] == [2, 2, 2]
    for number in range(3):
        for one, other in zip(plain[number], ours[number], strict=True):
            assert one["im_file"] == other["im_file"]
            for key in ("img", "cls", "bboxes", "batch_idx"):
                assert torch.equal(one[key], other[key]), (number, key)
    assert not torch.equal(plain[0][0]["img"], plain[1][0]["img"])
