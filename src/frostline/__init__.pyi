from . import analysis, datasets, freezing, imaging, probing, report, studies, training
from .analysis import compare
from .errors import InputError
from .freezing import (
    FreezePlan,
    LayerTable,
    Stage,
    set_eval_for_frozen_layers,
    set_frozen_first_n_layers,
    set_trainable_first_n_layers,
    summarize_trainable_and_bn,
)
from .probing import probe
from .report import Report
from .studies import Study
from .training import Run, layers, predict, train
from .training.evaluating import evaluate
from .training.pretraining.run import pretrain

__version__: str

__all__ = [
    "FreezePlan",
    "InputError",
    "LayerTable",
    "Report",
    "Run",
    "Stage",
    "Study",
    "analysis",
    "compare",
    "datasets",
    "evaluate",
    "freezing",
    "imaging",
    "layers",
    "predict",
    "pretrain",
    "probe",
    "probing",
    "report",
    "set_eval_for_frozen_layers",
    "set_frozen_first_n_layers",
    "set_trainable_first_n_layers",
    "studies",
    "summarize_trainable_and_bn",
    "train",
    "training",
]
