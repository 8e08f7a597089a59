"""A stage in which what trains changes, or layers learn at rates of their own, on one trainer.

Ultralytics' scheduler and `results.csv` want a fixed number of parameter groups: one added later breaks LambdaLR. So
every layer has its groups from the start, and freezing empties them.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn, optim

from frostline.freezing import (
    Audit,
    Freeze,
    apply_freeze,
    check_saved,
    find_layers,
)
from frostline.freezing.bound import BoundStage
from frostline.freezing.frozen import EpochSignals
from frostline.freezing.gradients import norms_by_layer
from frostline.training.checkpoints import read_checkpoint, saved_tensors
from frostline.training.intervals import interval_of, merge_audits
from frostline.training.saving import trim_rows
from frostline.training.teacher import projectors_of, student_of
from frostline.training.trainer import StageTrainer

RATES = "rates.csv"
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


class ScheduledTrainer(StageTrainer):
    """Trains a stage whose plan says more than one fixed selector.

    At the start of every epoch the bound stage says what trains and at what rate. A layer that freezes loses its
    gradient, its optimizer state and its place in the optimizer, and its live weights go into the EMA; a layer that
    thaws starts with clean optimizer state, its rate rising from 0 over its first epoch.
    """

    bound: BoundStage
    lf: Callable[[int], float]
    members: list[list[nn.Parameter]]
    base_lr: list[float]

    def resolve(self) -> Freeze:
        """Bind the stage to the model, and return what is frozen where training starts."""
        known = self.job.progress if self.resume else None
        fresh = known.fresh if known is not None else self._fresh
        self.bound = BoundStage(self.detector, self.job.stage, fresh, self.job.freeze_fresh)
        self._thawing: frozenset[int] = frozenset()
        self._steps = 0
        return self.bound.freeze(0) if known is None else self.bound.freeze(self._saved_epoch(), known.signals)

    def _setup_train(self) -> None:
        super()._setup_train()
        assert self.watch is not None and self.freeze is not None
        if not self.progress.intervals:
            self.progress.fresh = sorted(self._fresh)
            self.progress.begin(self.freeze, self.watch.fingerprints, 0)

    def _saved_epoch(self) -> int:
        """Return the epoch (from 0) that the checkpoint to resume from was saved after."""
        return int(read_checkpoint(self.args.model, trust=True)["epoch"])  # looked through before it was resumed

    def build_optimizer(self, model: nn.Module, *args: Any, **kwargs: Any) -> optim.Optimizer:
        """Build Ultralytics' optimizer, then split its groups by layer."""
        assert self.freeze is not None
        apply_freeze(student_of(model), self.freeze)
        optimizer: optim.Optimizer = super(StageTrainer, self).build_optimizer(model, *args, **kwargs)
        fixed = set(self.freeze.fixed)
        layer_of = {
            id(p): int(name.split(".", 1)[0])
            for name, p in find_layers(student_of(model)).named_parameters()
            if name not in fixed
        }
        # The projectors of distillation come after the last layer: a place of their own, which never freezes.
        layer_of |= {id(p): self.bound.total for p in projectors_of(model).values()}
        groups: list[dict[str, Any]] = []
        self.members = []
        for group in optimizer.param_groups:
            options = {key: value for key, value in group.items() if key != "params"}
            for index in sorted({layer_of[id(p)] for p in group["params"] if id(p) in layer_of}):
                self.members.append([p for p in group["params"] if layer_of.get(id(p)) == index])
                groups.append({"params": [], **options, "layer": index})
        optimizer.param_groups[:] = groups
        self.base_lr = [float(group["lr"]) for group in groups]
        self._fill(optimizer)
        return optimizer

    def _fill(self, optimizer: optim.Optimizer) -> None:
        """Give the groups the parameters that train now, always in the same order."""
        for group, members in zip(optimizer.param_groups, self.members, strict=True):
            group["params"] = [p for p in members if p.requires_grad]

    def _setup_scheduler(self) -> None:
        super()._setup_scheduler()
        if self.bound.absolute:
            self.lf = lambda _epoch: 1.0  # the stage's own factors are the schedule
            self.scheduler = optim.lr_scheduler.LambdaLR(self.optimizer, lr_lambda=self.lf)

    def _load_checkpoint_state(self, ckpt: dict[str, Any]) -> None:
        """Load the optimizer's state into the groups that it was saved from."""
        saved = self.bound.freeze(int(ckpt["epoch"]), self.signals)
        apply_freeze(self.detector, saved)
        self._fill(self.optimizer)
        super()._load_checkpoint_state(ckpt)
        self.freeze = saved
        if self.watch is not None:  # a recovery from NaN in mid-run, not a resume
            self.progress.forget_after(int(ckpt["epoch"]) + 1)
            self.watch = self.watching(saved)
            self.watch.restore(self.progress.got_gradient, self.progress.fingerprints)

    @property
    def signals(self) -> list[EpochSignals]:
        """What was measured in the epochs before."""
        progress = getattr(self, "progress", None) or self.job.progress
        return progress.signals if progress is not None else []

    def _model_train(self) -> None:
        """Enter an epoch: freeze and thaw, set the rates, put frozen BatchNorms in eval."""
        if self.watch is not None:
            self._enter(self.epoch)
        super()._model_train()

    def _enter(self, epoch: int) -> None:
        assert self.watch is not None and self.freeze is not None
        model = self.detector
        self.progress.signals = self.agreed(self.progress.signals)  # only the first process measures them
        now = self.bound.freeze(epoch, self.signals)
        held, self._thawing, self._steps = set(self.freeze.selected_layers), frozenset(), 0
        if now != self.freeze:
            self._close_interval(epoch)
            apply_freeze(model, now)
            self._forget(set(self.freeze.trainable) ^ set(now.trainable))
            self._fill(self.optimizer)
            self.freeze = now
            self.wrap_anew()
            self._follow_ema()
            self.watch = self.watching(now)
            self.progress.begin(now, self.watch.fingerprints, epoch)
            self._thawing = frozenset(held - set(now.selected_layers))
            for decision in self.bound.decisions(epoch + 1, self.signals):
                if decision.epoch == epoch:
                    self.job.say(f"epoch {epoch + 1}: {self.progress.decide(decision)}")
        factors = self.bound.factors(epoch, self.signals)
        # Fresh tensors of a frozen layer stay trainable, so they need a rate: that of the layer with the highest. The
        # projectors of distillation, behind the last layer, learn at the same.
        self._factors = (*(factor or max(factors) for factor in factors), max(factors))
        for number, group in enumerate(self.optimizer.param_groups):
            group["initial_lr"] = self.base_lr[number] * self._factors[group["layer"]]
            self.scheduler.base_lrs[number] = group["initial_lr"]
            group["lr"] = group["initial_lr"] * self.lf(epoch)
        self._start = {name: p.detach().clone() for name, p in find_layers(model).named_parameters() if p.requires_grad}

    def _forget(self, changed: set[str]) -> None:
        """Drop the optimizer's state and the gradient of every tensor that freezes or thaws."""
        parameters = dict(find_layers(self.detector).named_parameters())
        for name in changed:
            self.optimizer.state.pop(parameters[name], None)
            parameters[name].grad = None

    def _follow_ema(self) -> None:
        """Copy the live values of everything frozen into the EMA, which the checkpoint is made of."""
        assert self.freeze is not None
        live, average = (dict(find_layers(student_of(m)).state_dict()) for m in (self.model, self.ema.ema))
        buffers = (f"{name}.{part}" for name in self.freeze.batchnorms for part in _BUFFERS)
        with torch.no_grad():
            for name in (*self.freeze.frozen, *buffers):
                if name in live:
                    average[name].copy_(live[name])

    def optimizer_step(self) -> None:
        """Step with the rates that warm-up and thawing call for, leaving the groups' own as they are."""
        kept = [group["lr"] for group in self.optimizer.param_groups]
        ramp = min((self._steps + 1) / self._steps_an_epoch(), 1.0)
        fallen = self._fallen()
        for number, group in enumerate(self.optimizer.param_groups):
            lr = self._warm(number, group) if group.get("param_group") == "bias" else group["lr"]
            group["lr"] = lr * fallen.get(group["layer"], 1.0) * (ramp if group["layer"] in self._thawing else 1.0)
        super().optimizer_step()
        self._steps += 1
        for group, lr in zip(self.optimizer.param_groups, kept, strict=True):
            group["lr"] = lr

    def _fallen(self) -> dict[int, float]:
        """Return what is left of each layer's rate at the epoch's start, where the schedule falls with every step."""
        if not self.bound.absolute:
            return {}
        start = self.bound.factors(self.epoch)
        now = self.bound.factors(self.epoch, gone=min(self._steps / self._steps_an_epoch(), 1.0))
        return {index: now[index] / start[index] for index in range(self.bound.total) if start[index] > 0}

    def _steps_an_epoch(self) -> int:
        return max(math.ceil(len(self.train_loader) / max(int(self.accumulate), 1)), 1)

    def _warm(self, number: int, group: dict[str, Any]) -> float:
        """Scale the warm-up of a bias group, which Ultralytics starts at `warmup_bias_lr` whatever the layer's rate."""
        target, first = group["initial_lr"] * self.lf(self.epoch), float(self.args.warmup_bias_lr)
        if first == target or not self.base_lr[number]:
            return float(group["lr"])
        share = (group["lr"] - first) / (target - first)  # of the way through warm-up
        return float(first * self._factors[group["layer"]] * (1 - share) + target * share)

    def validate(self) -> Any:
        """Validate an EMA that holds the frozen tensors exactly."""
        self._follow_ema()
        return super().validate()

    def save_metrics(self, metrics: dict[str, float]) -> None:
        """Write the epoch's rows; `results.csv` keeps one rate a kind of group, `rates.csv` has one a layer."""
        kinds: dict[str, float] = {}
        layers: dict[int, float] = {}
        for group in self.optimizer.param_groups:
            kind = str(group.get("param_group", "weight"))
            kinds[kind] = max(kinds.get(kind, 0.0), group["lr"])
            layers[group["layer"]] = max(layers.get(group["layer"], 0.0), group["lr"] if group["params"] else 0.0)
        shown = {key: value for key, value in metrics.items() if not key.startswith("lr/pg")}
        super().save_metrics(shown | {f"lr/pg{number}": value for number, value in enumerate(kinds.values())})
        with (self.save_dir / RATES).open("a", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            if stream.tell() == 0:
                writer.writerow(["epoch", *(f"layer_{index}" for index in range(self.bound.total))])
            writer.writerow(
                [self.epoch + 1, *(f"{layers[i]:.6g}" if i in layers else "" for i in range(self.bound.total))]
            )

    def observe_epoch(self, gradients: dict[int, float], weights: dict[int, float]) -> None:
        """Note what later epochs decide by, before the checkpoint is written."""
        now = dict(find_layers(self.detector).named_parameters())
        moved = norms_by_layer({name: now[name].detach() - start for name, start in self._start.items()})
        self.progress.observe(self.epoch, EpochSignals(gradients, weights, moved, float(self.lf(self.epoch))))
        self.progress.save(self.save_dir)  # before the checkpoint, which is never ahead of what led to it

    def resume_training(self, ckpt: dict[str, Any] | None) -> None:
        """Resume, and drop rates of epochs that were logged but not saved."""
        super().resume_training(ckpt)
        if self.resume and ckpt is not None:
            trim_rows(self.save_dir / RATES, self.start_epoch)

    def _close_interval(self, epoch: int) -> None:
        """Audit the epochs with one trainable set that end here."""
        assert self.watch is not None
        self.progress.got_gradient = sorted(self.watch.got_gradient)
        self.progress.close(self.watch.audit(self.optimizer), epoch)

    def audit(self) -> Audit:
        """Audit the last interval, and the checkpoint against the interval that it is from."""
        self._close_interval(self.epoch + 1)
        weights = self.best if self.best.exists() else self.last
        epoch = self.progress.best_epoch if self.best.exists() else self.epoch + 1
        audit = merge_audits(self.progress.intervals)
        if self.job.stage.adaptive is not None and not self.progress.decisions:
            audit.notes.append(
                "warning: no layer settled, so nothing was frozen at any time and the run is one without a schedule; "
                "raise percentile or lower patience"
            )
        held = interval_of(self.progress.intervals, int(epoch or self.epoch + 1))
        audit.checks.append(check_saved(held.fingerprints, saved_tensors(weights, trust=True)))
        self.progress.save(self.save_dir)
        return audit
