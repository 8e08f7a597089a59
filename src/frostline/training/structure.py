"""What a run's model is made of, for figures of layers: read from a checkpoint that the run left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from frostline.errors import InputError
from frostline.freezing import find_layers
from frostline.freezing.layers import Role, is_fixed, layer_roles
from frostline.training.checkpoints import open_checkpoint
from frostline.training.machine import hushed


@dataclass(frozen=True)
class Structure:
    """A model's layers in outline.

    Attributes:
        roles: of every layer.
        weighted: layers that have weights to train.
    """

    roles: tuple[Role, ...]
    weighted: frozenset[int]


def run_structure(folder: Path) -> Structure | None:
    """Read the structure from the first checkpoint of a run that opens; None where there is none.

    Args:
        folder: of the run; while it is going, the checkpoints of its stages are looked at too.
    """
    for pattern in ("weights/best.pt", "weights/last.pt", "stage*/weights/last.pt"):
        for file in sorted(folder.glob(pattern)):
            try:
                with hushed():
                    model = open_checkpoint(file)
                layers = find_layers(model)
                names = (name for name, _ in layers.named_parameters() if not is_fixed(name))
                return Structure(tuple(layer_roles(model)), frozenset(int(name.split(".", 1)[0]) for name in names))
            except InputError:  # the figure does without roles
                continue
    return None
