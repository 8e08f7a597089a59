from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from frostline.errors import InputError
from frostline.probing.similarity import linear_cka, pair_images


def reference_cka(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """CKA from U-centred kernels (Szekely and Rizzo, 2014), whose inner product is the unbiased HSIC, element by
    element: another road to the same number."""

    def centred(k: NDArray[np.float64]) -> NDArray[np.float64]:
        n, out = len(k), np.zeros_like(k)
        for i in range(n):
            for j in range(n):
                if i != j:
                    rows = sum(k[i, m] for m in range(n)) / (n - 2)
                    columns = sum(k[m, j] for m in range(n)) / (n - 2)
                    out[i, j] = k[i, j] - rows - columns + k.sum() / ((n - 1) * (n - 2))
        return out

    a, b = centred(x @ x.T * (1 - np.eye(len(x)))), centred(y @ y.T * (1 - np.eye(len(y))))
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def features(seed: int = 0, n: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 7, generator=generator, dtype=torch.float64)
    return x, x[:, :5] + 0.8 * torch.randn(n, 5, generator=generator, dtype=torch.float64) + 3


def test_cka_is_that_of_centred_kernels() -> None:
    for seed in range(5):
        x, y = features(seed)
        assert linear_cka(x, y) == pytest.approx(reference_cka(x.numpy(), y.numpy()), abs=1e-10)


def test_cka_does_not_change_with_rotation_scale_and_shift_but_does_with_other_maps() -> None:
    x, y = features()
    rotation, _ = torch.linalg.qr(torch.randn(7, 7, dtype=torch.float64))
    assert linear_cka(x @ rotation * 3.5 + 2, y) == pytest.approx(linear_cka(x, y))
    assert linear_cka(x, 0.2 * x) == pytest.approx(1)
    stretched = x * torch.tensor([9.0, 1, 1, 1, 1, 1, 1])
    assert abs(linear_cka(stretched, y) - linear_cka(x, y)) > 0.01


def test_cka_of_independent_features_is_nothing_on_average_even_with_few_examples() -> None:
    generator = torch.Generator().manual_seed(0)
    values = [linear_cka(*torch.randn(2, 10, 300, generator=generator)) for _ in range(200)]
    assert abs(float(np.mean(values))) < 0.02


def test_cka_of_features_that_never_differ_is_no_number() -> None:
    assert np.isnan(linear_cka(torch.ones(6, 3), torch.randn(6, 3)))


def paths(folder: str, names: list[str]) -> list[Path]:
    return [Path(folder) / name for name in names]


def test_images_pair_by_folder_and_name_then_by_a_stem_of_its_own() -> None:
    source = [(f"train/{i}", Path(f"s/train/{i}.png")) for i in range(8)]
    source += [(f"val/{i}", Path(f"s/val/{i}.png")) for i in range(2)] + [("other/a", Path("s/other/a.png"))]
    target = paths("t/images/train", [*(f"{i}.tiff" for i in range(8)), "A.tiff"])
    pairs = pair_images(source, target, Path("s"))
    assert pairs[0] == (Path("s/train/0.png"), Path("t/images/train/0.tiff"))
    assert pairs[-1] == (Path("s/other/a.png"), Path("t/images/train/A.tiff")) and len(pairs) == 9


def test_a_stem_that_two_source_images_have_pairs_with_none_and_few_pairs_are_refused() -> None:
    source = [(f"{folder}/{i}", Path(f"s/{folder}/{i}.png")) for folder in "ab" for i in range(9)]
    with pytest.raises(InputError, match="0 of 9 training images have a source version of the same name"):
        pair_images(source, paths("t/train", [f"{i}.png" for i in range(9)]), Path("s"))
