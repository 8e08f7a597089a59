"""`frostline compare`: runs side by side, as a table, a figure, a CSV and a JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from frostline.cli.evidence import (
    Baseline,
    Confidence,
    Draws,
    MethodChoice,
    MethodOption,
    Unfinished,
    print_table,
    progress,
)

if TYPE_CHECKING:
    from frostline.analysis import Comparison
    from frostline.report import Report
    from frostline.report.model import Table

EPILOG = (
    "Example: [bold]frostline compare runs/depth --metrics mAP50 mAP50-95 --out comparison.png "
    "--small-classes Pedestrian,Cyclist[/bold]"
)


class Format(str, Enum):
    """What is printed on standard output."""

    TABLE = "table"
    MD = "md"
    TEX = "tex"
    CSV = "csv"
    JSON = "json"


class ManyMetricsCommand(TyperCommand):
    """A command whose `--metrics` takes any number of words: `--metrics mAP50 mAP50-95`.

    Click gives an option a fixed number of values, so each word is handed on as an option of its own.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as Click does, after giving every metric its own `--metrics`."""
        return super().parse_args(ctx, spread_metrics(args))


def spread_metrics(words: Sequence[str]) -> list[str]:
    """Rewrite `--metrics a b` as `--metrics a --metrics b`, up to the next option or the next path.

    A word counts as a path when it has a separator or when there is such a file or folder, unless it is a metric's
    name. So folders may follow the metrics, and a misspelt metric is still told as one.
    """
    spread: list[str] = []
    collecting = False
    for index, word in enumerate(words):
        if word == "--":
            return [*spread, *words[index:]]
        if word.startswith("-"):
            collecting = word == "--metrics" or word.startswith("--metrics=")
            if word != "--metrics":
                spread.append(word)
            elif index + 1 == len(words) or words[index + 1].startswith("-"):
                spread.append(word)  # without a value, which is for Click to say
                collecting = False
        elif collecting and not _is_path(word):
            spread += ["--metrics", word]
        else:
            collecting = False
            spread.append(word)
    return spread


def _is_path(word: str) -> bool:
    from frostline.analysis import metric_name
    from frostline.errors import InputError

    try:
        metric_name(word)
    except InputError:
        return "/" in word or "\\" in word or Path(word).exists()
    return False


def compare(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", help="Study, arm, run and plain Ultralytics folders, old or new, in any mix."),
    ],
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metrics",
            metavar="METRIC...",
            help="What to draw and to print first: mAP50, mAP50-95, precision, recall.",
            show_default="mAP50 mAP50-95",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The figure: .png, .svg or .pdf. CSV and JSON go beside it.")
    ] = Path("comparison.png"),
    small_classes: Annotated[
        str | None,
        typer.Option("--small-classes", metavar="NAME,...", help="Classes whose mean AP50 is shown beside AP small."),
    ] = None,
    output: Annotated[
        Format, typer.Option("--format", help="What to print: a table for the terminal, a paper or a program.")
    ] = Format.TABLE,
    ci: Annotated[
        bool, typer.Option("--ci", help="A row an arm, with intervals and differences, as in the report.")
    ] = False,
    baseline: Baseline = None,
    draws: Draws = 1000,
    confidence: Confidence = 0.95,
    method: MethodChoice = MethodOption.PERCENTILE,
    include_unfinished: Unfinished = False,
) -> None:
    """Compare runs: final metrics, convergence, overfitting, small objects and cost, as a table and a figure.

    With --ci the table has a row an arm, its intervals, and its difference to the baseline: the main table of
    `frostline report`, to the last digit.
    """
    from frostline.analysis import chosen_metrics, compare_runs, cut_batches, find_whole_runs
    from frostline.cli.console import pure_stdout
    from frostline.report import write_comparison
    from frostline.report.maintables import runs_model

    options = {
        "--baseline": baseline, "--draws": draws != 1000, "--confidence": confidence != 0.95,
        "--method": method is not MethodOption.PERCENTILE, "--include-unfinished": include_unfinished,
    }  # fmt: skip
    for name, given in options.items():
        if given and not ci:
            raise typer.BadParameter(f"{name} is for intervals: give --ci as well")

    # Before anything is read: a misspelt metric is told at once.
    chosen = chosen_metrics([word for given in metrics or ["mAP50", "mAP50-95"] for word in given.split(",") if word])
    small = [name.strip() for name in (small_classes or "").split(",") if name.strip()]
    quiet = output is not Format.TABLE
    with pure_stdout(quiet), progress() as advance:
        report = None
        if ci:
            from frostline.report import Report

            report = Report.from_runs(
                folders, baseline=baseline, draws=draws, confidence=confidence, method=method.value,
                include_unfinished=include_unfinished, advance=advance,
            )  # fmt: skip
        # Of what --ci left out as damaged, nothing else could be told either.
        runs = find_whole_runs(folders) if report is None else report.evidence.runs
        comparison = compare_runs(runs, chosen, small)
        figure, table, record = write_comparison(comparison, chosen, out)
    if output is Format.JSON:
        _print_json(comparison, report)
    elif quiet:
        _print_as(runs_model(comparison, chosen) if report is None else report.main, output)
    elif report is not None:
        print_table(report.main)
        typer.echo(f"\n{report.verdict.headline}")
    else:
        print_comparison(comparison, chosen)
    for warning in cut_batches(runs):
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(f"figure  {figure}", err=quiet)
    typer.echo(f"table   {table} (every column)", err=quiet)
    typer.echo(f"JSON    {record} (with the source of each column)", err=quiet)


def _print_as(table: Table, output: Format) -> None:
    from frostline.report.tabular import as_csv, as_latex, as_markdown

    render = {Format.MD: as_markdown, Format.TEX: as_latex, Format.CSV: as_csv}[output]
    typer.echo(render(table), nl=False)


def _print_json(comparison: Comparison, report: Report | None) -> None:
    import json

    content = comparison.as_json()
    if report is not None:
        content |= {"intervals": report.main.frame.to_dicts(), "verdict": report.verdict.text}
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))


def print_comparison(comparison: Comparison, metrics: Sequence[str]) -> None:
    """Print the table of runs, that of arms where one has several seeds, and what the columns are."""
    from rich.console import Console

    from frostline.report import runs_table, summary_table

    console = Console(highlight=False)
    table, left_out = runs_table(comparison, metrics, console)
    console.print(table)
    arms = summary_table(comparison, metrics, console)
    if arms is not None:
        console.print("\nMean [lowest, highest] over the seeds of an arm", style="bold", markup=False)
        console.print(arms)
    console.print()
    notes = [
        "mAP50, mAP50-95, precision, recall: Ultralytics' definition, best checkpoint. AP small: COCO's.",
        "Epochs to 90 % of the final mAP50, the mean of the last 5 epochs. Gap: of mAP50-95.",
    ]
    if left_out:
        notes.append(f"Not shown at this width: {', '.join(left_out)}.")
    lengths = [run.results.height for run in comparison.runs if run.counts and run.results is not None]
    if len(set(lengths)) > 1:
        notes.append(
            f"Runs differ in length, {min(lengths)} to {max(lengths)} epochs: that alone can make a difference."
        )
    if any(not run.counts for run in comparison.runs):
        notes.append("Runs that are not finished have the best epoch so far, and count in no mean.")
    for note in notes:
        console.print(note, style="dim", markup=False)
