"""The other side of `study.py`: what a user would run without Frostline, one `train` call of plain Ultralytics a depth.

Everything is left at Ultralytics' defaults except what the flags name. Prints one JSON line a run, then a total.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--depths", default="0,3,4,5,6", help="0 freezes nothing")
    parser.add_argument("--close-mosaic", type=int, default=10, help="last epochs without mosaic")
    parser.add_argument("--project", required=True)
    args = parser.parse_args()

    from ultralytics import YOLO

    start = time.perf_counter()
    for depth in map(int, args.depths.split(",")):
        begun = time.perf_counter()
        results = YOLO(args.model).train(
            data=args.data, imgsz=args.imgsz, batch=args.batch, epochs=args.epochs, device=args.device,
            optimizer="SGD", seed=0, plots=False, hsv_h=0.0, hsv_s=0.0, freeze=depth or None,
            close_mosaic=args.close_mosaic,
            project=str(Path(args.project).resolve()), name=f"freeze_{depth}", exist_ok=True,
        )  # fmt: skip
        run = {"depth": depth, "seconds": round(time.perf_counter() - begun, 2), "map50": float(results.box.map50)}
        print("RUN " + json.dumps(run), flush=True)
    print("TOTAL " + json.dumps({"seconds": round(time.perf_counter() - start, 2)}), flush=True)


if __name__ == "__main__":
    main()
