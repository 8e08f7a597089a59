"""What a process holds for all code in it and a run takes for its own: random generators, and whether torch is
deterministic. Runs that take turns in one process each keep theirs."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

_FILLING: Any = torch.utils.deterministic
_FILLED = "fill_uninitialized_memory"
_VARIABLES = ("CUBLAS_WORKSPACE_CONFIG", "PYTHONHASHSEED")


@dataclass
class Generators:
    """The states of the generators that a training draws from.

    Attributes:
        python: of `random`.
        numpy: of NumPy's global generator.
        cpu: of torch's on the CPU.
        gpu: of torch's on the run's GPU, or None.
    """

    python: tuple[Any, ...]
    numpy: tuple[Any, ...]
    cpu: torch.Tensor
    gpu: torch.Tensor | None

    @classmethod
    def take(cls, device: str) -> Generators:
        """Copy the states as they are now.

        Args:
            device: `cpu`, `mps` or a GPU's number.
        """
        gpu = torch.cuda.get_rng_state(int(device)) if device.isdigit() else None
        numpy: Any = np.random.get_state()
        return cls(random.getstate(), numpy, torch.get_rng_state(), gpu)

    def put(self, device: str) -> None:
        """Make them the states of the process."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.cpu)
        if self.gpu is not None:
            torch.cuda.set_rng_state(self.gpu, int(device))

    def loads_like(self, other: Generators) -> bool:
        """Tell whether a loader would draw the same: Ultralytics' transforms draw from Python's and NumPy's."""
        return self.python == other.python and _same_numpy(self.numpy, other.numpy)

    def after(self, before: Generators, later: Generators) -> Generators:
        """Return these states, moved on as another run's were, where they were equal to those."""
        return Generators(
            later.python if self.python == before.python else self.python,
            later.numpy if _same_numpy(self.numpy, before.numpy) else self.numpy,
            later.cpu if torch.equal(self.cpu, before.cpu) else self.cpu,
            later.gpu if _same_gpu(self.gpu, before.gpu) else self.gpu,
        )


def _same_numpy(one: tuple[Any, ...], two: tuple[Any, ...]) -> bool:
    return one[0] == two[0] and one[2:] == two[2:] and bool(np.array_equal(one[1], two[1]))


def _same_gpu(one: torch.Tensor | None, two: torch.Tensor | None) -> bool:
    return one is not None and two is not None and torch.equal(one, two)


@dataclass
class ProcessState:
    """Generators, and what Ultralytics switches on while it trains and off when it is done.

    Attributes:
        generators: their states.
        deterministic: torch's algorithms must be, and only warn where they cannot.
        cudnn: the same of cuDNN.
        filled: torch fills memory that it has not written to.
        variables: of the environment, None where unset.
        threads: that torch computes with.
    """

    generators: Generators
    deterministic: tuple[bool, bool]
    cudnn: bool
    filled: bool
    variables: dict[str, str | None]
    threads: int

    @classmethod
    def take(cls, device: str) -> ProcessState:
        """Copy it as it is now."""
        return cls(
            Generators.take(device),
            (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
            torch.backends.cudnn.deterministic,
            bool(getattr(_FILLING, _FILLED)),
            {name: os.environ.get(name) for name in _VARIABLES},
            torch.get_num_threads(),
        )

    def put(self, device: str) -> None:
        """Make it the state of the process."""
        self.generators.put(device)
        torch.use_deterministic_algorithms(self.deterministic[0], warn_only=self.deterministic[1])
        torch.backends.cudnn.deterministic = self.cudnn
        setattr(_FILLING, _FILLED, self.filled)
        for name, value in self.variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if self.threads != torch.get_num_threads():
            torch.set_num_threads(self.threads)
