"""Many runs: arms times seeds, their state on disk, and who carries them out."""

from __future__ import annotations

from frostline.studies.ablation import ablation, parse_depths, parse_seeds
from frostline.studies.carrying import StudyOutcome
from frostline.studies.file import Arm, Hypothesis, StudyFile
from frostline.studies.planned import PlannedRun
from frostline.studies.standing import RunState
from frostline.studies.study import Study

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
