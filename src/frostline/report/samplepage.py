"""The sample sheet as a part of a page: pictures and boxes as data, and a divider between two arms."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from frostline.report.pictures import Picture
from frostline.report.samples import Samples
from frostline.report.sampling import MOST_FALSE, Mark
from frostline.report.templating import environment


def samples_html(view: Samples) -> str:
    """Render the sheet as a part of a page, which needs `static/samples.css` and `static/samples.js` once each.

    Args:
        view: what `gather_samples` gives; where it has a `problem`, that is all there is to see.
    """
    # Names of arms, classes and files come from outside: everything that the template inserts is escaped.
    template = environment().get_template("samples.html.j2")
    first, second = _first_pair(view)
    return template.render(view=view, data=page_data(view), first=first, second=second, most_false=MOST_FALSE)


def page_data(view: Samples) -> dict[str, Any]:
    """Give what the script draws, as plain values; boxes in ten-thousandths of the picture's width and height."""
    classes = sorted({mark.name for one in view.samples for row in (one.truths, *one.marks) for mark in row})
    index = {name: at for at, name in enumerate(classes)}

    def rows(marks: Sequence[Mark]) -> list[list[Any]]:
        return [
            [
                mark.kind,
                index[mark.name],
                None if mark.score is None else round(mark.score, 2),
                *(round(10_000 * share) for share in mark.box),
            ]
            for mark in marks
        ]

    return {
        "classes": classes,
        "arms": [{"name": arm.name, "album": arm.album, "threshold": f"{arm.threshold:.2f}"} for arm in view.arms],
        "images": [
            {
                "name": one.name,
                "size": one.pictures[0].size,
                "pictures": [_data_uri(picture) for picture in one.pictures],
                "truths": rows(one.truths),
                "marks": [rows(marks) for marks in one.marks],
                "counts": [[count.hits, count.false, count.misses] for count in one.counts],
            }
            for one in view.samples
        ],
    }


def _first_pair(view: Samples) -> tuple[int, int]:
    """Choose what the slider shows at first: the baseline and the best, or the ground truth (-1) and the only arm."""
    index = {arm.name: at for at, arm in enumerate(view.arms)}
    order = [index[name] for name in view.shown]
    return (order[0], order[1]) if len(order) > 1 else (-1, 0)


def _data_uri(picture: Picture) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(picture.jpeg).decode("ascii")
