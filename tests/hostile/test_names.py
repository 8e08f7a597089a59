"""Names of strangers are shown as they are: no tag, no markup, no command of a terminal or a typesetter in them."""

from __future__ import annotations

import io
import json
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from frostline.cli.console import name_cell, plain_table
from frostline.cli.tables import boxes_table
from frostline.report import hover
from frostline.report.model import Column, Table
from frostline.report.pagetable import html_table
from frostline.report.tabular import as_latex, as_markdown
from frostline.report.templating import script_json

EVIL = [
    "<script>alert(1)</script>", "<b>bold</b>", "</script><img src=x onerror=alert(1)>", "[red]x[/red]", "[/nope]",
    "\x1b[2Jgone", "a|b", r"\input{/etc/passwd}", "%{y}", "`x`", "a\nb", "$x^2$", '" onmouseover="x', "javascript:x",
]  # fmt: skip


def shown(table: Any) -> str:
    stream = io.StringIO()
    Console(file=stream, width=200, highlight=False, emoji=False).print(table)
    return stream.getvalue()


@pytest.mark.parametrize("name", EVIL)
def test_a_table_in_the_terminal_shows_a_name_and_obeys_nothing(name: str) -> None:
    table = plain_table("class", "n", left=frozenset({"class"}))
    table.add_row(name_cell(name), "1")
    for text in (shown(table), shown(boxes_table({"train": {name: 1}}, {"train": 1}))):
        visible = "".join(mark if mark.isprintable() else "\N{REPLACEMENT CHARACTER}" for mark in name)
        assert visible in text and "\x1b" not in text


@pytest.mark.parametrize("name", EVIL)
def test_a_chart_reads_no_tag_in_a_name(name: str) -> None:
    layout = hover.panels([name], 1)
    text = layout["annotations"][0]["text"]
    assert text.startswith("<b>") and text.endswith("</b>") and "<" not in text[3:-4]
    assert "<" not in hover.written(name)
    assert "<" not in hover.spoken(name) and "%{" not in hover.spoken(name)
    assert "</" not in str(script_json({"name": name})) and json.loads(str(script_json({"name": name})))["name"] == name


@pytest.mark.parametrize("name", EVIL)
def test_a_table_carried_away_holds_a_name_and_no_command(name: str) -> None:
    table = Table("t", "caption", pl.DataFrame({"name": [name]}), (Column("name", "name"),))
    markdown, latex = as_markdown(table), as_latex(table)
    page, _, copies = str(html_table(table)).partition('<script type="application/json"')
    assert markdown.count("\n") == 3 and "<" not in markdown
    assert r"\input" not in latex
    assert copies.count("<") == copies.count("</script>") + copies.count("</div>")
    assert "<script" not in page and "<img" not in page and "<b>" not in page and '" onmouse' not in page
