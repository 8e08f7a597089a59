"""The proof that a network trained here uses every byte: minutes of training, so `make test` leaves it out.

The mAP alone proves little: a canvas of 8 bits keeps the low byte of such images by accident. `test_sixteen_bits.py`
compares the tensors at the first convolution with the files; this shows that they can be learned from.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from byte_scenes import one_byte_of, write_byte_scenes

import frostline as fl

pytestmark = [pytest.mark.integration, pytest.mark.slow]

# The same for both bytes, and for what is left of either in 8 bits. The range is the full one of uint16, without a
# declaration. A gain of brightness would move every value across many high bytes, and with it the one thing in which
# the images are alike: it is off for all. Mosaic, warps and flips are on, and mosaic ends before training does.
SETTINGS = {
    "epochs": 40, "imgsz": 96, "batch": 8, "nbs": 8, "optimizer": "AdamW", "lr0": 0.004, "warmup_epochs": 1.0,
    "close_mosaic": 4, "hsv_v": 0.0, "plots": False, "device": "cpu",
}  # fmt: skip


@pytest.fixture(scope="module")
def small_yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """YOLO11's layers, an eighth as wide, from random weights."""
    from ultralytics.nn.tasks import yaml_model_load

    config = yaml_model_load("yolo11n.yaml")
    config = {key: config[key] for key in ("nc", "backbone", "head")} | {"scales": {"n": [0.33, 0.125, 256]}}
    path = tmp_path_factory.mktemp("model") / "yolo11n-small.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def trained(model: Path, data: Path, project: Path, precision: str) -> float:
    """MAP50 on val of the best epoch. Between bytes only the data differ."""
    return fl.train(model, data, fl.FreezePlan.none(), project=project, precision=precision, **SETTINGS).map50


@pytest.mark.parametrize(
    ("byte", "other", "precision"), [("low", "high", "fp32"), ("low", "high", "bf16"), ("high", "low", "fp32")]
)
def test_objects_in_one_byte_are_found_and_without_it_they_are_not(
    byte: str, other: str, precision: str, small_yaml: Path, tmp_path: Path
) -> None:
    data = write_byte_scenes(tmp_path / "both", byte)
    assert trained(small_yaml, data, tmp_path / "runs16", precision) > 0.5
    without = one_byte_of(data, tmp_path / "one", other)
    assert trained(small_yaml, without, tmp_path / "runs8", precision) < 0.1
