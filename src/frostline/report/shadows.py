"""Shadow robustness in the report, from the record that `frostline shadows evaluate` left with the runs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from frostline.analysis.evidence import Evidence
from frostline.files import read_json
from frostline.report.chartparts import shown_arms, styled
from frostline.report.model import Chart, Column, Table
from frostline.report.palette import arm_styles
from frostline.report.shadowcharts import (
    LIGHT_NAMES,
    PLACE_NAMES,
    Arms,
    draw_light,
    draw_stress,
    draw_survival,
    hover_light,
    hover_stress,
    hover_survival,
)

RECORD = "shadows/shadows.json"
_VERSION = 1
_RECALL = "all classes at IoU 0.50, Ultralytics' matching, at each run's best F1; shadows.json"
_AP = "AP at IoU 0.50, COCO's definition with light in the place of size; shadows.json"
_MAP = "Ultralytics' definition; shadows.json"


def read_record(evidence: Evidence) -> dict[str, Any] | None:
    """Read the record of a shadow evaluation of these runs; None where there is none of this version."""
    folders = [] if evidence.study_folder is None else [evidence.study_folder]
    for run in evidence.runs:
        folders += [run.path, *list(run.path.resolve().parents)[:2]]
    for folder in dict.fromkeys(map(Path, folders)):
        try:
            record = read_json(folder / RECORD)
        except (OSError, ValueError):
            continue
        if isinstance(record, dict) and record.get("version") == _VERSION:
            return record
    return None


def shadow_tables(evidence: Evidence) -> list[Table]:
    """Build the tables of light and of the stress test; nothing where runs were not evaluated for it."""
    record = read_record(evidence)
    if record is None:
        return []
    tables = []
    for number, panel in enumerate(record["panels"]):
        end = str(number + 1) if number else ""
        arms = _shown(panel, evidence)
        if not arms:
            continue
        rows = [_light_row(arm, told, panel) for arm, told in arms.items()]
        columns = [Column("arm", "arm")]
        for what, source in (("recall", _RECALL), ("AP50", _AP)):
            for key, name in LIGHT_NAMES.items():
                columns.append(_column(f"{what}_{key}", f"{what} {name}", "percent", source))
            columns.append(_column(f"{what}_gap", f"{what} well lit - heavy", "points", source))
        tables.append(
            _table(f"shadows_light{end}", "Recall and AP by light", rows, columns, _light_note(panel, record))
        )
        stressed = {arm: told for arm, told in arms.items() if "stress/drop/mAP50" in told["metrics"]}
        if stressed and record["stress"] is not None:
            rows = [_stress_row(arm, told, panel) for arm, told in stressed.items()]
            columns = [
                Column("arm", "arm"),
                _column("clean_mAP50", "mAP50 clean", "percent", _MAP),
                _column("stressed_mAP50", "mAP50 stressed", "percent", _MAP),
                _column("drop_mAP50", "drop", "points", _MAP),
                _column("drop_mAP50_difference", "drop against baseline", "points", _MAP),
                _column("drop_mAP50-95", "drop of mAP50-95", "points", _MAP),
                *(
                    _column(f"survival_{key}", f"survive {name}", "percent", "shadows.json")
                    for key, name in {"all": "in all", **PLACE_NAMES}.items()
                ),
            ]
            title = "Under shadows that were not there"
            tables.append(_table(f"shadows_stress{end}", title, rows, columns, _stress_note(record)))
    return tables


def shadow_charts(evidence: Evidence) -> list[Chart]:
    """Build the charts of light, of the stress test and of survival; nothing where runs were not evaluated for it."""
    record = read_record(evidence)
    if record is None:
        return []
    charts = []
    styles = arm_styles(evidence.arms)
    for number, panel in enumerate(record["panels"]):
        end = str(number + 1) if number else ""
        arms = _shown(panel, evidence)
        names, cut = shown_arms(list(arms), evidence.baseline)
        shown: Arms = {arm: arms[arm]["metrics"] for arm in names}
        stressed: Arms = {arm: told for arm, told in shown.items() if "stress/drop/mAP50" in told}
        truths = panel["light"]["truths"]
        if shown:
            charts.append(
                Chart(
                    f"shadows_light{end}", "shadows", "What is found, by the light it stands in",
                    _light_note(panel, record) + cut,
                    styled(partial(draw_light, shown, styles, truths)), partial(hover_light, shown, styles, truths),
                )
            )  # fmt: skip
        if stressed and record["stress"] is not None:
            told = _stress_note(record) + cut
            charts.append(
                Chart(
                    f"shadows_stress{end}", "shadows", "mAP50 before and after shadows were cast", told,
                    styled(partial(draw_stress, stressed, styles)), partial(hover_stress, stressed, styles),
                )
            )  # fmt: skip
            found = {arm: arms[arm]["found"] for arm in stressed}
            charts.append(
                Chart(
                    f"shadows_survival{end}", "shadows", "Which detections survive the new shadow", told,
                    styled(partial(draw_survival, stressed, styles, found)),
                    partial(hover_survival, stressed, styles, found),
                )
            )  # fmt: skip
    return charts


def _shown(panel: Mapping[str, Any], evidence: Evidence) -> dict[str, Any]:
    """Give the panel's arms that the evidence has too, in its order."""
    return {arm: panel["arms"][arm] for arm in evidence.arms if arm in panel["arms"]}


def _column(key: str, header: str, kind: Any, source: str) -> Column:
    return Column(key, header, kind, f"{key}_low", f"{key}_high", source)


def _table(name: str, title: str, rows: list[dict[str, Any]], columns: list[Column], note: str) -> Table:
    keys = [key for column in columns for key in (column.key, column.low, column.high) if key]
    kinds = {key: pl.String if key == "arm" else pl.Float64 for key in keys}
    frame = pl.DataFrame(rows, schema=kinds)
    kept = tuple(column for column in columns if frame.get_column(column.key).count())
    return Table(name, title, frame, kept, "shadows", note)


def _light_row(arm: str, told: Mapping[str, Any], panel: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"arm": arm}
    for what in ("recall", "AP50"):
        for light in (*LIGHT_NAMES, "gap"):
            row |= _written(f"{what}_{light}", told["metrics"].get(f"light/{what}/{light}"))
    return row


def _stress_row(arm: str, told: Mapping[str, Any], panel: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"arm": arm}
    for what in ("clean/mAP50", "stressed/mAP50", "drop/mAP50", "drop/mAP50-95"):
        row |= _written(what.replace("/", "_"), told["metrics"].get(f"stress/{what}"))
    row |= _written("drop_mAP50_difference", panel["differences"].get(arm, {}).get("stress/drop/mAP50"))
    for place in ("all", *PLACE_NAMES):
        row |= _written(f"survival_{place}", told["metrics"].get(f"stress/survival/{place}"))
    return row


def _written(key: str, found: Mapping[str, Any] | None) -> dict[str, float | None]:
    return {f"{key}{end}": (found or {}).get(name) for end, name in (("", "value"), ("_low", "low"), ("_high", "high"))}


def _light_note(panel: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    light = panel["light"]
    low, high = (f"{100 * bound:g} %" for bound in light["bounds"])
    few = [f"{LIGHT_NAMES[key]} has {count}" for key, count in light["truths"].items() if count < 30]
    return (
        f"Light: {light['words']}; moderate from {low}, heavy above {high}. Recall of objects of all classes at IoU "
        "0.50, at the confidence of each run's best F1 on all images; AP50 as COCO sorts by size, objects in another "
        f"light ignored, mean over classes. Intervals: {100 * record['confidence']:g} %, over images and, with several "
        "seeds, over seeds." + (f" Few objects: {', '.join(few)}." if few else "")
    )


def _stress_note(record: Mapping[str, Any]) -> str:
    cast = record["stress"]
    edge = " to ".join(f"{100 * bound:g}" for bound in cast["edge"])
    many = "shadow" if cast["count"] == 1 else "shadows"
    return (
        f"{cast['count']} {cast['strength']} {many} cast on the source of each validation image (seed {cast['seed']}), "
        "converted as the dataset was. mAP50: Ultralytics' definition, best checkpoints. Survive: of the objects found "
        "on the clean image at IoU 0.50 and the confidence of the run's best F1, the share that is found on the "
        f"stressed one; on the edge when {edge} % of the object's box are in the new shadow. Intervals: "
        f"{100 * record['confidence']:g} %, paired over the same draws of images."
    )
