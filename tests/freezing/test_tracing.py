from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from frostline.freezing.tracing import trace


class Join(nn.Module):
    """Two ways joined again, as a detector's neck does."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=2)
        self.other = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=2, dilation=2), nn.SiLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one, other = self.one(x), self.other(x)
        return torch.cat([one + other, one * 2, torch.sigmoid(other), one + one[:, :1]], dim=-3)


def layers() -> nn.Sequential:
    """What is worked out by hand, and variants of it that are left to torch."""
    first = nn.Sequential(nn.Conv2d(3, 8, (3, 5), stride=(2, 1), padding=(1, 2), bias=False), nn.BatchNorm2d(8))
    up = nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), nn.ConvTranspose2d(8, 8, 2, stride=2), nn.ReLU())
    pool = nn.Sequential(nn.MaxPool2d(5, stride=1, padding=2), nn.MaxPool2d((2, 3), ceil_mode=True), nn.AvgPool2d(2))
    last = nn.Sequential(nn.Flatten(2), nn.Softmax(2), nn.LazyLinear(5))
    return nn.Sequential(first, up, pool, Join(), last)


def test_operations_and_shapes_are_those_that_torch_finds() -> None:
    image = torch.zeros(1, 3, 40, 24)
    model = layers().eval()
    with torch.no_grad():
        values, expected = image, []
        for layer in model:
            values = layer(values)
            expected.append(tuple(values.shape[1:]))
        with FlopCounterMode(display=False) as counter:
            model(image)
    counts = counter.get_flop_counts()
    shadow = copy.deepcopy(model).to("meta")
    shapes, flops = trace(shadow, shadow, image.to("meta"))
    assert shapes == expected
    assert flops == [sum(counts.get(f"Sequential.{index}", {}).values()) for index in range(len(model))]
    assert sum(flops) == counter.get_total_flops() > 0


@pytest.mark.parametrize(
    "wrong",
    [
        nn.Conv2d(4, 8, 1),  # other channels
        nn.Conv2d(3, 8, 9),  # a window wider than the image
        nn.MaxPool2d(9),
    ],
)
def test_what_cannot_run_is_an_error_here_too(wrong: nn.Module) -> None:
    model = nn.Sequential(wrong).to("meta").eval()
    with pytest.raises(RuntimeError):
        trace(model, model, torch.zeros(1, 3, 6, 6, device="meta"))


def test_parts_that_do_not_fit_together_are_an_error() -> None:
    class Misfit(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([x, x[..., :3]], dim=1)

    model = nn.Sequential(Misfit())
    with pytest.raises(RuntimeError):
        trace(model, model, torch.zeros(1, 3, 6, 6, device="meta"))
