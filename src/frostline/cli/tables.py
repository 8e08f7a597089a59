"""The table of boxes and images in each split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def boxes_table(boxes: Mapping[str, Mapping[str, int]], images: Mapping[str, int]) -> Table:
    """Return a row a class, a column a split, and totals.

    Args:
        boxes: split to class name to number of boxes.
        images: split to number of images.
    """
    from rich.table import Table

    from frostline.cli.console import name_cell

    table = Table("boxes", *boxes, "total")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in next(iter(boxes.values())):
        counts = [of_class[name] for of_class in boxes.values()]
        table.add_row(name_cell(name), *map(str, counts), str(sum(counts)))
    totals = [sum(of_class.values()) for of_class in boxes.values()]
    table.add_section()
    table.add_row("all classes", *map(str, totals), str(sum(totals)))
    table.add_row("images", *map(str, images.values()), str(sum(images.values())))
    return table
