"""A table in the formats that people carry it away in: CSV, JSON rows, Markdown and LaTeX."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import polars as pl
import polars.selectors as cs

from frostline.files import finite
from frostline.report.cells import Cell, cell
from frostline.report.model import Column, Table

_LATEX = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    # After the \\ that ends a row, a bracket or a star would be read as its argument.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    **{mark: f"\\{mark}" for mark in "{}$&#%_"},
}
_MARKDOWN = {"&": "&amp;", "<": "&lt;", ">": "&gt;", **{mark: f"\\{mark}" for mark in r"\|`*[]$~"}}


def cells(table: Table) -> list[list[Cell]]:
    """Write every cell of a table, row by row."""
    return [[cell(row, column) for column in table.columns] for row in table.frame.iter_rows(named=True)]


def is_numeric(column: Column) -> bool:
    """Tell whether a column is set to the right."""
    return column.kind != "text"


def as_csv(table: Table) -> str:
    """Write every column of the frame with full precision; what is not defined is an empty field."""
    floats = cs.float()
    return table.frame.with_columns(pl.when(floats.is_finite()).then(floats)).write_csv()


def as_rows(table: Table) -> list[dict[str, Any]]:
    """Give every column of the frame as plain values for JSON; what is not defined is None."""
    rows: list[dict[str, Any]] = finite(table.frame.to_dicts())
    return rows


def as_markdown(table: Table) -> str:
    """Write the columns for people as a table of GitHub's Markdown."""
    lines = [
        [markdown_text(column.header) for column in table.columns],
        ["---:" if is_numeric(column) else "---" for column in table.columns],
        *([markdown_text(str(item)) for item in row] for row in cells(table)),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_latex(table: Table) -> str:
    """Write the columns for people as a LaTeX table with the rules of booktabs."""
    body = [_latex_row([_latex_cell(item) for item in row]) for row in cells(table)]
    return "\n".join(
        [
            r"% \usepackage[T1]{fontenc} and \usepackage{booktabs}",
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{latex_text(table.title)}}}",
            rf"  \label{{tab:{re.sub('[^A-Za-z0-9]+', '-', table.name)}}}",
            rf"  \begin{{tabular}}{{{''.join('r' if is_numeric(column) else 'l' for column in table.columns)}}}",
            r"    \toprule",
            _latex_row([latex_text(column.header) for column in table.columns]),
            r"    \midrule",
            *body,
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def markdown_text(text: str) -> str:
    """Escape a text for a cell of a Markdown table: one line, and no mark that means something."""
    escaped = "".join(_MARKDOWN.get(mark, mark) for mark in _one_line(text))
    # Within a word GitHub takes an underscore as it stands: freeze_1_to_3 stays readable.
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", escaped)


def latex_text(text: str) -> str:
    """Escape a text for LaTeX: one line, and no character that means something."""
    return "".join(_LATEX.get(mark, mark) for mark in _one_line(text))


def _latex_row(texts: Sequence[str]) -> str:
    return f"    {' & '.join(texts)} \\\\"


def _latex_cell(item: Cell) -> str:
    escaped = latex_text(str(item))
    return escaped if isinstance(item.value, str) else re.sub(r"(?<!\w)-(?=\d)", "$-$", escaped)


def _one_line(text: str) -> str:
    seen = (mark for mark in text if mark.isspace() or unicodedata.category(mark) not in {"Cc", "Cf", "Cs"})
    return " ".join("".join(seen).split())
