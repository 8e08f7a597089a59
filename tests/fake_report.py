"""A report page like that of a real study: seven arms, three seeds, awkward names, every kind of part."""

from __future__ import annotations

from functools import cache
from typing import Any

import matplotlib
import numpy as np
import polars as pl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from frostline.report.drawing import Drawn, draw
from frostline.report.model import Chart, Column, Section, Table
from frostline.report.page import Diagnosis, Notice, PageModel
from frostline.report.palette import arm_styles
from frostline.report.style import STYLE

ARMS = ("baseline", "freeze_1_to_3", "freeze_1_to_6", "freeze_backbone", "two_stage", "gradual", "a|b <i>50%_#&</i>")
CLASSES = ("Car", "Pedestrian", "Cyclist", "<script>alert(1)</script>")
EPOCHS = 40
_DASHES = {(): "solid", (6, 1.6): "8px,3px", (1.2, 1.4): "2px,3px", (7, 1.6, 1.2, 1.6): "8px,3px,2px,3px"}


def figure(width: float = 9.0, height: float = 3.6) -> tuple[Figure, Any]:
    made = Figure(figsize=(width, height))
    FigureCanvasAgg(made)
    made.set_layout_engine(ConstrainedLayoutEngine())
    return made, made.subplots()


def main_table(seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    gain = np.array([np.nan, 0.013, 0.021, -0.012, 0.008, 0.004, -0.031])
    half = rng.uniform(0.009, 0.018, len(ARMS))
    level = 0.381 + np.nan_to_num(gain)
    frame = pl.DataFrame(
        {
            "arm": ARMS,
            "seeds": [3, 3, 3, 3, 3, 1, 3],
            "map": level,
            "map_low": level - 0.021,
            "map_high": level + 0.019,
            "gain": gain,
            "gain_low": gain - half,
            "gain_high": gain + half,
            "p": [None, 0.031, 0.0004, 0.11, 0.2, 0.51, 0.0002],
            "epochs_to_90": [17.0, 14.0, 12.3, 11.0, 15.0, 19.0, 22.5],
            "seconds": [12.4, 11.0, 9.8, 7.1, 10.2, 11.3, 12.5],
            "memory": [5.1e9, 4.8e9, 4.1e9, 2.7e9, 4.8e9, None, 5.1e9],
        }
    ).with_columns(pl.col("gain", "gain_low", "gain_high").fill_nan(None))
    columns = (
        Column("arm", "arm", "text"),
        Column("seeds", "seeds", "count"),
        Column("map", "mAP50-95", "percent", "map_low", "map_high", "Ultralytics' definition, best checkpoint."),
        Column("gain", "against baseline", "points", "gain_low", "gain_high", "Paired over images and seeds."),
        Column("p", "p", "p", source="Holm's correction over all arms."),
        Column("epochs_to_90", "epochs to 90 %", "number", source="Of the final mAP50, the mean of 5 epochs."),
        Column("seconds", "time an epoch", "seconds"),
        Column("memory", "GPU memory", "bytes"),
    )
    note = "Means over seeds; intervals hold 95 % of 1000 bootstrap draws of images and seeds."
    return Table("arms", "Arms", frame, columns, note=note)


def class_table(seed: int = 1) -> Table:
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame({"class": CLASSES, "boxes": [2113, 310, 95, 12]} | {
        arm: rng.uniform(0.1, 0.7, len(CLASSES)) for arm in ARMS
    })  # fmt: skip
    columns = (
        Column("class", "class", "text"),
        Column("boxes", "boxes", "count"),
        *(Column(arm, arm, "percent") for arm in ARMS),
    )
    return Table("classes", "AP50 by class", frame, columns, "classes", "COCO's definition.")


def curves(seed: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    epochs = np.arange(1, EPOCHS + 1)
    return {
        arm: (0.36 + 0.01 * index) * (1 - np.exp(-epochs / (6 + index))) + rng.normal(0, 0.006, EPOCHS)
        for index, arm in enumerate(ARMS)
    }


def curve_chart(section: Section = "curves", name: str = "learning") -> Chart:
    styles = arm_styles(ARMS)
    epochs = list(range(1, EPOCHS + 1))

    def still() -> Figure:
        with matplotlib.rc_context(STYLE):
            made, axes = figure()
            for arm, values in curves().items():
                look = styles[arm]
                axes.plot(epochs, values, color=look.colour, linestyle=look.linestyle, label=arm)
            axes.set(xlabel="epoch", ylabel="mAP50-95")
            made.legend(loc="outside upper left", ncols=4, frameon=False)
        return made

    def live() -> dict[str, Any]:
        data: list[dict[str, Any]] = []
        for arm, values in curves().items():
            look = styles[arm]
            rgb = ",".join(str(int(look.colour[at : at + 2], 16)) for at in (1, 3, 5))
            band = {"x": epochs + epochs[::-1], "y": [*(values + 0.012), *(values - 0.012)[::-1]]}
            data.append(
                band
                | {"type": "scatter", "mode": "lines", "fill": "toself", "fillcolor": f"rgba({rgb},0.1)"}
                | {"line": {"width": 0}, "hoverinfo": "skip", "meta": {"arm": arm}, "name": arm}
            )
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": epochs,
                    "y": values,
                    "name": arm,
                    "meta": {"arm": arm},
                    "line": {"color": look.colour, "dash": _DASHES[look.dash], "width": 2},
                    "hovertemplate": "epoch %{x}: %{y:.3f}",
                }
            )
        return {
            "data": data,
            "layout": {"xaxis": {"title": {"text": "epoch"}}, "yaxis": {"title": {"text": "mAP50-95"}}},
        }

    caption = (
        "mAP50-95 on the validation split while training, as Ultralytics defines it. Lines: mean over seeds. "
        "Bands: lowest to highest seed."
    )
    return Chart(name, section, "mAP50-95 by epoch", caption, still, live)


def error_chart() -> Chart:
    kinds = ("class", "location", "both", "duplicate", "background", "missed")
    values = np.random.default_rng(4).uniform(0.005, 0.12, (len(ARMS), len(kinds)))
    styles = arm_styles(ARMS)

    def still() -> Figure:
        with matplotlib.rc_context(STYLE):
            made, axes = figure()
            for index, arm in enumerate(ARMS):
                axes.bar(np.arange(len(kinds)) + index * 0.12, values[index], 0.11, color=styles[arm].colour, label=arm)
            axes.set_xticks(np.arange(len(kinds)) + 0.36, kinds)
            made.legend(loc="outside upper left", ncols=4, frameon=False)
        return made

    def live() -> dict[str, Any]:
        data = [
            {"type": "bar", "x": kinds, "y": values[index] * 100, "name": arm, "meta": {"arm": arm}}
            | {"marker": {"color": styles[arm].colour}}
            for index, arm in enumerate(ARMS)
        ]
        return {"data": data, "layout": {"yaxis": {"title": {"text": "points of AP50"}}, "barmode": "group"}}

    caption = "What AP50 would gain if every error of one kind were put right (TIDE, Bolya et al. 2020)."
    return Chart("errors", "errors", "Errors by kind", caption, still, live)


def gradient_chart() -> Chart:
    def still() -> Figure:
        with matplotlib.rc_context(STYLE):
            made, axes = figure(9, 4)
            values = np.random.default_rng(5).lognormal(0, 1, (24, EPOCHS))
            shown = axes.imshow(values, aspect="auto", cmap="viridis")
            made.colorbar(shown, ax=axes)
            axes.set(xlabel="epoch", ylabel="layer")
        return made

    return Chart("gradients", "gradients", "Gradient by layer and epoch", "L2 norm, mean over batches.", still)


@cache
def drawn_charts() -> tuple[Drawn, ...]:
    return tuple(map(draw, (curve_chart("answer", "answer"), curve_chart(), error_chart(), gradient_chart())))


def fake_page(**changes: Any) -> PageModel:
    content: dict[str, Any] = {
        "title": "freeze-depth",
        "headline": "Freezing the first six layers gains 2.1 points of mAP50-95 and saves a fifth of the time",
        "sentences": (
            "freeze_1_to_6 is better than the baseline by 2.1 points (0.9 to 3.3; p < 0.001 after Holm's correction), "
            "over 3 seeds and 811 validation images. freeze_1_to_3 may be better too: +1.3 (0.1 to 2.5).",
            "freeze_backbone is no worse than the baseline within 2.5 points, and takes 57 % of its time an epoch.",
        ),
        "arms": ARMS,
        "baseline": "baseline",
        "subtitle": "7 arms, 19 runs, 811 validation images, 24 November 2026",
        "notices": (
            Notice("info", "gradual has one seed: its interval says nothing of how seeds differ."),
            Notice("warning", "Two arms trained on other images than the baseline and are compared with no other."),
        ),
        "diagnoses": (
            Diagnosis(
                "baseline overfits from epoch 23",
                "\n".join(f"seed {seed}: validation loss rises by {seed + 5} %." for seed in range(6)),
                ("fewer epochs (25)", "freeze_1_to_6, which does not show it"),
            ),
            Diagnosis(
                "small objects are missed", "62 % of the missed boxes are below 32 x 32 pixels.", ("imgsz 1280",)
            ),
        ),
        "main": main_table(),
        "tables": (class_table(),),
        "charts": drawn_charts(),
        "methods": {
            "data": {"train": "2488 images", "validation": "811 images", "classes": list(CLASSES)},
            "hyperparameters": {"optimizer": "SGD", "lr0": 0.01, "momentum": 0.937, "amp": True, "freeze": None},
            "plans": {
                "two_stage": {"stages": [{"epochs": 10, "freeze": "0-2", "lr0": 0.005}, {"epochs": 30, "cos_lr": True}]}
            },
            "seeds": [0, 1, 2],
        },
        "provenance": {
            "frostline": "0.1.0",
            "command": "frostline report runs/depth",
            "runs": [f"runs/{n}" for n in range(19)],
        },
    }
    return PageModel(**content | changes)
