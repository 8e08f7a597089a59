"""placeholder"""
from __future__ import annotations
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recommendation:
    depth: int


def recommend(layers: Any, costs: Any, ranking: Any, gradients: Any) -> Recommendation:
    return Recommendation(0)
