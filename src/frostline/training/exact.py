"""Resuming to the bit: a side file in full precision, and epochs whose randomness depends on nothing before them.

A checkpoint holds the EMA in half precision and no random state, so a run that is resumed from it is another run from
there on. With `exact_resume`, everything that an epoch starts from is kept beside the checkpoint, and every epoch seeds
its generators and starts its loader anew. A killed and resumed run then ends with the weights of an uninterrupted one.
"""

from __future__ import annotations

import pickle
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ultralytics.utils.torch_utils import unwrap_model

from frostline.errors import InputError
from frostline.files import written_beside
from frostline.training.saving import side_file

if TYPE_CHECKING:
    from frostline.training.trainer import StageTrainer

_NEVER = 1 << 30
_TEACHER = "teacher_model."  # it does not change, and its own checkpoint has it


class ExactResume:
    """What makes one trainer's epochs repeatable.

    Attributes:
        last_step: the batch, counted over all epochs, after which the optimizer stepped last; -1 before the first.
    """

    def __init__(self) -> None:
        self.last_step = -1
        self._batch = 0
        self._leftover: dict[str, torch.Tensor] = {}
        self._stepped = False
        self._due = 1

    def enter(self, trainer: StageTrainer) -> None:
        """Start an epoch: seed every generator by the run's seed and the epoch, and begin the loader anew.

        The buffer that mosaic draws its other images from starts empty, as a loader process starts with an empty one.
        """
        seed = int(np.random.SeedSequence([int(trainer.args.seed), trainer.epoch]).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        loader = trainer.train_loader
        loader.generator.manual_seed(seed)
        loader.reset()
        dataset = loader.dataset
        if dataset.cache != "ram":
            for index in dataset.buffer:
                dataset.ims[index] = dataset.im_hw0[index] = dataset.im_hw[index] = None
        dataset.buffer = []
        self._batch = trainer.epoch * len(loader) - 1
        # Gradients gathered at the end of the epoch before count in the next step; training begins by dropping them.
        for name, parameter in unwrap_model(trainer.model).named_parameters():
            if name in self._leftover:
                parameter.grad = self._leftover[name].to(parameter.device)
        self._leftover = {}

    def next_batch(self, trainer: StageTrainer) -> None:
        """Count a batch, and hold the next step back to where it would have been without an interruption.

        Ultralytics forgets when it stepped last and would step on the first batch after a resume.
        """
        self._batch += 1
        if trainer.start_epoch > 0 and not self._stepped:
            if trainer.accumulate != _NEVER:  # warm-up sets it anew in every batch
                self._due = int(trainer.accumulate)
            trainer.accumulate = self._due if self._batch - self.last_step >= self._due else _NEVER

    def stepped(self) -> None:
        """Note a step of the optimizer."""
        self.last_step, self._stepped = self._batch, True

    def save(self, trainer: StageTrainer) -> None:
        """Write what the next epoch starts from, before the checkpoint, which is never ahead of it."""
        model = unwrap_model(trainer.model)
        state = {
            "model": {key: value for key, value in model.state_dict().items() if not key.startswith(_TEACHER)},
            "ema": trainer.ema.ema.state_dict(),
            "updates": int(trainer.ema.updates),
            "optimizer": trainer.optimizer.state_dict(),
            "scaler": trainer.scaler.state_dict(),
            "gradients": {name: p.grad for name, p in model.named_parameters() if p.grad is not None},
            "last_step": self.last_step,
        }
        with written_beside(side_file(trainer.wdir, trainer.epoch)) as beside:
            torch.save(state, beside)

    def restore(self, trainer: StageTrainer, epoch: int) -> None:
        """Put back what was saved after an epoch (from 0), in place of what the checkpoint has in half precision.

        Raises:
            InputError: no side file of that epoch.
        """
        path = side_file(trainer.wdir, epoch)
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
            raise InputError(
                f"{path}: missing or unreadable, so this run cannot be resumed exactly; start it under another name"
            ) from error
        model = unwrap_model(trainer.model)
        teacher = {key: value for key, value in model.state_dict().items() if key.startswith(_TEACHER)}
        model.load_state_dict({**state["model"], **teacher})
        trainer.ema.ema.load_state_dict(state["ema"])
        trainer.ema.updates = state["updates"]
        trainer.optimizer.load_state_dict(state["optimizer"])
        trainer.scaler.load_state_dict(state["scaler"])
        self._leftover, self.last_step = state["gradients"], int(state["last_step"])
