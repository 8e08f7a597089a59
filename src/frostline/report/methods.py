"""How a study was done, in enough detail to repeat it: data, settings, plans, seeds, versions, machines, audits."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from frostline import __version__
from frostline.analysis.evidence import Evidence
from frostline.analysis.inference import ONE_POINT
from frostline.analysis.runs import RunFolder

_ARGUMENTS = (
    "epochs", "imgsz", "batch", "nbs", "optimizer", "lr0", "lrf", "momentum", "weight_decay", "warmup_epochs", "cos_lr",
    "patience", "amp", "reference", "mosaic", "close_mosaic", "mixup", "scale", "translate", "degrees", "fliplr",
    "flipud", "hsv_h", "hsv_s", "hsv_v",
)  # fmt: skip

Methods = dict[str, Any]


def methods(evidence: Evidence) -> Methods:
    """Gather how the runs came about.

    Returns:
        Names and values for people, by group: a value is a text, a number, a list, or names and values again. A value
        that differs between runs is shown with the number of runs for each.
    """
    runs = [run for arm in evidence.arms for run in evidence.runs_of(arm)]
    groups: Methods = {
        "Data": _data(evidence, runs),
        "Model": {"model": _shared(run.value("model") or run.arguments.get("model") for run in runs)},
        "Hyperparameters": _settings(runs),
        "Arms": {arm: _plan(evidence.runs_of(arm)) for arm in evidence.arms},
        "Seeds": {arm: [run.seed for run in evidence.runs_of(arm)] for arm in evidence.arms},
        "Audits": _shared((run.text("audit") or "none: not a run of Frostline" for run in runs), always=True),
        "Machine": {
            "device": _shared(run.text("device") or run.arguments.get("device") for run in runs),
            **{
                name: _shared(run.value("versions", name) for run in runs)
                for name in ("ultralytics", "torch", "python")
            },
        },
        "Statistics": _statistics(evidence),
    }
    return {name: group for name, group in ((n, _known(g)) for n, g in groups.items()) if group}


def _data(evidence: Evidence, runs: list[RunFolder]) -> Methods:
    data: Methods = {"data.yaml": _shared(run.value("data") or run.arguments.get("data") for run in runs)}
    pixels = _shared(run.value("pixels", "kind") for run in runs)
    encoding = _shared(run.value("pixels", "encoding") for run in runs)
    if evidence.panels:
        panel = evidence.panels[0]
        boxes = next(iter(next(iter(panel.scorers.values())).values())).boxes
        counts = Counter(boxes.names[index] for index in boxes.truth_class.tolist())
        data |= {
            "validation images": len(panel.images),
            "objects": {name: counts.get(name, 0) for name in panel.classes},
            "evaluated with": {
                "confidence from": panel.settings.conf, "IoU of NMS": panel.settings.iou,
                "detections an image at most": panel.settings.max_det,
            },
        }  # fmt: skip
    return {**data, "pixels": pixels, "encoding": encoding}


def _settings(runs: list[RunFolder]) -> Methods:
    def value(run: RunFolder, name: str) -> Any:
        asked = run.value("settings", name)
        return run.arguments.get(name) if asked is None else asked

    computed = _shared(run.value("arithmetic", "precision") for run in runs)
    shown = {name: _shared(value(run, name) for run in runs) for name in _ARGUMENTS}
    # Of our runs Ultralytics' `amp` tells nothing: their mixed precision is not its own.
    return shown if computed is None else {**shown, "amp": None, "network computed in": computed}


def _plan(runs: tuple[RunFolder, ...]) -> str:
    plans = dict.fromkeys(_worded(run) for run in runs)
    return "; or ".join(plans)


def _worded(run: RunFolder) -> str:
    stages = run.value("plan", "stages")
    if not isinstance(stages, list):
        freeze = run.arguments.get("freeze")
        return "trains everything" if freeze in (None, 0, []) else f"freeze: {freeze} (Ultralytics)"
    told = []
    for stage in stages:
        if isinstance(stage, Mapping):
            keys = {key: value for key, value in stage.items() if key != "epochs"}
            what = ", ".join(f"{key}: {_flat(value)}" for key, value in keys.items()) or "trains everything"
            told.append(f"{stage.get('epochs')} epochs, {what}" if stage.get("epochs") else what)
    extra = [f"{key}: {run.value(key)}" for key in ("teacher", "pretrain") if run.value(key)]
    return "; then ".join(told) + ("; " + ", ".join(extra) if extra else "")


def _flat(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _statistics(evidence: Evidence) -> Methods:
    kind = {"percentile": "percentiles of the draws", "bca": "BCa (Efron, 1987)"}[evidence.method]
    return {
        "intervals": f"{100 * evidence.confidence:g} %, {kind}",
        "images": f"paired bootstrap over validation images, {evidence.draws:,} draws",
        "seeds": "Student's t over seeds, differences seed by seed where arms share them",
        "several arms": "p-values adjusted after Holm (1979) for the number of arms",
        "no difference": f"two one-sided tests at 5 %, margin {100 * ONE_POINT:g} point of mAP50-95 (Schuirmann, 1987)",
        "baseline": evidence.baseline or "none",
        "made with": f"Frostline {__version__}",
    }


def _shared(values: Iterable[Any], always: bool = False) -> Any:
    """Give the value that all runs have, or how many have which; None where no run has any."""
    told = ["" if value is None else str(value) for value in values]
    counts = Counter(told)
    if set(counts) <= {""}:
        return None
    if len(counts) == 1 and not always:
        return told[0]
    return {value or "not recorded": f"{count} run{'s' if count > 1 else ''}" for value, count in counts.items()}


def _known(group: Any) -> Any:
    if isinstance(group, Mapping):
        return {key: value for key, value in group.items() if value not in (None, "", [], {})}
    return group
