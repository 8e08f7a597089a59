from .ablating import ablation, parse_depths, parse_seeds
from .carrying import StudyOutcome
from .file import Arm, Hypothesis, StudyFile
from .planned import PlannedRun
from .standing import RunState
from .study import Study

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
