from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from toy import Detector

from frostline.probing.drift import DriftMeter, gaussian_kl


def test_kl_is_that_of_torch_distributions() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, stored = torch.randn(2, 20, generator=generator, dtype=torch.float64)
    variance, stored_variance = torch.rand(2, 20, generator=generator, dtype=torch.float64) + 0.1
    expected = kl_divergence(Normal(mean, variance.sqrt()), Normal(stored, stored_variance.sqrt()))
    assert torch.allclose(gaussian_kl(mean, variance, stored, stored_variance), expected)


def test_drift_of_one_batchnorm_by_hand() -> None:
    model = nn.Sequential(nn.BatchNorm2d(2), nn.Identity()).eval()
    model[0].running_mean[:] = torch.tensor([1.0, 0.0])
    model[0].running_var[:] = torch.tensor([4.0, 1.0])
    model[0].eps = 0.0
    parts = torch.tensor(
        [[[[0.0, 2.0]], [[3.0, 5.0]]], [[[4.0, 6.0]], [[3.0, 5.0]]]]
    )  # means 3 and 4, variances 5 and 1
    meter = DriftMeter(model)
    with meter.watching():
        model(parts[:1])
        model(parts[1:])
    model(parts * 100)  # not watched any more
    found = meter.read()[0]
    assert found.channels == 2
    assert found.mean_shift == pytest.approx((2 / 2 + 4 / 1) / 2)
    assert found.variance_shift == pytest.approx((math.log(5 / 4) + 0) / 2)


def test_no_drift_where_the_inputs_have_the_stored_moments() -> None:
    torch.manual_seed(0)
    model = Detector().train()
    images = torch.randn(16, 3, 8, 8)
    with torch.no_grad():
        for _ in range(300):  # until the running statistics are those of these very images
            model(images)
    model.eval()
    meter = DriftMeter(model)
    with meter.watching(), torch.no_grad():
        model(images)
    found = meter.read()
    assert sorted(found) == [0, 1, 3, 4]
    assert all(layer.mean_shift < 1e-3 and layer.kl < 1e-3 for layer in found.values())


def test_a_model_without_batchnorms_has_no_drift() -> None:
    meter = DriftMeter(nn.Sequential(nn.Conv2d(3, 2, 1)))
    assert meter.norms == {} and meter.read() == {}
