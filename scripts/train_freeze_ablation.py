"""Train one run for each freeze depth, with the reference script's flags.

Each run is a folder <project>/freeze_1_to_N. One that fails does not stop the others; the exit status is then 1.
"""

from __future__ import annotations

from frostline.cli.reference import confirmation, run_script, training_parser, training_settings


def main() -> int:
    parser = training_parser(__doc__ or "")
    parser.add_argument("--epochs", type=int, default=300, help="epochs of each run")
    parser.add_argument("--freeze_list", default="3,4,5,6", help="depths: the first so many layers are frozen")
    args = parser.parse_args()

    import frostline as fl
    from frostline.cli.watch import LoudObserver
    from frostline.studies import parse_depths
    from frostline.training.power import powering_off

    depths, failed = parse_depths(args.freeze_list), []
    with powering_off(args.shutdown, confirmation(args)) as note_failure:
        for depth in depths:
            try:
                fl.train(
                    args.model, args.data, fl.FreezePlan.first(depth), project=args.project, device=args.device,
                    observer=LoudObserver(), epochs=args.epochs, **training_settings(args),
                )  # fmt: skip
            except fl.InputError:
                raise
            except Exception as error:
                failed.append(depth)
                print(f"freeze_1_to_{depth} failed: {type(error).__name__}: {error}")
                note_failure()
    return 1 if failed else 0


if __name__ == "__main__":
    run_script(main)
