"""A five-layer toy with the parts that matter: BatchNorms, a fixed DFL, a head with branches."""

from __future__ import annotations

import torch
from torch import nn


def conv(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU())


class Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.box = nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8))
        self.cls = nn.Conv2d(8, 3, 1)
        self.dfl = nn.Conv2d(8, 1, 1, bias=False).requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.box(x), self.cls(x), self.dfl(x)], 1)


class Detector(nn.Module):
    """Keeps its layers in `.model` and tells its backbone, as Ultralytics' models do."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(conv(3, 8), conv(8, 8), nn.Upsample(scale_factor=1), conv(8, 8), Head())
        self.yaml = {"backbone": [1, 2], "head": [1, 2, 3]}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x)


class Wrapper:
    """Around a model, as `YOLO` is around a `DetectionModel`."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model


def step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    loss = model(torch.randn(4, 3, 8, 8, generator=generator)).square().mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
