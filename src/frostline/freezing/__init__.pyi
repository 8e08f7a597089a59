from .apply import apply_freeze, hold_batchnorms, put_batchnorms_in_eval, resolve_freeze
from .audit import FreezeWatch, check_saved, check_trained
from .bound import BoundStage
from .frozen import Audit, AuditCheck, Decision, EpochSignals, Freeze
from .layers import Layer, LayerTable, find_layers, layer_roles, layer_table
from .plan import FreezePlan
from .reference import (
    set_eval_for_frozen_layers,
    set_frozen_first_n_layers,
    set_trainable_first_n_layers,
    summarize_trainable_and_bn,
    trainable_and_bn,
)
from .selecting import select
from .selectors import Selection, describe_indices, first
from .stage import Stage

__all__ = [
    "Audit",
    "AuditCheck",
    "BoundStage",
    "Decision",
    "EpochSignals",
    "Freeze",
    "FreezePlan",
    "FreezeWatch",
    "Layer",
    "LayerTable",
    "Selection",
    "Stage",
    "apply_freeze",
    "check_saved",
    "check_trained",
    "describe_indices",
    "find_layers",
    "first",
    "hold_batchnorms",
    "layer_roles",
    "layer_table",
    "put_batchnorms_in_eval",
    "resolve_freeze",
    "select",
    "set_eval_for_frozen_layers",
    "set_frozen_first_n_layers",
    "set_trainable_first_n_layers",
    "summarize_trainable_and_bn",
    "trainable_and_bn",
]
