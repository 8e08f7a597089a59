"""A stage of a freeze plan: what is frozen for a stretch of epochs, and at what rates the rest learns."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from frostline.errors import shown
from frostline.freezing.schedules import Adaptive, FreezeOut, Rates, Unfreeze
from frostline.freezing.selectors import check_syntax

COUNTS = {"freeze_first": "freeze", "train_first": "train_only"}
"""Keys that count leading layers, and the selector that each stands for."""


class Model(BaseModel):
    """Data that knows its keys and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Stage(Model):
    """A stretch of epochs with one selector and one learning-rate setting.

    `freeze_first: 3` is read as `freeze: 0-2`, and `train_first: 3` as `train_only: 0-2`.

    Attributes:
        epochs: length; None (a single stage) takes the run's.
        freeze: selector of what is frozen. Give this or `train_only`.
        train_only: selector of what trains; the rest is frozen.
        lr0: first learning rate; None takes the run's.
        lrf: last learning rate as a fraction of `lr0`; None takes the run's.
        cos_lr: cosine schedule rather than linear; None takes the run's.
        warmup_epochs: None takes the run's.
        unfreeze: thaw what is frozen piece by piece; see `Unfreeze`.
        freezeout: freeze layers one after the other as their rates reach 0; see `FreezeOut`.
        adaptive: freeze layers once they have settled; see `Adaptive`.
        rates: a learning rate for each layer; see `Rates`.
    """

    epochs: Annotated[int, Field(gt=0)] | None = None
    freeze: str | None = None
    train_only: str | None = None
    lr0: Annotated[float, Field(gt=0)] | None = None
    lrf: Annotated[float, Field(gt=0, le=1)] | None = None
    cos_lr: bool | None = None
    warmup_epochs: Annotated[float, Field(ge=0)] | None = None
    unfreeze: Unfreeze | None = None
    freezeout: FreezeOut | None = None
    adaptive: Adaptive | None = None
    rates: Rates | None = None

    @model_validator(mode="before")
    @classmethod
    def _counted(cls, value: Any) -> Any:
        return resolve_counts(value) if isinstance(value, dict) else value

    @field_validator("rates", mode="before")
    @classmethod
    def _short_rates(cls, value: Any) -> Any:
        return Rates.read(value)

    @field_validator("freeze", "train_only", mode="before")
    @classmethod
    def _selector(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            span = f"0-{value - 1}" if value else "none"
            raise ValueError(
                f"{value} could mean layer {value} or the first {value}: write '{value}' in quotes or {span}"
            )
        if isinstance(value, list):
            value = ",".join(str(item) for item in value)
        if isinstance(value, str):
            check_syntax(value)
        return value

    @model_validator(mode="after")
    def _one_selector(self) -> Stage:
        if self.freeze is not None and self.train_only is not None:
            raise ValueError("give freeze or train_only, not both")
        if self.train_only == "none":
            raise ValueError("train_only: none leaves nothing trainable")
        return self

    @property
    def selector(self) -> str:
        """The stage in words: `freeze 0-2`, `train only 0-5`, `freeze none`."""
        return f"train only {self.train_only}" if self.train_only is not None else f"freeze {self.freeze or 'none'}"

    @model_validator(mode="after")
    def _one_schedule(self) -> Stage:
        given = [name for name in ("unfreeze", "freezeout", "adaptive") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of {' and '.join(given)}: each decides alone what freezes when")
        if self.unfreeze is not None and not self.selects:
            raise ValueError("unfreeze needs something to thaw: say what is frozen first, such as freeze: backbone")
        if self.freezeout is not None and (self.cos_lr is not None or self.lrf is not None):
            raise ValueError("freezeout has learning rates of its own; leave out cos_lr and lrf")
        return self

    @property
    def scheduled(self) -> bool:
        """Whether what trains changes within the stage, or learning rates differ between layers."""
        return any(part is not None for part in (self.unfreeze, self.freezeout, self.adaptive, self.rates))

    @property
    def schedule(self) -> str:
        """What changes within the stage, in words; empty where nothing does."""
        parts = [part.describe() for part in (self.unfreeze, self.freezeout, self.adaptive, self.rates) if part]
        return "; ".join(parts)

    @property
    def selects(self) -> bool:
        """Whether the selector freezes anything."""
        return (self.train_only is not None and self.train_only != "all") or self.freeze not in (None, "none")

    @property
    def freezes(self) -> bool:
        """Whether the stage freezes anything at all, at any time."""
        zero = self.rates is not None and 0 in (self.rates.by or {}).values()
        return self.selects or self.freezeout is not None or self.adaptive is not None or zero


def resolve_counts(value: dict[str, Any]) -> dict[str, Any]:
    """Write `freeze_first: 3` as `freeze: 0-2` and `train_first: 3` as `train_only: 0-2`.

    Args:
        value: keys of a stage; left as it is.

    Raises:
        ValueError: no whole number of at least 0, a selector beside it, or `train_first: 0`.
    """
    value = dict(value)
    for key, selector in COUNTS.items():
        count = value.pop(key, None)
        if count is None:
            continue
        if type(count) is not int or count < 0:
            raise ValueError(f"{key}: expected a whole number of layers of at least 0, got {shown(count)}")
        beside = [other for other in (*COUNTS.values(), *COUNTS) if value.get(other) is not None]
        if beside:
            raise ValueError(f"give {key} or {beside[0]}, not both")
        if count == 0 and key == "train_first":
            raise ValueError("train_first: 0 leaves nothing trainable")
        value[selector] = f"0-{count - 1}" if count else None
    return value
