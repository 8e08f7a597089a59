"""What a pretraining is asked to do, as a study file says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from frostline.errors import InputError, did_you_mean, first_problem, shown

METHODS = ("simclr", "distillation")
_PATHS = ("images", "teacher_weights", "data")


class Pretraining(BaseModel):
    """Settings of a pretraining; everything here decides its result.

    Attributes:
        method: `simclr` (Chen et al., 2020) or `distillation` from a vision foundation model.
        images: folder of images without labels, searched with its sub-folders.
        epochs: over all images.
        imgsz: side of the square crops, pixels.
        batch: images a step; contrastive learning compares each with all others of its batch.
        seed: of the random weights of a model YAML, of crops and of the order of images.
        lr: learning rate for lightly-train's reference batch; None takes the method's own.
        teacher: for `distillation`, lightly-train's name of it, such as `dinov3/vits16`; None takes lightly-train's.
        teacher_weights: its weights as a file (a state dict); None lets lightly-train download them.
        data: data.yaml whose `pixels:` says what images of more than 8 bits mean; None takes the run's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str = "simclr"
    images: str
    epochs: int = Field(default=100, ge=1)
    imgsz: int = Field(default=224, ge=32)
    batch: int = Field(default=64, ge=2)
    seed: int = Field(default=0, ge=0)
    lr: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    teacher: str | None = None
    teacher_weights: str | None = None
    data: str | None = None

    @field_validator("method")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in METHODS:
            raise ValueError(f"no method '{value}'{did_you_mean(value, METHODS)}; there are {' and '.join(METHODS)}")
        return value

    @field_validator("images", *_PATHS[1:], mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, Path) else value

    @field_validator("epochs", "imgsz", "batch", "seed", mode="before")
    @classmethod
    def _whole(cls, value: Any) -> Any:
        if type(value) is not int:  # pydantic would take true for 1 and "3" for 3
            raise ValueError(f"expected a whole number, got {shown(value)}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Pretraining:
        if self.method != "distillation" and (self.teacher or self.teacher_weights):
            raise ValueError(f"a teacher is for method: distillation, and the method is {self.method}")
        if self.teacher_weights is not None and self.teacher is None:
            raise ValueError("teacher_weights need a teacher: what model they are of, such as dinov3/vits16")
        return self

    @classmethod
    def parse(cls, value: Any, where: str, base: Path | None = None) -> Pretraining:
        """Read settings from plain data; relative paths are tried beside the file first.

        Args:
            value: the keys of the attributes.
            where: named in error messages.
            base: folder that relative paths are tried in first, before the working folder.

        Raises:
            InputError: an unknown key or a wrong value.
        """
        if not isinstance(value, dict):
            raise InputError(f"{where}: expected settings such as {{method: simclr, images: DIR, epochs: 100}}")
        known = list(cls.model_fields)
        for key in value:
            if key not in known:
                raise InputError(f"{where}: unknown key '{key}'{did_you_mean(str(key), known)}")
        fields = dict(value)
        for key in _PATHS:
            if isinstance(fields.get(key), str):
                fields[key] = _resolved(fields[key], base)
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise InputError(f"{where}: {first_problem(error)}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain data, without those that are unset."""
        return self.model_dump(mode="json", exclude_none=True)

    def describe(self) -> str:
        """Say in words what it is: `simclr, 100 epochs at 224 px, batch 64`."""
        teacher = f" from {self.teacher}" if self.teacher else ""
        epochs = f"{self.epochs} epoch{'s' * (self.epochs != 1)}"
        return f"{self.method}{teacher}, {epochs} at {self.imgsz} px, batch {self.batch}"


def _resolved(path: str, base: Path | None) -> str:
    for candidate in ([base / path] if base is not None else []) + [Path(path)]:
        if candidate.exists():
            return str(candidate.resolve())
    return path
