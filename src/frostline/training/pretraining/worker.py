"""The process that pretrains: `python -m frostline.training.pretraining.worker JOB.json`.

lightly-train makes itself at home in its process: Pillow accepts truncated images from then on, the generators are
seeded, warnings and signals are its own. So it gets a process of its own, and that ends with the one that started it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

RESULT, ERROR = "trained.pt", "error.json"


def to_unit(_layer: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Undo ImageNet's normalization in front of the detector's first layer.

    Teachers need that normalization and lightly-train applies it to every image. A detector is fine-tuned on pixels in
    [0, 1]: pretrained on anything else, its first BatchNorm would hold statistics of images that it never sees again,
    and freezing it would keep them.
    """
    import torch

    images = inputs[0]
    mean = torch.tensor((0.485, 0.456, 0.406), device=images.device, dtype=images.dtype).view(1, 3, 1, 1)
    deviation = torch.tensor((0.229, 0.224, 0.225), device=images.device, dtype=images.dtype).view(1, 3, 1, 1)
    return (images * deviation + mean, *inputs[1:])


def run(job: dict[str, Any], folder: Path) -> None:
    """Pretrain, and save the tensors of the whole model by name below the layer list."""
    import lightly_train
    import torch
    from ultralytics import YOLO

    from frostline.freezing import find_layers

    torch.set_num_threads(job["threads"])
    model = YOLO(job["model"])
    hook = find_layers(model.model)[0].register_forward_pre_hook(to_unit)
    lightly_train.pretrain(
        out=folder / "lightly",
        data=job["images"],
        model=model,
        transform_args={"image_size": (job["imgsz"], job["imgsz"])},
        loggers={"tensorboard": None, "jsonl": {"flush_logs_every_n_steps": 1}},
        callbacks={"model_export": None},
        precision="32-true",
        **job["arguments"],
    )
    hook.remove()
    tensors = {name: value.detach().cpu() for name, value in find_layers(model.model).state_dict().items()}
    torch.save(tensors, folder / RESULT)


def main(path: str) -> int:
    """Carry out a job; tell what went wrong in a file beside it."""
    job_file = Path(path)
    _end_with_parent()
    try:
        run(json.loads(job_file.read_text(encoding="utf-8")), job_file.parent)
    except Exception as error:
        kinds, cause = [], error
        while cause is not None:
            kinds += [kind.__name__ for kind in type(cause).__mro__]
            cause = cause.__cause__ or cause.__context__  # type: ignore[assignment]
        told = {"kinds": kinds, "type": type(error).__name__, "message": str(error)}
        (job_file.parent / ERROR).write_text(json.dumps(told), encoding="utf-8")
        raise
    return 0


def _end_with_parent() -> None:
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
