"""Everything that decides a run's result, as data: written into its folder, compared before a folder is used again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from frostline.freezing import FreezePlan, Stage, describe_indices
from frostline.training.pretraining.settings import Pretraining


class RunSpec(BaseModel):
    """One arm with one seed.

    Attributes:
        arm: its name.
        model: checkpoint or model YAML.
        weights: checkpoint that a model YAML starts from, or None.
        data: data.yaml.
        plan: what is frozen when, epochs filled in.
        settings: resolved Ultralytics arguments.
        seed: of every generator.
        trust: open checkpoints without the restricted loader.
        exact_resume: keep what resuming to the bit needs; see `training.exact`.
        teacher: checkpoint that the model learns from beside the labels, or None; see `training.teacher`.
        pretrain: what the model is pretrained on first, or None.
        pretrain_images: key of the contents of the images that it is pretrained on.
        pretrained: the checkpoint that came of it, which the run starts from; a place on this disk, not a setting.
        data_here: a copy of `data` on this machine's own disk, which is read in its place; not a setting either.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    arm: str
    model: str
    weights: str | None = None
    data: str
    plan: FreezePlan
    settings: dict[str, Any]
    seed: int = 0
    trust: bool = False
    exact_resume: bool = False
    teacher: str | None = None
    pretrain: Pretraining | None = None
    pretrain_images: str | None = None
    pretrained: str | None = None
    data_here: str | None = None

    @property
    def data_file(self) -> str:
        """The data.yaml that is read."""
        return self.data_here or self.data

    @property
    def start(self) -> tuple[str, str | None]:
        """Model and weights that training starts from: those of the pretraining, where there was one."""
        return (self.model, self.weights) if self.pretrained is None else (self.pretrained, None)

    @property
    def epochs(self) -> int:
        """Epochs of all stages together."""
        total = self.plan.with_epochs(int(self.settings["epochs"])).total_epochs
        assert total is not None
        return total

    def stage_settings(self, stage: Stage) -> dict[str, Any]:
        """Return Ultralytics' arguments for one stage: the run's, with what the stage says instead."""
        own = stage.model_dump(include={"epochs", "lr0", "lrf", "cos_lr", "warmup_epochs"}, exclude_none=True)
        return {**self.settings, **own}

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as plain data, `trust` and places left out: they do not change a result."""
        values = self.model_dump(mode="json", exclude={"trust", "plan", "pretrain", "pretrained", "data_here"})
        pretrain = self.pretrain.to_dict() if self.pretrain is not None else None
        return {**values, "pretrain": pretrain, "plan": self.plan.to_dict()}


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """List in words where two nested records differ: `train.lr0: 0.01 there, 0.005 now`."""
    found: list[str] = []
    for key in [*old, *(k for k in new if k not in old)]:
        a, b, name = old.get(key), new.get(key), f"{prefix}{key}"
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{name}.")
        elif a != b:
            found.append(f"{name}: {_short(a)} there, {_short(b)} now")
    return found


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def absolute(path: str | Path, base: Path | None = None) -> str:
    """Return an existing path in absolute form, and anything else as it is.

    The bare name of an official checkpoint stays a name, whether it was downloaded already or not: a study would
    otherwise differ from itself after its first run.

    Args:
        path: a path, or a name that Ultralytics knows.
        base: folder that a relative path is tried in first, before the working folder.
    """
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES

    text = str(path)
    if text in GITHUB_ASSETS_NAMES:
        return text
    for candidate in ([base / text] if base is not None else []) + [Path(text)]:
        if candidate.exists():
            return str(candidate.resolve())
    return text


_NAME = re.compile(r"[\w.\-]+")


def is_folder_name(name: str) -> bool:
    """Tell whether a name makes one folder on any system: letters, digits, `_`, `-` and `.`, not dots alone."""
    return _NAME.fullmatch(name) is not None and set(name) != {"."}


def stage_folders(folder: Path, count: int) -> list[Path]:
    """Return the folders of a run's stages: that of a single stage is the run's own."""
    return [folder] if count == 1 else [folder / f"stage{number}" for number in range(1, count + 1)]


def stage_tag(arm: str, number: int, count: int) -> str:
    """Name a stage in the summary line: the arm for a single stage, else `stage1_before_train` and so on."""
    return arm if count == 1 else f"stage{number}_before_train"


def layers_in_words(indices: tuple[int, ...]) -> str:
    """Say which layers are frozen, counted from 1 as people do and by index: `layers 1–3 frozen (indices 0..2)`."""
    if not indices:
        return "no layers frozen"
    spans = describe_indices([index + 1 for index in indices]).replace("..", "–")
    word = "layer" if len(indices) == 1 else "layers"
    return f"{word} {spans} frozen ({'index' if len(indices) == 1 else 'indices'} {describe_indices(indices)})"


def plan_name(plan: FreezePlan) -> str:
    """Name a plan as an arm: `baseline`, `freeze_1_to_3`, `first_6_only`, or its selectors."""
    depth = plan.freeze_depth
    if depth is not None:
        return f"freeze_1_to_{depth}" if depth else "baseline"
    if len(plan.stages) > 1:
        return "stages_" + "_then_".join(_slug(stage.selector.removeprefix("freeze ")) for stage in plan.stages)
    only = plan.stages[0].train_only
    if only is not None and only.startswith("0-") and only[2:].isdigit():
        return f"first_{int(only[2:]) + 1}_only"
    return _slug(plan.stages[0].selector)


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-." else "_" for c in text)
