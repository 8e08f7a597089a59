"""`frostline shadows evaluate`: what runs find in the sun and in shadow, and what shadows cast anew take from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from frostline.cli import options as o
from frostline.cli.batch import Workers
from frostline.cli.evidence import Baseline, Draws
from frostline.cli.shadows import StrengthOption

_LIGHTS = {"lit": "well lit", "moderate": "moderate", "heavy": "heavy"}
_PLACES = {"untouched": "outside it", "edge": "on its edge", "inside": "inside it"}


def evaluate(
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="A study's folder, or study, arm and run folders in any mix.", metavar="STUDY...", show_default=False
        ),
    ],
    *,
    source: Annotated[
        Path | None,
        typer.Option(
            "--source",
            help="Folder of the linear or sRGB images that the dataset was converted from.  [default: what chroma.json"
            " says]",
            metavar="DIR",
            show_default=False,
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            "--masks",
            help="Folder of shadow masks, 255 in full shadow, with the images' names.  [default: those of rendered"
            " scenes, else light is estimated on the source]",
            metavar="DIR",
            show_default=False,
        ),
    ] = None,
    bounds: Annotated[
        str | None,
        typer.Option(
            "--bounds",
            help="Shares in shadow where moderate begins, and above which heavy begins.  [default: 0.1,0.6 by mask,"
            " 0.4,0.7 estimated]",
            metavar="A,B",
            show_default=False,
        ),
    ] = None,
    stress: Annotated[bool, typer.Option("--stress/--no-stress", help="Cast shadows and evaluate again.")] = True,
    strength: Annotated[
        StrengthOption, typer.Option("--strength", help="How much light cast shadows take.")
    ] = StrengthOption.MODERATE,
    count: Annotated[int, typer.Option("--count", help="Cast shadows an image.", min=1)] = 2,
    seed: Annotated[int, typer.Option("--seed", help="Of the cast shadows.", min=0)] = 0,
    baseline: Baseline = None,
    draws: Draws = 1000,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder to write.  [default: shadows in the study]", metavar="DIR", show_default=False
        ),
    ] = None,
    device: o.Device = None,
    workers: Workers = None,
    trust_checkpoint: o.Trust = False,
    allow_outside: o.AllowOutside = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print shadows.json in place of the tables.")] = False,
) -> None:
    """Sort objects by the light they stand in, and test how detectors bear shadows that were not there.

    Recall and AP of each arm in well lit, moderate and heavy shadow; the fall of its mAP when shadows are cast on the
    validation images' sources and those are converted as the dataset was; and how many detections survive the
    shadow's edge. A second call evaluates only what is new.

    Exit status 1 when a run could not be evaluated; the others were.

    Examples:

        frostline shadows evaluate runs/depth

        frostline shadows evaluate runs/depth --source scenes/linear --masks scenes/masks --strength heavy

        frostline shadows evaluate runs/depth --no-stress
    """
    from frostline.cli.bar import stderr
    from frostline.cli.console import pure_stdout
    from frostline.cli.evidence import progress
    from frostline.files import write_bytes

    limits = None if bounds is None else _bounds(bounds)
    errors = stderr()
    with pure_stdout(as_json), progress() as advance:
        from frostline.analysis import find_whole_runs
        from frostline.studies.shadowrecord import frame_of
        from frostline.studies.shadows import RECORD, ShadowOptions, evaluate_shadows, shadows_folder
        from frostline.studies.stressed import Shadows

        runs = find_whole_runs(folders)
        folder = out or shadows_folder(runs, folders)
        cast = Shadows(strength.value, count, seed) if stress else None  # type: ignore[arg-type]
        options = ShadowOptions(
            source, masks, limits, cast, baseline, device, draws, workers=workers, trust=trust_checkpoint
        )
        record = evaluate_shadows(
            runs, folder, options, say=lambda line: errors.print(line, markup=False), advance=advance
        )
        write_bytes(folder / "shadows.csv", frame_of(record).write_csv().encode())
    if as_json:
        from frostline.files import finite

        typer.echo(json.dumps(finite(record), indent=2, ensure_ascii=False))
    else:
        for panel in record["panels"]:
            _print(panel, record)
        for caution in record["cautions"]:
            typer.echo(f"caution: {caution}")
    typer.echo(f"wrote {folder / RECORD}, and shadows.csv beside it", err=as_json)
    for one in record["left_out"]:
        errors.print(f"{one['run']}: {one['reason']}", markup=False)
    if any(one["reason"].startswith("no stress test") for one in record["left_out"]):
        raise typer.Exit(1)


def _bounds(text: str) -> tuple[float, float]:
    from frostline.errors import InputError

    try:
        moderate, heavy = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--bounds {text}: expected two shares such as 0.1,0.6") from None
    return moderate, heavy


def _print(panel: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    from rich.markup import escape

    from frostline.cli.console import plain_table, show

    light, arms = panel["light"], panel["arms"]
    low, high = (f"{100 * bound:g} %" for bound in light["bounds"])
    counts = [f"{name} {light['truths'][key]}" for key, name in _LIGHTS.items()]
    table = plain_table("arm", *(f"{what} {name}" for what in ("recall", "AP50") for name in _LIGHTS.values()),
                        left=frozenset({"arm"}))  # fmt: skip
    for arm, told in arms.items():
        cells = [_cell(told["metrics"][f"light/{what}/{key}"]) for what in ("recall", "AP50") for key in _LIGHTS]
        table.add_row(escape(arm), *cells)
    show(
        table,
        f"Light: {light['words']}; moderate from {low}, heavy above {high}. Objects: {', '.join(counts)}, in "
        f"{panel['images']} images.",
        "Recall at IoU 0.50 and each run's best F1; AP50 as COCO sorts by size. In brackets: "
        f"{100 * record['confidence']:g} % intervals over images and seeds.",
        "",
    )
    if record["stress"] is None or not any("stress/drop/mAP50" in told["metrics"] for told in arms.values()):
        return
    stressed = {arm: told for arm, told in arms.items() if "stress/drop/mAP50" in told["metrics"]}
    table = plain_table("arm", "mAP50 clean", "shadows cast", "drop", "drop against baseline", left=frozenset({"arm"}))
    keys = ("clean/mAP50", "stressed/mAP50", "drop/mAP50")
    for arm, told in stressed.items():
        against = panel["differences"].get(arm, {}).get("stress/drop/mAP50")
        cells = [_cell(told["metrics"][f"stress/{key}"]) for key in keys]
        table.add_row(escape(arm), *cells, "" if against is None else _cell(against))
    show(table, "")
    table = plain_table("arm", "survive", *_PLACES.values(), left=frozenset({"arm"}))
    for arm, told in stressed.items():
        places = (f"stress/survival/{key}" for key in ("all", *_PLACES))
        table.add_row(escape(arm), *(_cell(told["metrics"][key]) for key in places))
    cast = record["stress"]
    edge = " to ".join(f"{100 * bound:g}" for bound in cast["edge"])
    show(
        table,
        f"Stress: {cast['count']} {cast['strength']} shadows an image, seed {cast['seed']}. mAP50 is Ultralytics'. "
        f"Survive: of the objects found before, those still found; on the shadow's edge when {edge} % of the box are "
        "in it.",
    )


def _cell(found: Mapping[str, Any]) -> str:
    from math import isfinite

    value, low, high = (found[key] for key in ("value", "low", "high"))
    if value is None or not isfinite(value):
        return "-"
    return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
