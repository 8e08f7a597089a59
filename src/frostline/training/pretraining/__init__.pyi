from .settings import Pretraining
from .start import PretrainError

__all__ = [
    "PretrainError",
    "Pretraining",
]
