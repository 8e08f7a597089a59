"""What tiny runs are made of: a dataset of coloured squares, settings, and checkpoints that we make."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
import yaml

COLOURS = ((255, 60, 60), (60, 255, 60), (60, 60, 255))
SETTINGS = {"epochs": 2, "imgsz": 64, "batch": 4, "plots": False, "warmup_epochs": 0.0, "nbs": 4}


def write_dataset(folder: Path, train: int = 8, val: int = 4) -> Path:
    """Coloured squares on grey: the colour is the class."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        (folder / "images" / split).mkdir(parents=True)
        (folder / "labels" / split).mkdir(parents=True)
        for index in range(count):
            image = rng.integers(90, 130, (64, 64, 3), dtype=np.uint8)
            lines = []
            for _ in range(2):
                kind = int(rng.integers(3))
                x, y, side = int(rng.integers(0, 40)), int(rng.integers(0, 40)), int(rng.integers(14, 24))
                image[y : y + side, x : x + side] = COLOURS[kind][::-1]
                box = ((x + side / 2) / 64, (y + side / 2) / 64, side / 64, side / 64)
                lines.append(f"{kind} " + " ".join(f"{value:.6f}" for value in box))
            cv2.imwrite(str(folder / "images" / split / f"{split}{index}.png"), image)
            (folder / "labels" / split / f"{split}{index}.txt").write_text("\n".join(lines) + "\n")
    data = folder / "data.yaml"
    names = {0: "red", 1: "green", 2: "blue"}
    data.write_text(yaml.safe_dump({"train": "images/train", "val": "images/val", "names": names}))
    return data


def write_model(folder: Path) -> Path:
    """YOLO11's layers, a sixteenth as wide."""
    from ultralytics.nn.tasks import yaml_model_load

    config = yaml_model_load("yolo11n.yaml")
    config = {key: config[key] for key in ("nc", "backbone", "head")} | {"scales": {"n": [0.33, 0.0625, 128]}}
    path = folder / "yolo11n-tiny.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def write_checkpoint(model: Path) -> Path:
    """The tiny detector with random weights for ten classes, as if they were pretrained; beside its YAML."""
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(1)
    built = DetectionModel(str(model), nc=10, verbose=False)
    built.args = {}
    for module in built.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
    return save_checkpoint(built, model.with_name("tiny.pt"))


def save_checkpoint(model: torch.nn.Module, path: Path) -> Path:
    """Save a model as a checkpoint that Ultralytics opens, in half precision as its own are."""
    torch.save({"epoch": -1, "model": model.half(), "ema": None, "train_args": {}, "date": "", "version": "8.4"}, path)
    return path
