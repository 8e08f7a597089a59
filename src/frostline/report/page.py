"""The report's page: one HTML file that holds all it needs, and asks for nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup

from frostline.files import write_text
from frostline.report.drawing import Drawn
from frostline.report.looks import arm_looks
from frostline.report.model import Table
from frostline.report.pagetable import html_table
from frostline.report.templating import environment, static

logger = logging.getLogger(__name__)

Severity = Literal["error", "warning", "info"]

# The parts that hold charts and tables, in the order of the page, with their titles.
SECTIONS: Mapping[str, str] = {
    "answer": "Results",
    "diagnoses": "What the runs show",
    "curves": "Learning curves",
    "samples": "Sample images",
    "classes": "Classes",
    "errors": "Errors",
    "objects": "Objects",
    "shadows": "Shadows",
    "stages": "Stages",
    "gradients": "Gradients",
    "cost": "Cost",
}
LARGEST = 15_000_000
"""Bytes of the whole page, above which a warning says so."""


@dataclass(frozen=True)
class Notice:
    """Something to know before the numbers are believed.

    Attributes:
        severity: error: the numbers are not to be trusted; warning: read them with care; info: good to know.
        text: one or two sentences.
    """

    severity: Severity
    text: str


@dataclass(frozen=True)
class Diagnosis:
    """Something that the runs show, and what could be done about it.

    Attributes:
        title: what was found, in a few words.
        detail: the numbers that it was found by, a line for each thing; the first are shown, more when asked for.
        advice: what to try, most promising first.
    """

    title: str
    detail: str
    advice: tuple[str, ...] = ()


@dataclass(frozen=True)
class PageModel:
    """Everything that the page shows. All text is taken as text; only `samples_html` is taken as HTML.

    Attributes:
        title: of the page: the study's name.
        headline: the answer, in one sentence.
        sentences: what the answer rests on, a paragraph each.
        arms: in the order of the study.
        baseline: the arm that the others are compared with.
        subtitle: one line below the title: runs, images, date.
        notices: shown above the numbers, the most severe ones first.
        diagnoses: shown below the results.
        main: the table that carries the answer.
        tables: further ones, in the order in which they stand in their sections.
        charts: likewise.
        samples_html: the sample views, a piece of HTML that is escaped already. `static/samples.css` and
            `static/samples.js` go with it.
        methods: how to repeat it, as names and values; a value may hold names and values itself, or be a list.
        provenance: where the numbers come from, in the same form.
    """

    title: str
    headline: str
    sentences: Sequence[str] = ()
    arms: Sequence[str] = ()
    baseline: str | None = None
    subtitle: str = ""
    notices: Sequence[Notice] = ()
    diagnoses: Sequence[Diagnosis] = ()
    main: Table | None = None
    tables: Sequence[Table] = ()
    charts: Sequence[Drawn] = ()
    samples_html: str = ""
    methods: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Section:
    key: str
    title: str
    tables: Sequence[Markup]
    charts: Sequence[Drawn]
    html: Markup


def render_page(model: PageModel) -> str:
    """Write the page, a whole HTML document that makes no request.

    Args:
        model: what it shows.
    """
    looks = arm_looks(model.arms)
    main = None if model.main is None else html_table(model.main, looks, model.baseline, whiskers=True)
    interactive = {chart.name: chart.interactive for chart in model.charts if chart.interactive is not None}
    ranks = {"error": 0, "warning": 1, "info": 2}
    return environment().get_template("page.html.j2").render(
        model=model,
        looks=list(looks.values()),
        main=main,
        notices=sorted(model.notices, key=lambda notice: ranks[notice.severity]),
        sections=_sections(model, main),
        interactive=interactive,
        plotly=Markup(plotly_js()) if interactive else "",
        css=Markup("\n".join(_assets(model, "css"))),
        js=Markup("\n".join(_assets(model, "js"))),
    )  # fmt: skip


def write_page(model: PageModel, path: Path) -> None:
    """Write the page to a file, whole or not at all; a warning where it grew too large to be sent around."""
    text = render_page(model)
    write_text(path, text)
    if len(text) > LARGEST:
        logger.warning("%s: %.0f MB, more than many mail servers take", path, len(text) / 1e6)


def plotly_js() -> str:
    """Read plotly.js from the installed package; not through `plotly.offline`, which takes a second to import."""
    return (files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")


def _assets(model: PageModel, suffix: str) -> list[str]:
    return [static(f"page.{suffix}"), *([static(f"samples.{suffix}")] if model.samples_html else [])]


def _sections(model: PageModel, main: Markup | None) -> list[_Section]:
    """Gather what stands where; a section without anything is left out."""
    looks = arm_looks(model.arms)
    made = [
        _Section(
            name,
            title,
            [html_table(table, looks) for table in model.tables if table.section == name],
            [chart for chart in model.charts if chart.section == name],
            Markup(model.samples_html if name == "samples" else ""),
        )
        for name, title in SECTIONS.items()
    ]
    own = {"answer": main, "diagnoses": model.diagnoses}
    return [each for each in made if each.tables or each.charts or each.html or own.get(each.key)]
