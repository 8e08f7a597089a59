"""The layer table on every family of detectors that Ultralytics ships."""

from __future__ import annotations

import copy
import json
import subprocess
import sys

import pytest
import torch

import frostline as fl
from frostline.training import open_model

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    "name",
    ["yolov5n", "yolov8n", "yolov9t", "yolov10n", "yolo11n", "yolo12n", "yolo26n", "rtdetr-l"],
)
def test_every_family_has_a_table(name: str) -> None:
    module = open_model(f"{name}.yaml")
    table = fl.freezing.layer_table(module, 320)
    assert table.parameters == sum(p.numel() for p in module.parameters())
    roles = [row.role for row in table.layers]
    assert roles.count("backbone") == len(module.yaml["backbone"]) and roles[-1] == "head" and "neck" in roles
    assert roles == sorted(roles, key=("backbone", "neck", "head").index)
    assert all(row.shape is not None and len(row.shape) == 3 for row in table.layers[:-1])
    assert table.layers[0].stride == 2 or name == "rtdetr-l"
    assert table.flops > 10**8


def test_operations_equal_ultralytics_own_count() -> None:
    from ultralytics.utils.torch_utils import get_flops

    module = open_model("yolo11n.yaml")
    assert fl.freezing.layer_table(module, 640).flops / 1e9 == pytest.approx(get_flops(module, 640), rel=0.03)


@pytest.mark.parametrize("name", ["yolov5n", "yolo11n", "rtdetr-l"])
def test_operations_equal_torchs_own_count_layer_by_layer(name: str) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    module = open_model(f"{name}.yaml")
    shadow = copy.deepcopy(module).to("meta").eval()
    shadow.model[-1].train()  # in eval mode it decodes boxes with values, which a meta tensor does not have
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(torch.zeros(1, 3, 320, 320, device="meta"))
    counts = counter.get_flop_counts()
    prefix = f"{type(shadow).__name__}.model"
    expected = [sum(counts.get(f"{prefix}.{index}", {}).values()) for index in range(len(shadow.model))]
    assert [row.flops for row in fl.freezing.layer_table(module, 320).layers] == expected


@pytest.mark.parametrize("name", ["yolov5n", "yolo11n"])  # the second has attention
def test_a_look_at_a_model_imports_neither_torchs_compiler_nor_the_statistics(name: str) -> None:
    heavy = ("torch._dynamo", "sympy", "scipy.stats", "matplotlib", "polars")
    code = (
        f"import sys; sys.argv = ['frostline', 'layers', '{name}.yaml']\n"
        "from frostline.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        f"print('HEAVY', [name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_yolo11s_from_the_command_line() -> None:
    words = [
        sys.executable,
        "-m",
        "frostline",
        "layers",
        "yolo11s.yaml",
        "--imgsz",
        "1280",
        "--freeze",
        "0-5",
        "--json",
    ]
    found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert found["totals"]["layers"] == len(found["layers"]) == 24
    assert found["totals"]["parameters"] == 9_458_752 and found["totals"]["batchnorms"] == 81
    assert found["totals"]["roles"]["backbone"] == list(range(11)) and found["totals"]["roles"]["head"] == [23]
    assert found["totals"]["frozen_batchnorms"] == 12
    assert found["totals"]["frozen_share"] == pytest.approx(0.094, abs=0.0005)
    assert found["layers"][0]["shape"] == [32, 640, 640]
    assert [row["frozen"] for row in found["layers"]] == ["yes"] * 6 + ["no"] * 18


@pytest.mark.parametrize(
    ("depth", "share", "batchnorms"), [(3, 0.005, 6), (4, 0.020, 7), (5, 0.031, 11), (11, 0.575, 40)]
)
def test_what_freezing_the_first_layers_of_yolo11s_freezes(depth: int, share: float, batchnorms: int) -> None:
    module = open_model("yolo11s.yaml")
    freeze = fl.freezing.resolve_freeze(module, fl.FreezePlan.first(depth).stages[0])
    assert freeze.frozen_share == pytest.approx(share, abs=0.0005)
    assert len(freeze.batchnorms) == batchnorms
