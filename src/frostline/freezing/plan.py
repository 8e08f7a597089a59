"""The freeze plan: what is frozen during a run, as data that can be written, read and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from frostline.errors import InputError, did_you_mean, first_problem
from frostline.files import read_yaml
from frostline.freezing.schedules import Adaptive, FreezeOut, Rates, Unfreeze
from frostline.freezing.selectors import check_syntax


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Stage(_Model):
    """A stretch of epochs with one selector and one learning-rate setting.

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


class FreezePlan(_Model):
    """What is frozen during a run: one or more stages, in order.

    Attributes:
        stages: at least one. With several, each has its epochs.
        freeze_fresh: freeze tensors that did not come from the checkpoint whole, too. Off: they stay trainable, since
            frozen random weights can never learn.

    Example:
        >>> FreezePlan.first(3).stages[0].freeze
        '0-2'
    """

    stages: tuple[Stage, ...] = Field(default=(Stage(),), min_length=1)
    freeze_fresh: bool = False

    @model_validator(mode="after")
    def _epochs_given(self) -> FreezePlan:
        if len(self.stages) > 1:
            for number, stage in enumerate(self.stages, 1):
                if stage.epochs is None:
                    raise ValueError(f"stage {number} of {len(self.stages)} has no epochs")
        return self

    @classmethod
    def none(cls) -> FreezePlan:
        """Freeze nothing: the baseline."""
        return cls()

    @classmethod
    def first(cls, n: int) -> FreezePlan:
        """Freeze the first `n` layers (indices 0 to n - 1). 0 freezes nothing."""
        _count(n, "freeze")
        return cls(stages=(Stage(freeze=f"0-{n - 1}" if n else None),))

    @classmethod
    def train_first(cls, n: int) -> FreezePlan:
        """Train the first `n` layers only; the rest is frozen (fresh tensors excepted)."""
        if _count(n, "train") == 0:
            raise InputError("training the first 0 layers leaves nothing trainable")
        return cls(stages=(Stage(train_only=f"0-{n - 1}"),))

    @classmethod
    def select(cls, selector: str) -> FreezePlan:
        """Freeze what a selector picks (`0-2`, `backbone`, `23.cv3`, ...)."""
        return cls.parse({"freeze": selector})

    @classmethod
    def two_stage(
        cls,
        *,
        freeze: str | None = None,
        train_only: str | None = None,
        epochs: tuple[int, int] = (50, 250),
        lr0: tuple[float, float] = (0.005, 0.01),
    ) -> FreezePlan:
        """Freeze by a selector first, then train everything from the first stage's best weights.

        Args:
            freeze: selector frozen in stage 1, or None.
            train_only: selector that alone trains in stage 1, or None.
            epochs: length of the two stages.
            lr0: their first learning rates; stage 2 falls along a cosine.
        """
        return cls.parse(
            {
                "stages": [
                    {"epochs": epochs[0], "freeze": freeze, "train_only": train_only, "lr0": lr0[0]},
                    {"epochs": epochs[1], "lr0": lr0[1], "cos_lr": True},
                ]
            }
        )

    @classmethod
    def gradual(
        cls,
        *,
        every: int = 1,
        start: Literal["head", "input"] = "head",
        by: Literal["layer", "role"] = "layer",
        freeze: str = "backbone,neck",
    ) -> FreezePlan:
        """Freeze by a selector, then thaw it piece by piece; see `Unfreeze`."""
        return cls.parse({"freeze": freeze, "unfreeze": {"every": every, "from": start, "by": by}})

    @classmethod
    def freezeout(cls, *, first: float = 0.8, cubed: bool = True, scaled: bool = True) -> FreezePlan:
        """Freeze layers one after the other as their rates fall to 0; see `FreezeOut`."""
        return cls.parse({"freezeout": {"first": first, "cubed": cubed, "scaled": scaled}})

    @classmethod
    def adaptive(cls, **options: Any) -> FreezePlan:
        """Freeze layers once they have settled; options as the attributes of `Adaptive`."""
        return cls.parse({"adaptive": options})

    @classmethod
    def layerwise(cls, rates: Any) -> FreezePlan:
        """Train every layer at a rate of its own.

        Args:
            rates: `auto`, `{"decay": 0.9}`, or factors by selector such as `{"backbone": 0.1, "head": 1.0}`.
        """
        return cls.parse({"rates": rates})

    @classmethod
    def parse(cls, value: Any, where: str = "freeze plan") -> FreezePlan:
        """Read a plan from plain data.

        Args:
            value: `{}`, `{freeze: 0-2}`, `{train_only: 0-5}` or `{stages: [...]}`; `freeze_fresh` beside any.
            where: named in error messages; may be empty.

        Raises:
            InputError: an unknown key, a bad value, or stages beside a selector.
        """
        where = f"{where}: " if where else ""
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise InputError(f"{where}expected keys such as freeze or stages, got {type(value).__name__}")
        fields = dict(value)
        known = [*Stage.model_fields, *cls.model_fields]
        for key in fields:
            if key not in known:
                raise InputError(f"{where}unknown key '{key}'{did_you_mean(str(key), known)}")
        stage_keys = [key for key in fields if key in Stage.model_fields]
        if "stages" in fields and stage_keys:
            raise InputError(f"{where}give stages or {', '.join(stage_keys)}, not both")
        flat = "stages" not in fields
        if flat:
            fields["stages"] = [{key: fields.pop(key) for key in stage_keys}]
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            problem = first_problem(error)
            raise InputError(f"{where}{problem.removeprefix('stages.1').lstrip('.: ') if flat else problem}") from error

    @classmethod
    def from_yaml(cls, path: str | Path) -> FreezePlan:
        """Read a plan file.

        Raises:
            InputError: the file is missing, not YAML, or not a plan.
        """
        return cls.parse(read_yaml(Path(path), "the plan file"), str(path))

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain data with unset fields left out; `parse` reads it back."""
        return self.model_dump(exclude_none=True, exclude_defaults=False, mode="json", by_alias=True)

    @property
    def freezes(self) -> bool:
        """Whether any stage freezes anything."""
        return any(stage.freezes for stage in self.stages)

    def with_epochs(self, epochs: int) -> FreezePlan:
        """Return the plan with its epochs filled in.

        Args:
            epochs: the run's total, taken by a single stage without epochs of its own.
        """
        if len(self.stages) == 1 and self.stages[0].epochs is None:
            return self.model_copy(update={"stages": (self.stages[0].model_copy(update={"epochs": epochs}),)})
        return self

    @property
    def total_epochs(self) -> int | None:
        """Epochs of all stages together, or None where a single stage takes the run's."""
        lengths = [stage.epochs for stage in self.stages]
        return None if None in lengths else sum(length for length in lengths if length is not None)

    @property
    def freeze_depth(self) -> int | None:
        """Number of leading layers frozen in every stage; 0 for none; None for any other plan."""
        if any(stage.scheduled for stage in self.stages):
            return None
        if not self.freezes:
            return 0
        if len(self.stages) > 1 or self.stages[0].freeze is None:
            return None
        low, _, high = self.stages[0].freeze.partition("-")
        return int(high or 0) + 1 if low == "0" and (high.isdigit() or not high) else None


def _count(n: int, what: str) -> int:
    if n < 0:
        raise InputError(f"cannot {what} the first {n} layers: the number must be 0 or more")
    return n
