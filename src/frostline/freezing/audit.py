"""The audit: proof that what was to stay frozen did, bit for bit, and that what was to train got gradients."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from frostline.freezing.frozen import Audit, AuditCheck, Freeze
from frostline.freezing.gradients import GradientNorms, norms_by_layer
from frostline.freezing.layers import find_layers
from frostline.freezing.selectors import layer_index


class FreezeWatch:
    """Watches one stage: copies frozen tensors at its start, collects gradient norms, and audits at its end.

    Args:
        model: the live model, with the freeze applied; see `find_layers`.
        freeze: what is frozen in it.
        beside: parameters by name that train beside the model, such as the projectors of distillation.
    """

    def __init__(self, model: Any, freeze: Freeze, beside: Mapping[str, nn.Parameter] | None = None) -> None:
        self.layers: nn.Sequential = find_layers(model)
        self.freeze = freeze
        self._parameters = dict(self.layers.named_parameters())
        self._beside = dict(beside or {})
        self._before = {name: self._parameters[name].detach().clone() for name in (*freeze.frozen, *freeze.fixed)}
        self._statistics = {
            f"{name}.{part}": buffer.detach().clone()
            for name in freeze.batchnorms
            for part, buffer in self.layers.get_submodule(name).named_buffers(recurse=False)
        }
        self._start = {name: fingerprint(tensor) for name, tensor in {**self._before, **self._statistics}.items()}
        self._trainable_start = {name: self._parameters[name].detach().clone() for name in freeze.trainable}
        self._gradients = GradientNorms(self._parameters)
        self._heard_before: frozenset[str] = frozenset()

    def observe_gradients(self, scale: float = 1.0) -> None:
        """Note which tensors have gradients and their norms; call it once before each optimizer step.

        Args:
            scale: what the loss was multiplied with (a gradient scaler's factor).
        """
        self._gradients.observe(scale)

    def epoch_gradient_norms(self) -> dict[int, float]:
        """Return the mean over this epoch's steps of each layer's gradient L2 norm, and start the next epoch.

        Layers without a trainable parameter are absent, and after an epoch without a step all are. A layer whose
        gradients were finite at no step has NaN.
        """
        return self._gradients.close_epoch(self.freeze.trainable_layers)

    def weight_norms(self) -> dict[int, float]:
        """Return the L2 norm of each layer's trainable tensors as they are now; layers without one are absent."""
        return norms_by_layer({name: self._parameters[name] for name in self.freeze.trainable})

    @property
    def got_gradient(self) -> frozenset[str]:
        """Tensors that had a finite gradient other than zero at some step."""
        return self._heard_before | self._gradients.heard

    @property
    def fingerprints(self) -> dict[str, str]:
        """Fingerprint of every frozen tensor and statistic at the start of the stage."""
        return dict(self._start)

    def restore(self, got_gradient: Iterable[str], fingerprints: Mapping[str, str]) -> None:
        """Take over from the process that an interruption ended: what had gradients, and what the stage started from.

        Args:
            got_gradient: its `got_gradient`.
            fingerprints: its `fingerprints`.
        """
        self._heard_before |= frozenset(got_gradient)
        self._start = dict(fingerprints)

    def audit(
        self,
        optimizer: torch.optim.Optimizer | None = None,
        checkpoint: Mapping[str, torch.Tensor] | None = None,
    ) -> Audit:
        """Ask every question.

        Args:
            optimizer: checked to hold the trainable parameters and nothing else.
            checkpoint: tensors of the saved model by name below the layer list, checked to hold the frozen values in
                half precision, as Ultralytics saves them.
        """
        audit = Audit()
        audit.checks += [self._unchanged(), self._statistics_unchanged(), self._flags(), self._trained(audit)]
        if self.freeze.trainable and not self._moved():
            # Gradients alone do not show it: every step may have had a rate of 0, in warm-up. After a resume close to
            # the end that is legitimate, so it is told and not failed.
            audit.notes.append(
                "warning: no trainable weight moved; too few optimizer steps or a rate of 0: train longer, or set nbs "
                "to the batch size, which steps on every batch"
            )
        if optimizer is not None:
            audit.checks.append(self._optimizer(optimizer))
        if checkpoint is not None:
            audit.checks.append(check_saved(self._start, checkpoint))
        return audit

    def _unchanged(self) -> AuditCheck:
        moved = [name for name, old in self._before.items() if not torch.equal(old, self._parameters[name].detach())]
        return _check("frozen weights are bitwise unchanged", moved, len(self._before), "tensors")

    def _statistics_unchanged(self) -> AuditCheck:
        buffers = dict(self.layers.named_buffers())
        moved = [name for name, old in self._statistics.items() if not torch.equal(old, buffers[name])]
        return _check("statistics of frozen BatchNorms are unchanged", moved, len(self._statistics), "buffers")

    def _flags(self) -> AuditCheck:
        frozen = set(self._before)
        wrong = [name for name, p in self._parameters.items() if p.requires_grad == (name in frozen)]
        wrong += sorted(self._gradients.seen & frozen)
        return _check(
            "requires_grad follows the plan and no frozen tensor had a gradient",
            wrong,
            len(self._parameters),
            "tensors",
        )

    def _moved(self) -> bool:
        start = self._trainable_start
        return any(not torch.equal(self._parameters[name].detach(), old) for name, old in start.items())

    def _trained(self, audit: Audit) -> AuditCheck:
        return check_trained(self.freeze, self.got_gradient, audit)

    def _optimizer(self, optimizer: torch.optim.Optimizer) -> AuditCheck:
        names = {id(p): name for name, p in {**self._parameters, **self._beside}.items()}
        held = {names.get(id(p), "a tensor of another model") for g in optimizer.param_groups for p in g["params"]}
        wrong = sorted(held ^ {*self.freeze.trainable, *self._beside})
        total, unit = len(self.freeze.trainable) + len(self._beside), "tensors"
        if self._beside:
            unit += f", {len(self._beside)} of them beside the model (projectors of distillation)"
        return _check("the optimizer holds the trainable tensors and no other", wrong, total, unit)


def fingerprint(tensor: torch.Tensor) -> str:
    """Return a SHA-256 of a tensor's values in half precision, the precision that Ultralytics saves.

    Rounding to half loses nothing twice, so a float32 tensor, its saved copy and the tensor loaded from that copy have
    the same fingerprint.
    """
    values = tensor.detach().to("cpu", torch.float16 if tensor.is_floating_point() else tensor.dtype).contiguous()
    return hashlib.sha256(values.numpy().tobytes()).hexdigest()


def check_saved(start: Mapping[str, str], checkpoint: Mapping[str, torch.Tensor]) -> AuditCheck:
    """Check that a saved model holds what was frozen when the stage began.

    Args:
        start: fingerprints by name below the layer list.
        checkpoint: tensors of the saved model by the same names.
    """
    wrong = [name for name, old in start.items() if name not in checkpoint or fingerprint(checkpoint[name]) != old]
    return _check("the checkpoint holds the values that were frozen at the start", wrong, len(start), "tensors")


def check_trained(freeze: Freeze, got_gradient: Iterable[str], audit: Audit) -> AuditCheck:
    """Check that every layer that was to train got gradients; note single tensors that never did in `audit`."""
    heard_names = set(got_gradient)
    silent = [name for name in freeze.trainable if name not in heard_names]
    heard = {layer_index(name) for name in heard_names}
    dead = [f"layer {index}" for index in freeze.trainable_layers if index not in heard]
    if silent and not dead:
        # A box branch of a level without positives has no gradient, and that is no fault of the freeze.
        audit.notes.append(f"{len(silent)} trainable tensors never had a gradient, such as {silent[0]}")
    return _check("every layer that was to train got gradients", dead, len(freeze.trainable_layers), "layers")


def _check(name: str, wrong: list[str], total: int, unit: str) -> AuditCheck:
    if not wrong:
        return AuditCheck(name, True, f"all {total} {unit}")
    shown = ", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")
    return AuditCheck(name, False, f"{len(wrong)} of {total} {unit} wrong: {shown}")
