"""How many passes are timed: many of a quick network, few of a slow one, none of the first."""

from __future__ import annotations

import pytest
import torch

from frostline.training.latency import _passes


@pytest.mark.parametrize(("ms", "counted"), [(5.0, 30), (60.0, 25), (700.0, 3)])
def test_passes_are_limited_by_number_and_time_and_the_first_do_not_count(ms: float, counted: int) -> None:
    seen: list[int] = []

    def one_pass(image: torch.Tensor) -> float:
        seen.append(int(image))
        return ms * (50 if len(seen) == 1 else 1)

    taken = _passes(one_pass, [torch.tensor(0), torch.tensor(1), torch.tensor(2)], 1.5)
    assert taken == [ms] * counted and len(seen) > counted
    assert seen[-counted:] == [index % 3 for index in range(counted)]
