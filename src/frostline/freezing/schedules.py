"""What changes within a stage, as data: gradual unfreezing, FreezeOut, adaptive freezing, a learning rate per layer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from frostline.freezing.selectors import check_syntax

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(gt=0, le=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Unfreeze(_Model):
    """Gradual unfreezing: what the stage's selector froze thaws piece by piece.

    Source: Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018, section 3.3
    (one layer more in every epoch, the last first).

    Attributes:
        every: epochs between two thaws; the first comes after as many.
        start: `head`, from the layer nearest to the head down to the input, or `input`, the other way; `from` in YAML.
        by: what thaws at once: a `layer`, or a `role` (backbone, neck, head).
    """

    every: Positive = 1
    start: Literal["head", "input"] = Field(default="head", alias="from")
    by: Literal["layer", "role"] = "layer"

    def describe(self) -> str:
        """Say it in words."""
        pace = "every epoch" if self.every == 1 else f"every {self.every} epochs"
        way = "from the head down" if self.start == "head" else "from the input up"
        return f"one {self.by} thaws {pace}, {way}"


class FreezeOut(_Model):
    """Cosine learning rates that end at a time of each layer's own, after which it is frozen, the first layer first.

    Source: Brock, Lim, Ritchie and Weston, "FreezeOut: Accelerate Training by Progressively Freezing Layers", 2017.

    Attributes:
        first: when the first layer freezes, as a share of the stage; times of later layers rise in equal steps to 1.
        cubed: raise those times to the third power, which gives early layers less.
        scaled: divide each layer's first rate by its time, so that all travel equally far.
    """

    first: Share = 0.8
    cubed: bool = True
    scaled: bool = True

    def describe(self) -> str:
        """Say it in words."""
        first = self.first**3 if self.cubed else self.first
        return f"layers freeze one after the other as their rates reach 0, the first after {first:.0%} of the stage"


class Adaptive(_Model):
    """Layers freeze from the input up once they have settled.

    After every epoch, each training layer's signal is compared with that of the epoch before; a layer whose relative
    change lies below a percentile of all layers' changes for `patience` epochs, and whose predecessors are all frozen,
    freezes. The last layer never does.

    Source: Liu, Agarwal and Venkataraman, "AutoFreeze: Automatically Freezing Model Blocks to Accelerate Fine-tuning",
    2021, section 4.1 (gradient-norm change, N-th percentile, front to back).

    Attributes:
        signal: `gradient`, the L2 norm of a layer's gradient, or `weights`, the distance its weights moved in the
            epoch relative to their norm.
        percentile: 0 to 100; more freezes sooner.
        patience: epochs in a row below it.
        thaw: a share of the learning rate: when the rate has fallen below that share of what it was at the last
            freeze, everything thaws once and has to settle anew; None never thaws.
    """

    signal: Literal["gradient", "weights"] = "gradient"
    percentile: Annotated[float, Field(gt=0, lt=100)] = 50.0
    patience: Positive = 2
    thaw: Annotated[float, Field(gt=0, lt=1)] | None = None

    def describe(self) -> str:
        """Say it in words."""
        what = "gradient norm" if self.signal == "gradient" else "weights"
        return (
            f"a layer freezes once its {what} changed less than percentile {self.percentile:g} of all layers for "
            f"{self.patience} epochs, front to back"
        )


class Rates(_Model):
    """A learning rate for each layer, as a factor of the stage's.

    Attributes:
        decay: the last layer has 1, and each layer before it that has weights `decay` times that of the next.
        by: factors by selector, such as `{backbone: 0.1, head: 1.0}`; layers that none picks have 1; 0 freezes.
        auto: factors from the relative gradient norm (gradient over weights) of the epoch before, the largest being 1.
            Source: Lee et al., "Surgical Fine-Tuning Improves Adaptation to Distribution Shifts", ICLR 2023, section 4.
    """

    decay: Share | None = None
    by: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] | None = None
    auto: bool = False

    def describe(self) -> str:
        """Say it in words."""
        if self.auto:
            return "each layer's rate follows its relative gradient norm"
        if self.decay is not None:
            return f"rates fall by {self.decay:g} a layer, from the head down"
        return "rates " + ", ".join(f"{selector} x {factor:g}" for selector, factor in (self.by or {}).items())

    @field_validator("by")
    @classmethod
    def _selectors(cls, value: dict[str, float] | None) -> dict[str, float] | None:
        for selector in value or {}:
            check_syntax(selector)
            if selector == "none" or "." in selector:
                raise ValueError(f"a rate is given to whole layers, not to '{selector}'")
        return value

    @model_validator(mode="after")
    def _one(self) -> Rates:
        given = [name for name in ("decay", "by", "auto") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError("rates: give auto, decay, or a factor for each of some layers, and only one of them")
        return self

    @classmethod
    def read(cls, value: Any) -> Any:
        """Turn the short forms of YAML into the whole one: `auto`, `{decay: 0.9}`, `{backbone: 0.1, head: 1}`."""
        if value == "auto":
            return {"auto": True}
        if isinstance(value, dict) and not set(value) <= set(cls.model_fields):
            return {"by": {str(key): factor for key, factor in value.items()}}
        return value
