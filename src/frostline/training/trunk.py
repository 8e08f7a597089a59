"""The frozen layers that several models have in common, computed once for a batch that all of them see.

A layer is known by a digest of what it computes: its tensors, its shape and every layer before it. Models that share
the digest share the output. So models frozen to different depths share what the shallowest has, and deeper ones go on
from where a shallower one ended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import nn


class Trunk:
    """The outputs of frozen layers for the batch that was computed last.

    An output is handed out for the very pixels that it was computed from (they are compared) and only while nothing
    has written to it since.
    """

    def __init__(self) -> None:
        self._ends: dict[object, str] = {}
        self._images: torch.Tensor | None = None
        self._outputs: dict[str, tuple[torch.Tensor, int]] = {}
        self.handed_on = 0

    def follow(self, model: object, keys: Sequence[str]) -> None:
        """Know where the frozen layers of a model end; no keys where it has none."""
        self._ends.pop(model, None)
        if keys:
            self._ends[model] = keys[-1]

    def clear(self) -> None:
        """Let the outputs go: the batch is done."""
        self._images, self._outputs = None, {}

    def start(
        self, keys: Sequence[str], saved: Collection[int], images: torch.Tensor
    ) -> tuple[torch.Tensor, list[Any]]:
        """Return how far a forward is already: the last output known, and the outputs to keep of the layers so far.

        Args:
            keys: of the leading frozen layers of a model.
            saved: layers whose output later ones ask for.
            images: (N, C, H, W) what the first layer gets.

        Returns:
            The images and no outputs where nothing is known yet.
        """
        if self._images is None or self._images.shape != images.shape or not torch.equal(self._images, images):
            self._images, self._outputs = images, {}
            return images, []
        for end in range(len(keys) - 1, -1, -1):
            last = self._unchanged(keys[end])
            if last is None:
                continue
            kept = [self._unchanged(keys[index]) if index in saved else None for index in range(end + 1)]
            if all(kept[index] is not None for index in range(end + 1) if index in saved):
                self.handed_on += end + 1
                return last, kept
        return images, []

    def keep(self, key: str, saved: bool, output: Any) -> None:
        """Keep the output of a layer where a model ends with it, or a later layer asks for it."""
        if isinstance(output, torch.Tensor) and (saved or key in self._ends.values()):
            self._outputs[key] = output, output._version

    def _unchanged(self, key: str) -> torch.Tensor | None:
        output, version = self._outputs.get(key, (None, 0))
        return output if output is not None and output._version == version else None


def layer_keys(layers: Sequence[nn.Module], how: str) -> tuple[str, ...]:
    """Return a digest for each of the leading layers of a model: of it and of all before it.

    They end before a layer that draws random numbers.

    Args:
        layers: frozen, with Ultralytics' `f`, where they take their input from.
        how: everything else that the numbers depend on, in words.
    """
    keys: list[str] = []
    digest = hashlib.sha256(how.encode())
    for layer in layers:
        if any(isinstance(part, nn.modules.dropout._DropoutNd) and part.p > 0 for part in layer.modules()):
            break
        digest.update(f"{layer!r} {layer.f}".encode())
        for name, tensor in layer.state_dict().items():
            plain = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(plain.numpy().tobytes())
        keys.append(digest.hexdigest())
    return tuple(keys)
