"""The files of a report: `index.html`, `figures/`, `tables/`, `report.json`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from frostline.analysis.panels import Advance
from frostline.errors import InputError
from frostline.files import holds_files, read_json, write_bytes, write_json, write_text
from frostline.report.diagnoses import Diagnosis
from frostline.report.drawing import Drawn, draw_all
from frostline.report.page import Diagnosis as Finding
from frostline.report.page import Notice, PageModel, render_page
from frostline.report.samplepage import samples_html
from frostline.report.samples import gather_samples
from frostline.report.sheet import samples_charts
from frostline.report.tabular import as_csv, as_latex, as_markdown

if TYPE_CHECKING:
    from frostline.report.build import Report

RECORD, PAGE = "report.json", "index.html"


def write_report(report: Report, folder: Path, advance: Advance) -> Path:
    """Write every file of a report; what an earlier one left there and this one does not have is removed.

    Args:
        report: what to write.
        folder: see `Report.write`.
        advance: see `Advance`.

    Raises:
        InputError: see `Report.write`.
    """
    earlier = _earlier(folder)
    samples = gather_samples(report.evidence, advance=advance)
    charts = [*report.charts, *samples_charts(samples)]
    drawn = draw_all(charts, lambda done, total: advance("drawing figures", done, total))
    files: dict[str, bytes] = {}
    for one in drawn:
        files |= {f"figures/{one.name}.png": one.png, f"figures/{one.name}.svg": one.svg}
    for table in report.tables.values():
        for suffix, render in (("csv", as_csv), ("md", as_markdown), ("tex", as_latex)):
            files[f"tables/{table.name}.{suffix}"] = render(table).encode()
    page = render_page(page_model(report, drawn[: len(report.charts)], samples_html(samples)))
    try:
        for name, data in files.items():
            write_bytes(folder / name, data)
        write_text(folder / PAGE, page)
        write_json(folder / RECORD, {**report.as_json(), "files": [PAGE, *files]})
        for name in earlier - {*files, PAGE}:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: the report cannot be written ({error.strerror or error})") from None
    return folder / PAGE


def page_model(report: Report, drawn: list[Drawn], samples: str) -> PageModel:
    """Say what the page shows, and where."""
    evidence = report.evidence
    runs = sum(len(evidence.runs_of(arm)) for arm in evidence.arms)
    images = f", {len(evidence.panels[0].images):,} validation images" if evidence.panels else ""
    main, *others = report.tables.values()
    return PageModel(
        title=report.title,
        subtitle=f"{_counted(len(evidence.arms), 'arm')}, {_counted(runs, 'run')}{images}",
        headline=report.verdict.headline,
        sentences=report.verdict.sentences,
        arms=evidence.arms,
        baseline=evidence.baseline,
        notices=[_notice(one) for one in report.diagnoses if one.severity != "note"],
        diagnoses=[_finding(one) for one in report.diagnoses],
        main=main,
        tables=[table for table in others if table.on_page],
        charts=drawn,
        samples_html=samples,
        methods=report.methods,
        provenance={
            "runs": [str(run.path) for arm in evidence.arms for run in evidence.runs_of(arm)],
            "left out": {one.label: one.reason for one in evidence.left_out},
            "sources": {column.header: column.source for column in main.columns if column.source},
        },
    )


def _notice(one: Diagnosis) -> Notice:
    about = f" ({one.about})" if one.about else ""
    return Notice("error" if one.severity == "error" else "warning", f"{one.title}{about}.")


def _finding(one: Diagnosis) -> Finding:
    about = f" ({one.about})" if one.about else ""
    return Finding(f"{one.title}{about}", one.detail, one.try_)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _earlier(folder: Path) -> set[str]:
    """List the files of the report that a folder holds.

    Raises:
        InputError: it holds something, and no report.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; name a folder with --out")
    if not holds_files(folder):
        return set()
    try:
        record: Any = read_json(folder / RECORD)
        names = record["files"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{folder}: holds files and no report of ours; choose another folder with --out") from None
    # Only names that a report can have: the file may have been edited, and a path in it lead elsewhere.
    kept = {"figures", "tables"}
    return {str(n) for n in names if len(Path(str(n)).parts) == 2 and Path(str(n)).parts[0] in kept and ".." not in n}
