"""Which layers train and when: the layer table, selectors, freeze plans, their application and its audit.

Pure torch. Everything here works on any model whose layers stand in one `nn.Sequential`, a detector of Ultralytics or
a toy of five layers alike.
"""

from __future__ import annotations

from frostline.freezing.apply import Freeze, apply_freeze, hold_batchnorms, put_batchnorms_in_eval, resolve_freeze
from frostline.freezing.audit import Audit, AuditCheck, FreezeWatch, check_saved, check_trained
from frostline.freezing.bound import BoundStage, Decision, EpochSignals
from frostline.freezing.layers import Layer, LayerTable, find_layers, layer_roles, layer_table
from frostline.freezing.plan import FreezePlan
from frostline.freezing.reference import (
    set_eval_for_frozen_layers,
    set_frozen_first_n_layers,
    set_trainable_first_n_layers,
    summarize_trainable_and_bn,
    trainable_and_bn,
)
from frostline.freezing.selectors import Selection, describe_indices, first, select
from frostline.freezing.stage import Stage

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
