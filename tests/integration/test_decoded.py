"""Images decoded once: the same run to the bit, and nothing left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import SETTINGS

import frostline as fl
from frostline.datasets.image_cache import ImageCache
from frostline.datasets.pixel_format import EIGHT_BITS
from frostline.studies import Study
from frostline.studies.file import StudyFile
from frostline.training import decoded
from frostline.training.checkpoints import saved_tensors
from frostline.training.decoded import keeping_images

pytestmark = pytest.mark.integration


def test_a_run_ends_with_the_same_bits(tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path) -> None:
    def train(name: str, **settings: Any) -> fl.Run:
        return fl.train(
            tiny_checkpoint, tiny_data, fl.FreezePlan.first(3), project=tmp_path, name=name, device="cpu",
            **{**SETTINGS, "close_mosaic": 1, **settings},
        )  # fmt: skip

    fast, slow = train("fast", image_cache=True), train("slow", image_cache=False, direct_mosaic=False)
    kept, plain = saved_tensors(fast.weights), saved_tensors(slow.weights)
    assert kept.keys() == plain.keys() and all(torch.equal(kept[name], value) for name, value in plain.items())
    assert fast.record["metrics"] == slow.record["metrics"]
    assert not (fast.folder / "decoded").exists()


def test_a_study_decodes_once_for_all_its_runs(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    images = ImageCache.images

    def counted(self: ImageCache, files: Any, sources: Any, key: str, decode: Any, prefix: str = "") -> Any:
        def one(position: int) -> Any:
            made.append(position)
            return decode(position)

        return images(self, files, sources, key, one, prefix)

    monkeypatch.setattr(ImageCache, "images", counted)
    file = StudyFile.parse(
        {
            "name": "s", "model": str(tiny_checkpoint), "data": str(tiny_data), "train": {**SETTINGS, "epochs": 1},
            "arms": {"baseline": {}, "three": {"freeze": "0-2"}, "four": {"freeze": "0-3"}},
        },
        "a test",
    )  # fmt: skip
    assert Study(file, tmp_path / "s").run(device="cpu").complete
    # 8 images to train on and 4 to validate, each decoded for the file and, at the most, to estimate its size.
    assert 12 <= len(made) <= 24
    assert not (tmp_path / "s" / "decoded").exists()


def test_the_folder_goes_whatever_happens(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), keeping_images({"image_cache": True}, tmp_path, 4, 64, EIGHT_BITS) as kept:
        assert kept is not None
        kept.folder.mkdir()
        (kept.folder / "x").write_text("x")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "memory", "kept"),
    [
        ({"image_cache": "auto"}, 1 << 40, True), ({"image_cache": "auto"}, 1 << 10, False),
        ({"image_cache": True}, 1 << 10, True), ({"image_cache": False}, 1 << 40, False), ({}, 1 << 40, False),
        ({"image_cache": True, "cache": "ram"}, 1 << 40, False),
    ],
)  # fmt: skip
def test_auto_keeps_what_stays_in_memory(
    settings: dict[str, Any], memory: int, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    available = type("Memory", (), {"available": memory})
    monkeypatch.setattr(decoded.psutil, "virtual_memory", lambda: available)
    with keeping_images(settings, tmp_path / "new", 4, 64, EIGHT_BITS) as cache:
        assert (cache is not None) is kept
