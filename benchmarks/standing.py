"""How long `frostline study status` works on a study with many recorded runs.

The records are of the size that YOLO11s leaves after 300 epochs. Prints the seconds of each part, beside imports, and
of the whole command, imports included.

    python benchmarks/standing.py
    python benchmarks/standing.py --runs 2000 --running 1
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import yaml

SEEDS = 5
EPOCHS = 300
TENSORS = [f"{layer}.cv{part}.conv.weight" for layer in range(24) for part in range(20)]


def record(arm: str, seed: int, status: str) -> dict[str, Any]:
    """Return what `run.json` holds of a run."""
    apart = {name: {"ultralytics/AP50": 0.5, "ultralytics/AP50-95": 0.3} for name in map(str, range(80))}
    return {
        "schema": 1, "arm": arm, "seed": seed, "status": status, "audit": "PASS", "settings": {"epochs": EPOCHS},
        "metrics": {"ultralytics/mAP50": 0.5, "ultralytics/mAP50-95": 0.3}, "per_class": apart,
        "transfer": {"loaded": 493, "total": 499, "fresh": TENSORS[:6]}, "epoch_seconds": [12.3456] * EPOCHS,
    }  # fmt: skip


def progress() -> dict[str, Any]:
    """Return what `progress.json` holds of a stage."""
    frozen = {
        "selected_layers": [0, 1, 2], "frozen": TENSORS[:60], "trainable": TENSORS[60:], "fixed": TENSORS[:1],
        "kept_fresh": [], "batchnorms": TENSORS[:20], "total_layers": 24, "frozen_count": 38_000,
        "trainable_count": 9_420_000, "fixed_count": 16,
    }  # fmt: skip
    return {
        "freeze": frozen, "transfer": {"loaded": 493, "total": 499}, "got_gradient": TENSORS[60:],
        "fingerprints": {name: "0123456789abcdef" * 4 for name in TENSORS[:60]},
        "epoch_seconds": {str(epoch): 12.3456 for epoch in range(1, EPOCHS + 1)},
    }  # fmt: skip


def write_study(folder: Path, runs: int, running: float) -> None:
    """Write a study's folder.

    Args:
        folder: where to.
        runs: in all.
        running: share that is not finished.
    """
    arms = {f"arm_{number}": {"freeze": f"0-{number % 22}"} for number in range(runs // SEEDS)}
    study = {
        "name": "long", "model": "yolo11s.pt", "data": "data.yaml", "train": {"epochs": EPOCHS},
        "seeds": list(range(SEEDS)), "arms": arms,
    }  # fmt: skip
    folder.mkdir(parents=True)
    asked = folder.with_suffix(".yaml")
    asked.write_text(yaml.safe_dump(study, sort_keys=False))
    begin = "import sys; from frostline.studies import StudyFile; print(StudyFile.from_yaml(sys.argv[1]).to_yaml())"
    # In a process of its own: its imports are part of what is timed here.
    words = [sys.executable, "-c", begin, str(asked)]
    written = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    (folder / "study.yaml").write_text(written)
    for number in range(len(arms) * SEEDS):
        arm, seed = f"arm_{number // SEEDS}", number % SEEDS
        place = folder / arm / f"seed{seed}"
        place.mkdir(parents=True)
        status = "running" if number < running * runs else "finished"
        (place / "run.json").write_text(json.dumps(record(arm, seed, status), indent=2))
        (place / "progress.json").write_text(json.dumps(progress(), indent=2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--running", type=float, default=0.0, help="share of the runs that are not finished")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "long"
        write_study(folder, args.runs, args.running)
        begun = time.perf_counter()
        from frostline.cli.studying import print_states
        from frostline.studies import Study

        print(f"imports {time.perf_counter() - begun:.2f} s")
        for _ in range(args.repeats):
            times = [time.perf_counter()]
            study = Study.look(folder)
            times.append(time.perf_counter())
            states = study.states()
            times.append(time.perf_counter())
            with redirect_stdout(StringIO()):
                print_states(states)
            times.append(time.perf_counter())
            parts = [after - before for before, after in itertools.pairwise(times)]
            told = ", ".join(
                f"{name} {part:.2f} s" for name, part in zip(("file", "states", "table"), parts, strict=True)
            )
            print(f"{len(states)} runs: {told}; together {sum(parts):.2f} s")
        begun = time.perf_counter()
        words = [sys.executable, "-m", "frostline", "study", "status", str(folder)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        print(f"the whole command, imports included: {time.perf_counter() - begun:.2f} s")


if __name__ == "__main__":
    main()
