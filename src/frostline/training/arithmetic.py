"""How a run computes: its precision and memory layout, found from the device and not assumed.

Which levers there are, what each does to a result and what it gains is told in docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from frostline.errors import InputError

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Arithmetic:
    """The arithmetic of one run on one device.

    Attributes:
        precision: `fp32`, `bf16` or `fp16` for the network in training; everything else is float32.
        why: what the precision was chosen by, in words.
        channels_last: keep tensors in the order N, H, W, C.
        float32_first: compute the first layer in float32, since images have more bits than the precision.
        no_grad_prefix: run leading layers that are frozen whole without autograd.
        fold_frozen: fold convolution and BatchNorm of those layers into one.
        fused_validation: validate a copy of the EMA whose convolutions and BatchNorms are folded.
    """

    precision: str = "fp32"
    why: str = "asked for"
    channels_last: bool = False
    float32_first: bool = False
    no_grad_prefix: bool = False
    fold_frozen: bool = False
    fused_validation: bool = False

    @property
    def dtype(self) -> torch.dtype | None:
        """What the network is autocast to; None for float32."""
        return DTYPES.get(self.precision)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for `run.json`."""
        return asdict(self)


def choose_arithmetic(settings: Mapping[str, Any], device: str, *, deep: bool, teacher: bool) -> Arithmetic:
    """Work out how a run computes.

    Args:
        settings: resolved training arguments, with those of `LEVERS`.
        device: `cpu`, `mps` or a GPU's number.
        deep: the images have more than 8 bits.
        teacher: the run distils from a teacher, whose features are compared in float32.

    Raises:
        InputError: a precision that the device, or distillation, does not have.
    """
    asked = str(settings.get("precision", "fp32"))
    precision, why = _precision(asked, device, teacher)
    return Arithmetic(
        precision=precision,
        why=why,
        # Ultralytics does it on CUDA by itself; on MPS it computes wrong numbers.
        channels_last=bool(settings.get("channels_last")) and device == "cpu",
        float32_first=deep and precision != "fp32",
        no_grad_prefix=bool(settings.get("no_grad_prefix") or settings.get("cache_features")),
        fold_frozen=bool(settings.get("fold_frozen")) and not teacher,  # its hooks listen to the layers themselves
        fused_validation=bool(settings.get("fused_validation")) and not teacher,
    )


def _precision(asked: str, device: str, teacher: bool) -> tuple[str, str]:
    if asked == "fp32":
        return asked, "asked for"
    if teacher or device == "mps":
        reason = "a teacher's features are compared in float32" if teacher else "the only one on mps"
        if asked != "auto":
            raise InputError(f"precision {asked}: cannot be had here: {reason}; leave precision out")
        return "fp32", reason
    return _on_processor(asked) if device == "cpu" else _on_gpu(asked)


def _on_processor(asked: str) -> tuple[str, str]:
    if asked == "fp16":
        raise InputError("precision fp16: processors compute no convolutions in it; use bf16 or fp32")
    found = bf16_instructions()
    if asked == "bf16":
        return asked, f"asked for; {found}" if found else "asked for; emulated, since the processor lacks it"
    return ("bf16", found) if found else ("fp32", "the processor has no instructions for bf16")


def _on_gpu(asked: str) -> tuple[str, str]:
    if asked == "bf16":
        if not torch.cuda.is_bf16_supported(including_emulation=False):
            raise InputError("precision bf16: this GPU does not compute in it; use fp16 or fp32")
        return asked, "asked for"
    return "fp16", "asked for" if asked == "fp16" else "as Ultralytics does on a GPU"


def bf16_instructions() -> str | None:
    """Name the instructions with which this processor multiplies in bfloat16; None where it has none."""
    try:
        flags = next(
            line.split(":", 1)[1].split()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("flags")
        )
    except (OSError, StopIteration):
        return None
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # it is oneDNN that uses them
        return None
    return next((name for name in ("amx_bf16", "avx512_bf16") if name in flags), None)


@contextmanager
def filling_memory(wanted: bool) -> Iterator[None]:
    """Let torch fill new tensors before anything is written to them, or not, while the block runs.

    It does so where algorithms must be deterministic, as Ultralytics asks for, so that reading what nobody has written
    shows. Nothing here reads that, and so nothing changes but the time.
    Source: PyTorch documentation, `torch.utils.deterministic.fill_uninitialized_memory`.
    """
    flags: Any = torch.utils.deterministic
    before = flags.fill_uninitialized_memory
    flags.fill_uninitialized_memory = wanted
    try:
        yield
    finally:
        flags.fill_uninitialized_memory = before
