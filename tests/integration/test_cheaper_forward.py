"""The forward in training: what it saves, and that nothing else changes."""

from __future__ import annotations

import copy
import io
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel

from frostline.freezing import Stage, apply_freeze, resolve_freeze
from frostline.training.arithmetic import Arithmetic
from frostline.training.folding import fused_copy
from frostline.training.network import follow_freeze, make_cheaper

pytestmark = pytest.mark.integration

BF16 = Arithmetic("bf16", no_grad_prefix=True)


def detector(yaml: Path | str, frozen: int = 0) -> Any:
    torch.manual_seed(0)
    model = DetectionModel(str(yaml), nc=2, verbose=False)
    model.args = get_cfg()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
    model.train()
    freeze_first(model, frozen)
    return model


def freeze_first(model: Any, count: int) -> None:
    model.train()
    stage = Stage(freeze=f"0-{count - 1}") if count else Stage()
    apply_freeze(model, resolve_freeze(model, stage, (), freeze_fresh=True))


def batch(size: int = 64) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    boxes = torch.rand(6, 4, generator=generator) * 0.3 + 0.3
    images = torch.rand(2, 3, size, size, generator=generator)
    index = torch.tensor([0.0, 0, 0, 1, 1, 1])
    return {"img": images, "cls": torch.tensor([[0.0], [1], [0], [1], [0], [1]]), "bboxes": boxes, "batch_idx": index}


def step(model: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    loss, _ = model(batch())
    loss.sum().backward()
    return loss.detach(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(("frozen", "depth"), [(0, 0), (3, 3), (7, 7), (11, 13)])
def test_without_autograd_the_frozen_prefix_gives_the_same_bits(frozen: int, depth: int, tiny_yaml: Path) -> None:
    """Layers 4 and 6 feed the neck past the end of the prefix; 11 and 12 have nothing to train."""
    plain, ours = detector(tiny_yaml, frozen), detector(tiny_yaml, frozen)
    make_cheaper(ours, Arithmetic(no_grad_prefix=True))
    follow_freeze(ours)
    assert type(ours).prefix.depth == depth
    (loss, gradients), (other, others) = step(plain), step(ours)
    assert torch.equal(loss, other) and gradients.keys() == others.keys()
    assert all(torch.equal(gradient, others[name]) for name, gradient in gradients.items())
    assert all(torch.equal(value, ours.state_dict()[name]) for name, value in plain.state_dict().items())


def test_the_prefix_follows_the_freeze(tiny_yaml: Path) -> None:
    model = detector(tiny_yaml, 5)
    make_cheaper(model, Arithmetic(no_grad_prefix=True, fold_frozen=True))
    follow_freeze(model)
    assert (type(model).prefix.depth, len(type(model).prefix.folded)) == (5, 5)
    freeze_first(model, 2)
    follow_freeze(model)
    assert (type(model).prefix.depth, len(type(model).prefix.folded)) == (2, 2)
    freeze_first(model, 0)
    follow_freeze(model)
    assert type(model).prefix.depth == 0
    _, gradients = step(model)
    assert any(name.startswith("model.0.") for name in gradients), "what thawed trains"


def test_a_batchnorm_in_training_mode_ends_the_prefix(tiny_yaml: Path) -> None:
    model = detector(tiny_yaml, 4)
    model.model[2].cv1.bn.train()
    make_cheaper(model, Arithmetic(no_grad_prefix=True))
    follow_freeze(model)
    assert type(model).prefix.depth == 2


def test_copies_and_pickles_are_of_ultralytics_own_class(tiny_yaml: Path) -> None:
    model = detector(tiny_yaml, 3)
    make_cheaper(model, BF16)
    follow_freeze(model)
    assert type(model) is not DetectionModel and isinstance(model, DetectionModel)
    assert type(copy.deepcopy(model)) is DetectionModel
    stream = io.BytesIO()
    torch.save(model, stream)
    with zipfile.ZipFile(stream) as archive:
        pickled = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
    told = " ".join(str(argument) for _, argument, _ in pickletools.genops(pickled))
    assert "DetectionModel" in told and "frostline" not in told and "CheaperForward" not in told


@pytest.mark.parametrize("yaml", ["tiny", "yolo26n.yaml", "yolov10n.yaml"])
def test_only_the_network_is_in_bf16(yaml: str, tiny_yaml: Path) -> None:
    """Boxes decoded from bf16 outputs would be off by half a pixel, so what the head puts out is float32."""
    model = detector(tiny_yaml if yaml == "tiny" else yaml, 3)
    make_cheaper(model, BF16)
    follow_freeze(model)
    inside = {}
    model.model[5].register_forward_hook(lambda _module, _inputs, output: inside.update(dtype=output.dtype))
    outputs = model(batch()["img"])

    def dtypes(value: Any) -> set[torch.dtype]:
        if isinstance(value, torch.Tensor):
            return {value.dtype}
        return set().union(*map(dtypes, value.values() if isinstance(value, dict) else value))

    assert dtypes(outputs) == {torch.float32} and inside["dtype"] is torch.bfloat16
    loss, gradients = step(model)
    assert loss.dtype is torch.float32 and {g.dtype for g in gradients.values()} == {torch.float32}
    exact, _ = step(detector(tiny_yaml if yaml == "tiny" else yaml, 3))
    assert torch.allclose(loss, exact, rtol=0.1)


@pytest.mark.parametrize("deep", [True, False])
def test_the_first_layer_of_deep_images_stays_in_float32(deep: bool, tiny_yaml: Path) -> None:
    model = detector(tiny_yaml, 1)
    make_cheaper(model, Arithmetic("bf16", no_grad_prefix=True, float32_first=deep))
    follow_freeze(model)
    seen: dict[int, torch.dtype] = {}
    for index in (0, 1):
        model.model[index].register_forward_hook(lambda _m, _i, output, index=index: seen.update({index: output.dtype}))
    step(model)
    assert seen == {0: torch.float32 if deep else torch.bfloat16, 1: torch.bfloat16}


def test_folding_the_frozen_prefix_stays_close_step_by_step(tiny_yaml: Path) -> None:
    """From equal weights at every step: the two differ by rounding, which training would otherwise carry on."""
    plain, folded = detector(tiny_yaml, 7), detector(tiny_yaml, 7)
    make_cheaper(folded, Arithmetic(no_grad_prefix=True, fold_frozen=True))
    follow_freeze(folded)
    optimizer = torch.optim.SGD([p for p in plain.parameters() if p.requires_grad], lr=0.01)
    close = 0
    for _ in range(20):
        folded.load_state_dict(plain.state_dict())
        folded.zero_grad()
        optimizer.zero_grad()
        (loss, gradients), (other, others) = step(plain), step(folded)
        norm = sum(float(g.norm() ** 2) for g in gradients.values()) ** 0.5
        apart = sum(float((g - others[name]).norm() ** 2) for name, g in gradients.items()) ** 0.5
        assert apart > 0 and torch.allclose(loss, other, rtol=1e-2)
        close += torch.allclose(loss, other, rtol=1e-4) and apart < 2e-3 * norm
        optimizer.step()
    assert close >= 18, "where two anchors suit an object as well, rounding decides which one is taught"


def test_a_fused_copy_detects_the_same_and_leaves_the_model_alone(tiny_yaml: Path) -> None:
    model = detector(tiny_yaml).eval()
    before = copy.deepcopy(model.state_dict())
    fused = fused_copy(model)
    with torch.no_grad():
        (found, raw), (expected, _) = fused(batch()["img"]), model(batch()["img"])
    assert torch.allclose(found, expected, atol=1e-3, rtol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.model[:5].modules())
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())
    assert fused.loss(batch(), (found, raw))[0].isfinite().all(), "the loss of validation can be computed from it"


def test_a_fused_copy_of_a_two_branch_head_keeps_both(tiny_yaml: Path) -> None:
    model = detector("yolo26n.yaml").eval()
    fused = fused_copy(model)
    assert fused.model[-1].cv2 is not None and fused.model[-1].one2one_cv2 is not None
    with torch.no_grad():
        outputs = fused(batch()["img"])
        assert set(outputs[1]) == {"one2many", "one2one"}
