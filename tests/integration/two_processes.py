"""Trainers that train in two processes without a GPU, as they do on two: what NCCL and CUDA do, gloo does here.

The processes that Ultralytics starts import this module, as they find the trainer's class in it.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import torch
from torch import distributed as dist
from torch import nn
from ultralytics.utils import LOCAL_RANK, RANK

from frostline.training.scheduled import ScheduledTrainer
from frostline.training.trainer import StageTrainer


class TwoProcesses:
    """What goes before a trainer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.world_size, self.ddp = 2, LOCAL_RANK == -1

    def optimizer_step(self) -> None:
        if os.environ.get("FROSTLINE_TEST_BREAK") and RANK == 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        super().optimizer_step()

    def _setup_ddp(self) -> None:
        self.device = torch.device("cpu")
        dist.init_process_group("gloo", rank=RANK, world_size=2)
        wrapper, reduce = nn.parallel.DistributedDataParallel, dist.reduce

        def wrapped(model: nn.Module, device_ids: Any = None, **kwargs: Any) -> nn.Module:
            return wrapper(model, **kwargs)

        def reduced(tensor: torch.Tensor, dst: int, op: Any) -> None:  # gloo has no average
            reduce(tensor, dst=dst, op=dist.ReduceOp.SUM if op == dist.ReduceOp.AVG else op)
            if op == dist.ReduceOp.AVG and dst == RANK:
                tensor /= 2

        nn.parallel.DistributedDataParallel, dist.reduce = wrapped, reduced


class TwoStage(TwoProcesses, StageTrainer):
    pass


class TwoScheduled(TwoProcesses, ScheduledTrainer):
    pass


if __name__ == "__main__":  # a run to be killed
    import two_processes
    from tiny import SETTINGS

    import frostline as fl
    from frostline.training import stage

    stage.StageTrainer = two_processes.TwoStage
    model, data, project = sys.argv[1:]
    plan = fl.FreezePlan.first(3)
    fl.train(model, data, plan, project=project, name="killed", device="cpu", **{**SETTINGS, "epochs": 15})
