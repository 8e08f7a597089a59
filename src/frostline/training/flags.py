"""A freeze in the words of Ultralytics' own `freeze=` argument."""

from __future__ import annotations

from torch import nn

from frostline.freezing import Freeze, find_layers


def ultralytics_freeze(model: nn.Module, freeze: Freeze) -> list[int | str]:
    """Write a freeze as Ultralytics' `freeze=` list: whole layers by index, parts of others by module path.

    A module that has both frozen and trainable tensors of its own cannot be written so and is left out.
    """
    layers = find_layers(model)
    frozen, free = set(freeze.frozen), set(freeze.trainable)
    whole = [index for index in freeze.selected_layers if not any(name.startswith(f"{index}.") for name in free)]
    entries: list[int | str] = list(whole)
    for name, module in layers.named_modules():
        own = [f"{name}.{part}" for part, _ in module.named_parameters(recurse=False)]
        if name and own and int(name.split(".", 1)[0]) not in whole and all(part in frozen for part in own):
            entries.append(name)
    return entries
