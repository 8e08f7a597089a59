"""Is there enough to compare: runs, seeds, images, objects, files that can be read?"""

from __future__ import annotations

import numpy as np

from frostline.analysis.inference import CHECKED_IMAGES, FEW_SEEDS
from frostline.analysis.panels import PREDICTIONS
from frostline.analysis.predictions import read_predictions
from frostline.errors import InputError
from frostline.report.diagnoses.facts import Facts, RunFacts
from frostline.report.diagnoses.model import Diagnosis, listed

FEW_OBJECTS = 20
"""Validation objects of a class below which one object more or less found moves its recall by over five points."""


def damaged_files(facts: Facts) -> list[Diagnosis]:
    """Find files that cannot be read: cut off, or something else than their name says."""
    in_panel = {id(run) for panel in facts.evidence.panels for runs in panel.runs.values() for run in runs.values()}
    found = []
    for one in facts.runs:
        faults = list(one.faults)
        path = one.run.path / PREDICTIONS
        if id(one.run) not in in_panel and path.is_file():
            try:
                read_predictions(path)
            except InputError as error:
                faults.append(str(error))
        for fault in faults:
            again = ("frostline evaluate makes it again from the checkpoint",) if PREDICTIONS in fault else ()
            found.append(
                one.says(
                    "damaged-file",
                    "error",
                    "A file cannot be read",
                    fault,
                    *again,
                    "look for a full disk or a killed copy; copy the run again, or run it again",
                )
            )
    return found


def left_out(facts: Facts) -> list[Diagnosis]:
    """List the runs that take no part in the statistics, with the reason."""
    broken = {label for one in damaged_files(facts) for label in one.runs}
    by_run = {id(one.run): one for one in facts.runs}
    found = []
    for one in facts.evidence.left_out:
        facts_of_run = by_run[id(one.run)]
        if facts_of_run.label in broken:
            continue
        if not facts_of_run.counts:
            found.append(_unfinished(facts_of_run, one.reason))
        else:
            found.append(
                facts_of_run.says(
                    "left-out",
                    "warning",
                    "Left out of the statistics",
                    one.reason,
                    "runs are compared that were validated on the same images with the same classes and settings",
                )
            )
    return found


def seeds(facts: Facts) -> list[Diagnosis]:
    """Find arms with fewer seeds than others, and too few seeds to tell."""
    counts = {arm: len(facts.of_arm(arm)) for arm in facts.evidence.arms}
    if not counts:
        return []
    most, found = max(counts.values()), []
    for arm, count in counts.items():
        if count < most:
            found.append(
                Diagnosis(
                    "fewer-seeds",
                    "warning",
                    "Fewer seeds than other arms",
                    f"{count} where others have {most}",
                    ("run the missing seeds: frostline study run does only what is left",),
                    (arm,),
                )
            )
    if most < FEW_SEEDS:
        why = (
            "one seed: intervals are for these very weights, and another seed may fall outside"
            if most == 1
            else f"{most} seeds: intervals take Student's t with one degree of freedom and are very wide"
        )
        found.append(Diagnosis("few-seeds", "warning", "Too few seeds", why, (f"{FEW_SEEDS} seeds an arm, better 5",)))
    return found


def images(facts: Facts) -> list[Diagnosis]:
    """Find too few validation images, arms with other ones, and classes with too few objects."""
    panels, found = facts.evidence.panels, []
    for panel in panels:
        arms = tuple(panel.runs) if len(panels) > 1 else ()
        if len(panel.images) < CHECKED_IMAGES:
            found.append(
                Diagnosis(
                    "few-images",
                    "warning",
                    "Too few validation images",
                    f"{len(panel.images)} images; intervals were checked with {CHECKED_IMAGES}, and with 50 and 5 "
                    "seeds those of an arm held the truth in 91 % of the studies only",
                    (
                        f"validate on {CHECKED_IMAGES} images or more: frostline data split gives val a larger share",
                        "trust intervals of differences more than those of single arms: they held with 50 images too",
                    ),
                    arms,
                )
            )
        boxes = next(iter(next(iter(panel.scorers.values())).values())).boxes
        objects = np.bincount(boxes.truth_class, minlength=len(boxes.names))
        rare = [f"{name} {count}" for name, count in zip(boxes.names, objects, strict=True) if count < FEW_OBJECTS]
        if rare:
            found.append(
                Diagnosis(
                    "rare-classes",
                    "note",
                    "Classes with few validation objects",
                    f"{listed(rare, 6)}; below {FEW_OBJECTS}, one object moves the recall of its class by over "
                    f"{100 // FEW_OBJECTS} points, and each class weighs the same in mAP",
                    ("do not compare arms by the AP of these classes", "frostline data split --stratify spreads them"),
                    arms,
                )
            )
    if len(panels) > 1:
        found.append(_other_images(facts))
    return found


def _other_images(facts: Facts) -> Diagnosis:
    first, *others = facts.evidence.panels
    parts = []
    for panel in others:
        common = len({name.rpartition(".")[0] for name in first.images} & {n.rpartition(".")[0] for n in panel.images})
        what = f"{len(panel.images)} images, of which {common} are among the {len(first.images)} of the others"
        if panel.classes != first.classes:
            what += f", and the classes {listed(panel.classes)} instead of {listed(first.classes)}"
        elif common == len(panel.images) == len(first.images):
            what = f"the same {common} images with another ground truth or other settings of the evaluation"
        parts.append(f"{listed(list(panel.runs))}: {what}")
    return Diagnosis(
        "other-images",
        "warning",
        "Arms have different validation sets",
        "\n".join(parts),
        (
            "validate all arms on one split: frostline evaluate measures a finished run again",
            "until then there is no difference between these arms that means anything, and none is given",
        ),
        tuple(arm for panel in others for arm in panel.runs),
    )


def _unfinished(one: RunFacts, reason: str) -> Diagnosis:
    failed = one.record.get("status") == "failed"
    return one.says(
        "unfinished",
        "error" if failed else "warning",
        "Failed" if failed else "Not finished",
        reason,
        "frostline study run, or the same frostline train again: it does what is left",
        *(["--include-unfinished counts it as it is"] if not failed else []),
    )
