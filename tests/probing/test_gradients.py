from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from probe_gradients import made
from torch import nn
from toy import Detector

from frostline.errors import InputError
from frostline.probing.gradients import collect_gradients, signal_to_noise
from frostline.probing.regions import rank_regions, regions_of


def batches(count: int = 3) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(5)
    return [{"img": torch.randn(2, 3, 8, 8, generator=generator)} for _ in range(count)]


def loss(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return model(batch["img"]).square().mean()


def test_norms_are_those_of_a_plain_backward_pass() -> None:
    torch.manual_seed(0)
    model = Detector()
    reference = copy.deepcopy(model).train()
    for module in reference.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    expected: dict[int, list[float]] = {}
    for batch in batches():
        reference.zero_grad()
        loss(reference, batch).backward()
        for index in (0, 1, 3, 4):
            own = [p.grad for n, p in reference.model[index].named_parameters() if "dfl" not in n]
            expected.setdefault(index, []).append(float(sum(g.double().square().sum() for g in own)) ** 0.5)
    before = copy.deepcopy(model.state_dict())
    found = collect_gradients(model, batches(), loss)
    assert sorted(found.products) == [0, 1, 3, 4] and found.batches == 3
    for index, norms in expected.items():
        weights = [p.detach() for n, p in model.model[index].named_parameters() if "dfl" not in n]
        size = float(sum(p.double().square().sum() for p in weights)) ** 0.5
        layer = found.layer(index)
        assert layer.norm == pytest.approx(np.mean(norms), rel=1e-5)
        assert layer.relative == pytest.approx(np.mean(norms) / size, rel=1e-5)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "weights or statistics were changed"


def test_signal_to_noise_by_hand() -> None:
    # Gradients (3, 0), (1, 0), (2, 2): the mean is (2, 2/3), the unbiased variances 1 and 4/3, together 7/3.
    gradients = np.array([[3.0, 0.0], [1.0, 0.0], [2.0, 2.0]])
    squared_mean = 4 + 4 / 9
    noise = 7 / 3
    assert signal_to_noise(gradients @ gradients.T) == pytest.approx((squared_mean - noise / 3) / noise)


def test_signal_to_noise_of_a_resample_counts_no_batch_as_its_own_pair() -> None:
    gradients = np.array([[3.0, 0.0], [1.0, 0.0], [2.0, 2.0]])
    counts = np.array([2.0, 1.0, 0.0])
    signal, second = 3.0, (2 * 9 + 1) / 3
    assert signal_to_noise(gradients @ gradients.T, counts) == pytest.approx(signal / (second - signal))


def test_noise_alone_gives_none_on_average_and_equal_gradients_no_noise() -> None:
    rng = np.random.default_rng(0)
    noise = [signal_to_noise(g @ g.T) for g in rng.normal(size=(400, 6, 50))]
    assert abs(float(np.mean(noise))) < 0.01
    same = np.tile(rng.normal(size=50), (4, 1))
    assert signal_to_noise(same @ same.T) > 1e10
    assert signal_to_noise(np.zeros((3, 3))) == 0


def test_one_batch_and_a_broken_loss_are_refused() -> None:
    with pytest.raises(InputError, match="at least 2 batches"):
        collect_gradients(Detector(), batches(1), loss)
    with pytest.raises(InputError, match="the loss on a batch is nan"):
        collect_gradients(Detector(), batches(2), lambda model, batch: loss(model, batch) * float("nan"))


REGIONS = {"first": (0,), "backbone": (0, 1), "head": (2,)}


@pytest.mark.parametrize(
    ("ratios", "order"),
    [
        ({0: 0.5, 1: 2.0, 2: 6.0}, ("head", "backbone", "first")),
        ({0: 9.0, 1: 4.0, 2: 2.0}, ("backbone", "first", "head")),
        ({0: 9.0, 1: 0.3, 2: 2.0}, ("first", "backbone", "head")),
        ({0: 0.4, 1: 0.3, 2: 0.2}, ("head", "first", "backbone")),
    ],
)
def test_regions_rank_by_signal(ratios: dict[int, float], order: tuple[str, ...]) -> None:
    ranking = rank_regions(made(ratios), REGIONS, resamples=50)
    assert ranking.order == order and ranking.stability > 0.9
    assert ranking.pulled == (max(ratios.values()) > 1)
    for name, index in (("first", 0), ("rest", 1), ("head", 2)):
        assert ranking.scores[name] == pytest.approx(ratios[index], rel=0.15)


def test_a_close_call_is_unstable_and_a_seed_repeats_it() -> None:
    gradients = made({0: 3.0, 1: 3.0, 2: 3.0}, size=40)
    ranking = rank_regions(gradients, REGIONS, seed=4)
    assert ranking.stability < 0.9
    assert ranking == rank_regions(gradients, REGIONS, seed=4)


def test_regions_of_a_model() -> None:
    assert regions_of(Detector()) == {"first": (0, 1), "backbone": (0, 1), "head": (4,)}
