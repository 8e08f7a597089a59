"""The freeze plan: what is frozen during a run, as data that can be written, read and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from frostline.errors import InputError, did_you_mean, first_problem
from frostline.files import read_yaml
from frostline.freezing.stage import COUNTS, Model, Stage


class FreezePlan(Model):
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
            value: `{}`, `{freeze: 0-2}`, `{freeze_first: 3}`, `{train_only: 0-5}` or `{stages: [...]}`; `freeze_fresh`
                beside any.
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
        own = [*COUNTS, *Stage.model_fields]
        known = [*own, *cls.model_fields]
        for key in fields:
            if key not in known:
                raise InputError(f"{where}unknown key '{key}'{did_you_mean(str(key), known)}")
        stage_keys = [key for key in fields if key in own]
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
