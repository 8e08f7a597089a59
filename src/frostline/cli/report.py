"""`frostline report`: finished runs as an answer with its uncertainty: a page, figures, tables, JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frostline.cli.evidence import Baseline, Confidence, Draws, MethodChoice, MethodOption, Unfinished
from frostline.cli.options import AllowOutside

if TYPE_CHECKING:
    from frostline.report import Report


def report(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="STUDY|DIR...", help="Study, arm, run and plain Ultralytics folders, in any mix."),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder of the report.", show_default="STUDY/report, else ./report"),
    ] = None,
    baseline: Baseline = None,
    draws: Draws = 1000,
    confidence: Confidence = 0.95,
    method: MethodChoice = MethodOption.PERCENTILE,
    include_unfinished: Unfinished = False,
    title: Annotated[str | None, typer.Option("--title", help="Of the page.", show_default="the study's name")] = None,
    allow_outside: AllowOutside = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print report.json as well, and nothing else.")] = False,
) -> None:
    """Turn finished runs into an answer with its uncertainty.

    Writes index.html (one file that opens from a disk, without a network), figures/ (PNG and SVG), tables/ (CSV,
    Markdown, LaTeX) and report.json.

    Examples:

        frostline report runs/freeze-depth

        frostline report runs/a runs/b --baseline a --out report

        frostline report runs/freeze-depth --method bca --draws 5000
    """
    from frostline.cli.console import pure_stdout
    from frostline.cli.evidence import progress
    from frostline.report import Report

    with pure_stdout(as_json), progress() as advance:
        made = Report.from_runs(
            folders, baseline=baseline, draws=draws, confidence=confidence, method=method.value,
            include_unfinished=include_unfinished, title=title, advance=advance,
        )  # fmt: skip
        page = made.write(out or default_folder(made.evidence.study_folder), advance)
    if as_json:
        typer.echo((page.parent / "report.json").read_text(encoding="utf-8"))
        return
    print_report(made, page)


def print_report(report: Report, page: Path) -> None:
    """Print the main table, the verdict, what is to be minded, and where the files are."""
    from frostline.cli.evidence import print_table

    print_table(report.main)
    typer.echo(f"\n{report.verdict.headline}")
    for sentence in report.verdict.sentences:
        typer.echo(f"  {sentence}")
    for caution in report.verdict.cautions:
        typer.echo(f"  Mind: {caution}.")
    for one in report.diagnoses:
        if one.severity != "note":
            typer.echo(f"{one.severity}: {one.title}{f' ({one.about})' if one.about else ''}")
    typer.echo(f"\n{page}\nfigures, tables (csv, md, tex) and report.json in {page.parent}")


def default_folder(study: Path | None) -> Path:
    """Return where a report goes: into the study's folder, where all runs are of one study."""
    if study is None:
        return Path("report")
    try:
        return study.relative_to(Path.cwd()) / "report"
    except ValueError:
        return study / "report"
