"""What is wrong with a study, found in its files: each finding with what to try and its entry in the documentation."""

from __future__ import annotations

from collections.abc import Callable

from frostline.analysis import Evidence
from frostline.report.diagnoses import complete, difference, frozen, learning, memory, stages, unequal
from frostline.report.diagnoses.facts import Facts
from frostline.report.diagnoses.model import ANCHORS, SEVERITIES, Diagnosis, Severity, merged

RULES: tuple[Callable[[Facts], list[Diagnosis]], ...] = (
    frozen.nothing_trainable,
    frozen.audits,
    frozen.batchnorms,
    frozen.random_weights,
    learning.diverged,
    memory.out_of_memory,
    complete.damaged_files,
    complete.left_out,
    stages.worse_stages,
    unequal.unequal_settings,
    unequal.lengths,
    unequal.machines,
    unequal.lockstep,
    unequal.automatic_optimizer,
    complete.seeds,
    complete.images,
    difference.no_difference,
    learning.still_rising,
)
"""Each looks for one group of faults and returns nothing where there is none."""


def diagnose(evidence: Evidence) -> list[Diagnosis]:
    """Find what a reader of the results must know.

    Args:
        evidence: what `gather` gives.

    Returns:
        Most serious first; what several runs have in common is one diagnosis.
    """
    facts = Facts.of(evidence)
    return merged(one for rule in RULES for one in rule(facts))


__all__ = ["ANCHORS", "RULES", "SEVERITIES", "Diagnosis", "Severity", "diagnose"]
