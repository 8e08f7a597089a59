"""Real pretraining by lightly-train on tiny images: needs the extra `pretrain`, and is slow with it alone."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import yaml
from tiny import SETTINGS
from ultralytics import YOLO

import frostline as fl
from frostline.freezing import find_layers
from frostline.training.checkpoints import fresh_of, open_checkpoint
from frostline.training.pretraining.cache import Kept, lightly_version

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(lightly_version() is None, reason="lightly-train is not installed: the extra 'pretrain'"),
]
TINY = {"epochs": 1, "imgsz": 64, "batch": 8}
Pretrained = tuple[Path, list[str]]


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen images of 16 bits."""
    folder = tmp_path_factory.mktemp("unlabelled")
    rng = np.random.default_rng(0)
    for index in range(16):
        image = rng.integers(0, 65536, (64, 64, 3), dtype=np.uint16)
        image[10:40, 10 : 20 + index] = (65535, 0, 0)
        tifffile.imwrite(folder / f"{index}.tif", image, photometric="rgb")
    return folder


@pytest.fixture(scope="module")
def pretrained(tiny_checkpoint: Path, unlabelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Pretrained:
    said: list[str] = []
    cache = tmp_path_factory.mktemp("cache")
    return fl.pretrain(tiny_checkpoint, unlabelled, cache=cache, device="cpu", say=said.append, **TINY), said


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return find_layers(open_checkpoint(path)).state_dict()


def test_the_backbone_changed_and_nothing_else(pretrained: Pretrained, tiny_checkpoint: Path) -> None:
    checkpoint, said = pretrained
    before, after = tensors(tiny_checkpoint), tensors(checkpoint)
    assert before.keys() == after.keys()
    changed = {int(name.split(".")[0]) for name in before if not torch.equal(before[name], after[name])}
    assert changed == set(range(11)), "YOLO11's backbone"
    assert all(bool(torch.isfinite(value).all()) for value in after.values())
    record = json.loads(checkpoint.with_name("pretrain.json").read_text())
    assert record["model_changes"]["changed_layers"] == sorted(changed) and record["model_changes"]["fresh"] == []
    assert record["image_count"] == 16 and "sRGB curve" in record["conversion"][0]
    assert any("16 uint16 images are copied to 8-bit PNG" in line for line in said)


def test_plain_ultralytics_loads_and_predicts_with_it(pretrained: Pretrained, tiny_checkpoint: Path) -> None:
    model = YOLO(str(pretrained[0]))
    assert model.names == YOLO(str(tiny_checkpoint)).names
    model.predict(np.zeros((64, 64, 3), np.uint8), imgsz=64, device="cpu", verbose=False)


def test_statistics_are_those_of_pixels_as_fine_tuning_shows_them(
    pretrained: Pretrained, tiny_checkpoint: Path
) -> None:
    """The mean of ImageNet-normalized pixels is about 0, and so would be what the first convolution makes of them."""
    from frostline.training.pretraining.worker import to_unit

    shown = torch.rand(2, 3, 8, 8)
    mean, deviation = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))
    normalized = (shown - mean.view(1, 3, 1, 1)) / deviation.view(1, 3, 1, 1)
    assert torch.allclose(to_unit(None, (normalized,))[0], shown, atol=1e-6)
    # The first convolution's mean output over the images is what its BatchNorm moved towards.
    before, after = tensors(tiny_checkpoint), tensors(pretrained[0])
    assert not torch.equal(before["0.bn.running_mean"], after["0.bn.running_mean"])
    kernel = after["0.conv.weight"].sum((2, 3))  # of a flat image, away from the borders
    moved = after["0.bn.running_mean"] - before["0.bn.running_mean"]
    grey = kernel @ torch.full((3,), 0.5)
    steps = int(after["0.bn.num_batches_tracked"] - before["0.bn.num_batches_tracked"])
    momentum = 0.03
    towards = before["0.bn.running_mean"] + moved / (1 - (1 - momentum) ** steps)
    assert torch.corrcoef(torch.stack((towards, grey)))[0, 1] > 0.9


def test_the_same_again_is_found_and_not_done_again(
    pretrained: Pretrained, tiny_checkpoint: Path, unlabelled: Path
) -> None:
    said: list[str] = []
    cache = pretrained[0].parents[1]
    stamp = pretrained[0].stat().st_mtime_ns
    again = fl.pretrain(tiny_checkpoint, unlabelled, cache=cache, device="cpu", say=said.append, **TINY)
    assert again == pretrained[0] and again.stat().st_mtime_ns == stamp
    assert len(said) == 1 and said[0].startswith("pretrained already")
    assert [path.name for path in cache.iterdir() if not path.name.startswith(".")] == [again.parent.name]
    assert not list(cache.glob(".*.part"))


class Listener:
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def epoch(self, done: int, total: int, metrics: dict[str, float]) -> None:
        pass


def test_a_head_that_was_never_trained_stays_fresh(
    tiny_yaml: Path, unlabelled: Path, tiny_data: Path, tmp_path: Path
) -> None:
    checkpoint = fl.pretrain(tiny_yaml, unlabelled, cache=tmp_path / "cache", device="cpu", **TINY)
    fresh = fresh_of(open_checkpoint(checkpoint))
    assert {int(name.split(".")[0]) for name in fresh} == {13, 16, 17, 19, 20, 22, 23}, "YOLO11's neck and head"
    with pytest.raises(fl.InputError, match="would freeze random weights"):
        head = fl.FreezePlan.parse({"freeze": "head"})
        fl.train(checkpoint, tiny_data, head, project=tmp_path, name="head", **SETTINGS)
    observer = Listener()
    run = fl.train(
        checkpoint, tiny_data, fl.FreezePlan.parse({"freeze": "0-16"}), project=tmp_path, name="more", device="cpu",
        observer=observer, **{**SETTINGS, "epochs": 1},
    )  # fmt: skip
    assert run.audit_passed
    assert any("13.cv1.conv.weight" in line and "stay trainable" in line for line in observer.said)


def test_arms_share_a_pretraining_and_freeze_what_it_gave(
    tiny_checkpoint: Path, tiny_data: Path, unlabelled: Path, tmp_path: Path
) -> None:
    settings = {"method": "simclr", "images": str(unlabelled), **TINY}
    arms = {"baseline": {}, "pretrained": {"pretrain": settings}, "both": {"freeze": "0-2", "pretrain": settings}}
    path = tmp_path / "arms.yaml"
    train = {**SETTINGS, "epochs": 1}
    study_file = {"model": str(tiny_checkpoint), "data": str(tiny_data), "train": train, "arms": arms}
    path.write_text(yaml.safe_dump(study_file, sort_keys=False))
    study = fl.Study.from_yaml(path, tmp_path / "study")
    prepared = study.prepare()
    lines = study.pretrainings.describe({name: planned.spec for name, (planned, _, _) in prepared.items()})
    assert (
        lines[0].startswith("pretrained, both: pretrained by simclr, 1 epoch") and "done before their runs" in lines[0]
    )
    assert not (tmp_path / "pretrain").exists(), "looking writes nothing"
    outcome = study.run(device="cpu")
    assert outcome.complete, outcome.failed
    (kept,) = [Kept.open(f) for f in (tmp_path / "pretrain").iterdir() if not f.name.startswith(".")]
    assert kept is not None
    both = next(run for run in outcome.finished if run.record["arm"] == "both")
    assert both.audit_passed and both.record["model"] == str(tiny_checkpoint)
    assert both.record["pretraining"]["key"] == kept.folder.name
    best, given = tensors(both.weights), tensors(kept.checkpoint)
    names = [name for name in given if int(name.split(".")[0]) < 3 and name.endswith(("conv.weight", "running_mean"))]
    assert names and all(torch.equal(best[name].half(), given[name].half()) for name in names)
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    assert fl.Study.from_yaml(path, tmp_path / "study").run(device="cpu").complete
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == stamps


def test_distillation_takes_a_local_teacher(tiny_checkpoint: Path, unlabelled: Path, tmp_path: Path) -> None:
    """lightly-train's smallest ViT with random weights, as a file: the way of a real teacher, without the network."""
    weights = tmp_path / "teacher.pth"
    program = (
        "import sys, torch\n"
        "from lightly_train._models.dinov2_vit.dinov2_vit_package import DINOv2ViTPackage as package\n"
        "torch.save(package.get_model('_vittest14', load_weights=False).state_dict(), sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", program, str(weights)], check=True, capture_output=True)
    checkpoint = fl.pretrain(
        tiny_checkpoint, unlabelled, method="distillation", teacher="dinov2/_vittest14", teacher_weights=weights,
        cache=tmp_path / "cache", device="cpu", epochs=1, imgsz=56, batch=8,
    )  # fmt: skip
    before, after = tensors(tiny_checkpoint), tensors(checkpoint)
    assert {int(n.split(".")[0]) for n in before if not torch.equal(before[n], after[n])} == set(range(11))


def test_opencv_still_works_beside_the_headless_one() -> None:
    import cv2

    assert cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[0]


@pytest.mark.skipif(importlib.util.find_spec("albumentations") is None, reason="albumentations is not installed")
def test_runs_do_not_use_albumentations_where_it_is_installed(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    from ultralytics.cfg import get_cfg
    from ultralytics.data.augment import Albumentations
    from ultralytics.data.utils import check_det_dataset

    from frostline.datasets import EIGHT_BITS
    from frostline.datasets.build import build_split
    from frostline.training.settings import for_ultralytics, resolve_settings

    info = check_det_dataset(str(tiny_data))

    def added(**overrides: object) -> list[object]:
        args = get_cfg(
            overrides={**for_ultralytics(resolve_settings({})), "task": "detect", "mode": "train", **overrides}
        )
        built = build_split(args, info["train"], 4, info, EIGHT_BITS, mode="train", rect=False, stride=32)
        found = [one for one in built.transforms.transforms if isinstance(one, Albumentations)]
        return [inner for one in found if one.transform is not None for inner in one.transform.transforms]

    assert added() == []
    assert added(augmentations=None), "Ultralytics' own default would add some, or this test shows nothing"
