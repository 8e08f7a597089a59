"""Many runs: arms times seeds, their state on disk, and who carries them out."""

from __future__ import annotations

from frostline.studies.ablation import ablation, parse_depths, parse_seeds
from frostline.studies.file import Arm, Hypothesis, StudyFile
from frostline.studies.study import PlannedRun, RunState, Study, StudyOutcome

__all__ = [
    "Arm",
    "Hypothesis",
    "PlannedRun",
    "RunState",
    "Study",
    "StudyFile",
    "StudyOutcome",
    "ablation",
    "parse_depths",
    "parse_seeds",
]
