"""Train in two stages, with the reference script's flags: first the first layers alone, then everything.

Two run folders are written, <project>/<name1> and <project>/<name2>. Stage 2 starts from the best weights of stage 1.
"""

from __future__ import annotations

from pathlib import Path

from frostline.cli.reference import confirmation, run_script, training_parser, training_settings


def main() -> int:
    parser = training_parser(__doc__ or "")
    parser.add_argument("--epochs1", type=int, default=50, help="epochs of stage 1")
    parser.add_argument("--epochs2", type=int, default=250, help="epochs of stage 2")
    parser.add_argument("--layers", type=int, default=6, help="the first so many layers train in stage 1")
    parser.add_argument("--name1", default="exp_stage1", help="run folder of stage 1")
    parser.add_argument("--name2", default="exp_stage2", help="run folder of stage 2")
    args = parser.parse_args()

    import frostline as fl
    from frostline.cli.watch import LoudObserver
    from frostline.training import train_two_runs
    from frostline.training.power import powering_off

    with powering_off(args.shutdown, confirmation(args)):
        train_two_runs(
            args.model, args.data, fl.FreezePlan.train_first(args.layers), epochs=(args.epochs1, args.epochs2),
            names=(args.name1, args.name2), project=Path(args.project), device=args.device, observer=LoudObserver(),
            **training_settings(args),
        )  # fmt: skip
    return 0


if __name__ == "__main__":
    run_script(main)
