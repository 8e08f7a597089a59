#!/usr/bin/env python3
"""Compare experiments by name: learning curves, mAP against freeze depth, and a table, as `frostline compare` does."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from frostline.analysis import METRICS, chosen_metrics, compare_runs, experiment_folder, find_whole_runs
from frostline.cli.compare import print_comparison
from frostline.cli.reference import add_shutdown, confirmation, run_script
from frostline.report import write_comparison
from frostline.training.power import powering_off

PLACES = ("runs/train", "runs", "runs/detect/runs/train", "runs/detect")
EPILOG = f"""\
how names become folders:
  A name that is a folder is taken as it stands: freeze_1_to_3, runs/train/exp_stage2, /data/study.
  Otherwise it is looked for in --project, the working folder, {", ".join(PLACES)}, in that order.
  1-3 also means freeze_1_to_3, the name under which train_freeze_ablation.py saves the run with layers 1 to 3 frozen.
  A folder may be one run, or hold several: an arm with its seeds, a study, a project.

example:
  plot_comparison.py --exp_dirs 1-3 1-4 1-5 1-6 --metrics mAP50 mAP50-95 --out comparison.png
"""


def parser() -> argparse.ArgumentParser:
    """Build the parser of the reference script's flags."""
    flags = argparse.ArgumentParser(
        description="Compare training runs of Frostline and of plain Ultralytics, old or new.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    flags.add_argument("--exp_dirs", nargs="+", required=True, metavar="DIR", help="experiments, by folder or name")
    flags.add_argument(
        "--metrics", nargs="+", default=list(METRICS[:2]), metavar="METRIC", help=f"of {', '.join(METRICS)}"
    )
    flags.add_argument("--out", type=Path, default=Path("comparison.png"), help="figure; CSV and JSON go beside it")
    add_shutdown(flags)
    flags.add_argument("--project", type=Path, metavar="DIR", help="folder to look for the experiments in first")
    return flags


def run(arguments: argparse.Namespace) -> None:
    """Do what the flags say.

    Raises:
        InputError: an unknown experiment or metric, or a folder without results.
    """
    metrics = chosen_metrics(arguments.metrics)
    parents = [*([arguments.project] if arguments.project else []), Path(), *map(Path, PLACES)]
    folders = [experiment_folder(name, parents) for name in arguments.exp_dirs]
    comparison = compare_runs(find_whole_runs(folders), metrics)
    written = write_comparison(comparison, metrics, arguments.out)
    print_comparison(comparison, metrics)
    print(*written, sep="\n")


def main(words: Sequence[str] | None = None) -> int:
    """Parse the flags and do what they say."""
    arguments = parser().parse_args(words)
    with powering_off(arguments.shutdown, confirmation(arguments)):
        run(arguments)
    return 0


if __name__ == "__main__":
    run_script(main)
