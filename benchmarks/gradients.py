"""What observing and writing gradients costs, as a share of the epochs' time of one real run.

The calls themselves are timed inside the run, on a CPU. A GPU works on after they return, so there only the time that
they hold the training up is seen.

    python benchmarks/gradients.py --model weights.pt --data data.yaml --epochs 2
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import frostline as fl
from frostline.freezing import FreezeWatch
from frostline.training import trainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=8)
    args = parser.parse_args()
    spent: dict[str, float] = {}

    def timed(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **named: Any) -> Any:
            begun = time.perf_counter()
            try:
                return work(*words, **named)
            finally:
                spent[name] = spent.get(name, 0.0) + time.perf_counter() - begun

        return call

    for name in ("observe_gradients", "epoch_gradient_norms", "weight_norms"):
        setattr(FreezeWatch, name, timed(name, getattr(FreezeWatch, name)))
    trainer.append_gradients = timed("append_gradients", trainer.append_gradients)
    with tempfile.TemporaryDirectory() as folder:
        run = fl.train(
            args.model, args.data, fl.FreezePlan.first(0), epochs=args.epochs, imgsz=args.imgsz, batch=args.batch,
            nbs=args.batch, device="cpu", plots=False, project=Path(folder),
        )  # fmt: skip
        epochs = sum(run.record["epoch_seconds"])
    for name, seconds in spent.items():
        print(f"{name}: {seconds:.3f} s")
    print(f"epochs: {epochs:.1f} s; share of gradients: {sum(spent.values()) / epochs:.2%}")


if __name__ == "__main__":
    main()
