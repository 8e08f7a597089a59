from __future__ import annotations

import csv
import io
import json
import math
import re

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from frostline.report.model import Column, Table
from frostline.report.tabular import as_csv, as_latex, as_markdown, as_rows, latex_text, markdown_text

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"]), max_size=30)
AWKWARD = ("<script>alert(1)</script>", "a|b", "50%_#&", "two\nlines", "*b* `c` [d](e) $f$", "\\end{tabular}")


def table(names: list[str]) -> Table:
    count = len(names)
    frame = pl.DataFrame(
        {
            "arm": names,
            "map": [0.123456789012345] * count,
            "low": [math.nan] * count,
            "high": [math.inf] * count,
            "hidden": [None] * count,
            "gain": [-0.013] * count,
        },
        schema_overrides={"hidden": pl.Int64},
    )
    columns = (Column("arm", "arm"), Column("map", "mAP", "percent", "low", "high"), Column("gain", "gain", "points"))
    return Table("a name/of 2", "50 % of it_all", frame, columns)


def test_csv_has_every_column_in_full_and_empty_fields_for_what_is_not_defined() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(table(list(AWKWARD))))))
    assert [row["arm"] for row in rows] == list(AWKWARD)
    assert {float(row["map"]) for row in rows} == {0.123456789012345}
    assert {row[key] for row in rows for key in ("low", "high", "hidden")} == {""}


def test_json_rows_have_every_column_and_null() -> None:
    (row,) = json.loads(json.dumps(as_rows(table(["x"])), allow_nan=False))
    assert row == {"arm": "x", "map": 0.123456789012345, "low": None, "high": None, "hidden": None, "gain": -0.013}


@given(NAMES)
@example("<script>alert(1)</script>")
@example("a|b")
@example("a\\|b")
@example("0 \x1b")
@example("two\nlines")
@example("[x](javascript:alert(1))")
def test_markdown_shows_any_name_as_it_is(name: str) -> None:
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(as_markdown(table([name])))
    assert html.count("<tr>") == 2 and html.count("<td") == 3
    (shown,) = re.findall(r"<td>(.*)</td>", html)
    for entity, mark in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        assert "<" not in shown or entity != "&lt;"
        shown = shown.replace(entity, mark)
    assert "".join(filter(str.isprintable, shown)) == " ".join("".join(filter(_seen, name)).split())


def _seen(mark: str) -> bool:
    return mark.isprintable() or mark.isspace()


def test_a_usual_name_stays_readable_in_markdown() -> None:
    assert markdown_text("freeze_1_to_3") == "freeze_1_to_3"
    assert markdown_text("__init__ _a_") == "\\_\\_init\\_\\_ \\_a\\_"


@given(NAMES)
@example("50%_#&")
@example("two\nlines")
@example("\\end{tabular}")
@example("[1ex]")
@example("*")
def test_latex_takes_no_name_for_a_command(name: str) -> None:
    text = latex_text(name)
    left = re.sub(r"\\(?:[{}$&#%_]|text[a-z]+\{\})|\{[\[\]*]\}", "", text)
    assert not re.search(r"[\\{}$&#%_^~<>|\[\]*\n\r]", left)


@pytest.mark.parametrize("name", AWKWARD)
def test_latex_has_a_line_a_row_and_a_column_a_cell(name: str) -> None:
    lines = as_latex(table([name, "other"])).splitlines()
    body = lines[lines.index(r"    \midrule") + 1 : lines.index(r"    \bottomrule")]
    assert len(body) == 2 and all(line.endswith(r"\\") and len(re.findall(r"(?<!\\)&", line)) == 2 for line in body)
    assert r"  \begin{tabular}{lrr}" in lines and r"  \caption{50 \% of it\_all}" in lines
    assert r"  \label{tab:a-name-of-2}" in lines and body[1] == r"    other & 12.3 & $-$1.3 \\"


def test_a_table_without_rows_or_floats_is_a_table_still() -> None:
    empty = Table("none", "", pl.DataFrame({"arm": []}, schema={"arm": pl.String}), (Column("arm", "arm"),))
    assert as_csv(empty) == "arm\n" and as_rows(empty) == []
    assert as_markdown(empty) == "| arm |\n| --- |\n" and r"\midrule" in as_latex(empty)
