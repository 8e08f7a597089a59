from .checkpoints import Transfer, layers, locate_model, open_checkpoint, open_model
from .executing import execute
from .machine import choose_device, describe_device
from .predict_outputs import ImageDetections, Predictions
from .predicting import predict
from .preparing import CheckedData, Prepared, check_data, prepare
from .record import AuditError, Observer, Run
from .run import train
from .settings import DEFAULTS, PRESETS, parse_pairs, resolve_settings
from .spec import RunSpec, plan_name
from .two_runs import train_two_runs

__all__ = [
    "DEFAULTS",
    "PRESETS",
    "AuditError",
    "CheckedData",
    "ImageDetections",
    "Observer",
    "Predictions",
    "Prepared",
    "Run",
    "RunSpec",
    "Transfer",
    "check_data",
    "choose_device",
    "describe_device",
    "execute",
    "layers",
    "locate_model",
    "open_checkpoint",
    "open_model",
    "parse_pairs",
    "plan_name",
    "predict",
    "prepare",
    "resolve_settings",
    "train",
    "train_two_runs",
]
