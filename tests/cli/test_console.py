"""Tables of hundreds of rows look as rich's own do."""

from __future__ import annotations

from io import StringIO

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from frostline.cli.console import aligned, plain_table

NAMES = st.text(st.sampled_from("ab 7_雪ü"), max_size=8).map(str.strip)
ROWS = st.lists(st.tuples(NAMES, NAMES, NAMES), max_size=5)


def lines_of(what: object) -> list[str]:
    console = Console(file=StringIO(), width=200)
    console.print(what, soft_wrap=isinstance(what, Text))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


@given(ROWS)
def test_aligned_rows_stand_as_in_a_table_of_rich(rows: list[tuple[str, str, str]]) -> None:
    titles, left = ("arm", "seed", "status"), frozenset({"arm", "status"})
    table = plain_table(*titles, left=left)
    for row in rows:
        table.add_row(*map(Text, row))
    assert lines_of(aligned(titles, [[Text(cell) for cell in row] for row in rows], left)) == lines_of(table)


def test_a_line_is_one_line_in_a_narrow_terminal_and_ends_with_its_last_mark() -> None:
    console = Console(file=StringIO(), width=10)
    console.print(aligned(("name", "n"), [[Text("a" * 30), Text("1", "red")]]), soft_wrap=True)
    assert console.file.getvalue() == " " * 26 + "name  n\n" + "a" * 30 + "  1\n"  # type: ignore[attr-defined]
