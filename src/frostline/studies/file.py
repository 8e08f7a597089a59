"""The study file: everything that decides a study, read, checked and resolved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from frostline.analysis.metrics import LOWER_IS_BETTER, METRICS
from frostline.errors import InputError, did_you_mean, first_problem, shown
from frostline.files import read_yaml
from frostline.freezing import FreezePlan
from frostline.studies.executors.choosing import Place
from frostline.studies.executors.ray import RaySettings
from frostline.studies.executors.slurmfile import SlurmSettings
from frostline.studies.sweep import OWN_KEYS, expand
from frostline.training.pretraining import Pretraining
from frostline.training.settings import check_weight, check_written_out, resolve_settings
from frostline.training.spec import absolute, is_folder_name

HYPOTHESIS_METRICS = (*METRICS, "AP_small", "AP_medium", "AP_large", *sorted(LOWER_IS_BETTER))
NO_TEACHER = "none"
"""An arm's `teacher` that is none, in a study that has one."""

PLACES = frozenset({"on", "track", "ray", "slurm"})
"""Keys that decide where runs are carried out and kept, and nothing of what comes out."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Arm(_Model):
    """A named freeze plan, and, where it differs from the study's, its dataset.

    Attributes:
        plan: what is frozen when.
        data: data.yaml of this arm, with the same image names and split as the study's; None takes the study's.
        model: checkpoint or model YAML of this arm, such as the YAML alone to train from scratch; None takes the
            study's, weights and all.
        weights: checkpoint that its model YAML starts from.
        teacher: checkpoint that it learns from; None takes the study's, and `none` has none.
        pretrain: what its model is pretrained on before the runs, or None.
    """

    plan: FreezePlan = FreezePlan()
    data: str | None = None
    model: str | None = None
    weights: str | None = None
    teacher: str | None = None
    pretrain: Pretraining | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the arm as it stands in a study file."""
        plan = self.plan.to_dict()
        if not plan["freeze_fresh"]:
            del plan["freeze_fresh"]
        own = {key: getattr(self, key) for key in OWN_KEYS if getattr(self, key) is not None}
        if self.pretrain is not None:
            own["pretrain"] = self.pretrain.to_dict()
        return {**plan, **own}


class Hypothesis(_Model):
    """A statement made before the runs, for the report to answer.

    Attributes:
        name: in words.
        metric: what is compared, such as mAP50. Of `epochs_to_90` (of mAP50) and `epoch_seconds` less is better.
        better: the arm that is expected to be better.
        than: the arm it is compared with.
        by: it must be better by more than this, in the metric's unit: 0.01 is a point of mAP.
    """

    name: str
    metric: str = "mAP50"
    better: str
    than: str = "baseline"
    by: float = Field(default=0.0, ge=0.0)


class StudyFile(_Model):
    """A study, whole.

    Attributes:
        name: of the study.
        model: checkpoint or model YAML.
        weights: checkpoint that a model YAML starts from.
        teacher: checkpoint that every arm without its own learns from (distillation), or None.
        data: data.yaml.
        train: resolved training arguments, the same for every arm.
        seeds: one run for each arm and seed.
        arms: by name.
        hypotheses: written before the runs.
        unequal_epochs: allow arms of different length; the report then says so.
        on: where the runs are carried out: `here` in this process, `processes:2`, `ray` or `slurm`.
        track: `mlflow`, `tensorboard` or `wandb`: keeps the runs, too; None for none.
        ray: how runs are placed on a Ray cluster.
        slurm: what its jobs ask SLURM for, where it is carried out there.
        exact_resume: keep what resuming to the bit needs; see `training.exact`.
    """

    name: str
    model: str
    weights: str | None = None
    teacher: str | None = None
    data: str
    train: dict[str, Any]
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    arms: dict[str, Arm] = Field(min_length=1)
    hypotheses: tuple[Hypothesis, ...] = ()
    unequal_epochs: bool = False
    on: str = "here"
    slurm: SlurmSettings | None = None
    exact_resume: bool = False
    track: str | None = None
    ray: RaySettings | None = None

    @field_validator("seeds", mode="before")
    @classmethod
    def _whole_numbers(cls, value: Any) -> Any:
        whole = isinstance(value, list | tuple) and all(type(seed) is int and seed >= 0 for seed in value)
        if not whole or not value:
            raise ValueError(f"expected a list of whole numbers such as [0, 1, 2], got {shown(value)}")
        return value

    @field_validator("hypotheses", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            example = "{name: freezing helps, better: freeze_1_to_3, than: baseline}"
            raise ValueError(f"expected a list of entries such as {example}, got {shown(value)}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> StudyFile:
        for name in (self.name, *self.arms):
            if not is_folder_name(name):
                raise ValueError(f"{name!r} becomes a folder: use letters, digits, '_', '-' and '.'")
        for taken in ("report", "shadows", "claims", "logs", "decoded", "submitted"):
            if taken in self.arms:
                raise ValueError(f"no arm can be called '{taken}': the study keeps its own {taken} there")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("a seed is given twice")
        Place.parse(self.on)
        for hypothesis in self.hypotheses:
            if hypothesis.metric not in HYPOTHESIS_METRICS:
                raise ValueError(
                    f"hypothesis '{hypothesis.name}': no metric '{hypothesis.metric}'"
                    f"{did_you_mean(hypothesis.metric, HYPOTHESIS_METRICS)}; there are {', '.join(HYPOTHESIS_METRICS)}"
                )
            for arm in (hypothesis.better, hypothesis.than):
                if arm not in self.arms:
                    raise ValueError(
                        f"hypothesis '{hypothesis.name}': no arm '{arm}'{did_you_mean(arm, self.arms)}; "
                        f"there are {', '.join(self.arms)}"
                    )
        lengths = {name: arm.plan.total_epochs for name, arm in self.arms.items()}
        if len(set(lengths.values())) > 1 and not self.unequal_epochs:
            told = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise ValueError(f"arms differ in their epochs ({told}); make them equal, or say unequal_epochs: true")
        return self

    @classmethod
    def parse(cls, value: Any, where: str = "study file", base: Path | None = None, begun: bool = False) -> StudyFile:
        """Read a study from plain data, with sweeps written out and paths, settings and epochs resolved.

        Args:
            value: the keys of the attributes, and `sweep`; `train` may hold `preset`. See `sweep.expand`.
            where: named in error messages.
            base: folder that relative paths are tried in first.
            begun: where every setting is written out, as in the file in a study's own folder, settings and paths were
                resolved when it began, and are taken as they are.

        Raises:
            InputError: an unknown key, a bad value, a bad plan or setting.
        """
        if not isinstance(value, dict):
            raise InputError(f"{where}: expected keys such as model, data and arms")
        fields = expand(value, where)
        known = [*cls.model_fields, "sweep"]
        for key in fields:
            if key not in known:
                raise InputError(f"{where}: unknown key '{key}'{did_you_mean(str(key), known)}")
        for key in ("model", "data", "arms"):
            if not fields.get(key):
                raise InputError(f"{where}: no {key}")
        train = fields.get("train") or {}
        if not isinstance(train, dict):
            raise InputError(f"{where}: train: expected key: value pairs")
        try:
            begun = begun and check_written_out(train)
            fields["train"] = train if begun else resolve_settings(train)
            arms = fields["arms"].values() if isinstance(fields["arms"], dict) else ()
            taught = any(isinstance(one, dict) and one.get("teacher") for one in (fields, *arms))
            check_weight(fields["train"], taught)
        except InputError as error:
            raise InputError(f"{where}: train: {error}") from error
        epochs = int(fields["train"]["epochs"])
        fields["arms"] = _arms(fields["arms"], epochs, where, base, begun)
        for key in OWN_KEYS:
            if fields.get(key) is not None:
                if not isinstance(fields[key], str | Path):
                    raise InputError(f"{where}: {key}: expected a path or a name, got {shown(fields[key])}")
                fields[key] = str(fields[key]) if begun else absolute(fields[key], base)
        fields.setdefault("name", "study")
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise InputError(f"{where}: {first_problem(error)}") from error

    @classmethod
    def from_yaml(cls, path: str | Path, begun: bool = False) -> StudyFile:
        """Read a study file; relative paths in it are tried beside it first, then in the working folder.

        Args:
            path: the file.
            begun: see `parse`.

        Raises:
            InputError: the file is missing, not YAML, or not a study.
        """
        path = Path(path)
        value = read_yaml(path, "the study file")
        if isinstance(value, dict):
            if True in value:  # YAML 1.1 reads the bare key `on` as a truth value
                value["on"] = value.pop(True)
            value.setdefault("name", path.stem)
        return cls.parse(value, str(path), path.parent.absolute(), begun)

    def to_dict(self) -> dict[str, Any]:
        """Return the study as plain data; `parse` reads it back to an equal study."""
        values = self.model_dump(mode="json", exclude={"arms"}, exclude_none=True)
        if not self.exact_resume:
            del values["exact_resume"]
        if self.slurm is not None:
            values["slurm"] = self.slurm.to_dict()
        for hypothesis in values["hypotheses"]:
            if not hypothesis["by"]:
                del hypothesis["by"]
        values["arms"] = {name: arm.to_dict() for name, arm in self.arms.items()}
        return values

    def to_yaml(self) -> str:
        """Return the study as the text of a study file."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True, width=120)


def read_plans(path: Path, arm: str | None = None) -> tuple[dict[str, FreezePlan], int | None]:
    """Read the plans of a plan file or of a study file.

    Args:
        path: a YAML file.
        arm: of a study file, the only one wanted.

    Returns:
        Plans by name (a plan file's is its stem), and the study's epochs or None.

    Raises:
        InputError: neither of the two, or there is no such arm.
    """
    value = read_yaml(path, "the plan file")
    if not isinstance(value, dict) or "arms" not in value:
        if arm is not None:
            raise InputError(f"{path}: --arm {arm} is for a study file, and this has no arms")
        return {path.stem: FreezePlan.parse(value, str(path))}, None
    value = expand(value, str(path))
    train = value.get("train")
    epochs = train.get("epochs") if isinstance(train, dict) else None
    if epochs is not None and (not isinstance(epochs, int) or epochs < 1):
        raise InputError(f"{path}: train: epochs: expected a whole number of at least 1, got {epochs!r}")
    found = {name: one.plan for name, one in _arms(value["arms"], epochs or 100, str(path), path.parent).items()}
    if arm is not None and arm not in found:
        raise InputError(f"{path}: no arm '{arm}'{did_you_mean(arm, found)}; there are {', '.join(found)}")
    return ({arm: found[arm]} if arm is not None else found), epochs


def _arms(arms: Any, epochs: int, where: str, base: Path | None, begun: bool = False) -> dict[str, Arm]:
    if not isinstance(arms, dict):
        raise InputError(
            f"{where}: arms: expected a name and a plan for each, such as 'freeze_1_to_3: {{freeze: 0-2}}'"
        )
    found = {}
    for name, given in arms.items():
        value = given or {}
        if not isinstance(value, dict):
            raise InputError(f"{where}: arm {name}: expected a plan such as {{freeze: 0-2}}")
        own = {key: value[key] for key in OWN_KEYS if value.get(key) is not None}
        pretrain = value.get("pretrain")
        plan = FreezePlan.parse(
            {k: v for k, v in value.items() if k not in (*OWN_KEYS, "pretrain")}, f"{where}: arm {name}"
        )
        for key, path in own.items():
            if not isinstance(path, str):
                raise InputError(f"{where}: arm {name}: {key}: expected a path, got {shown(path)}")
            own[key] = path if begun or (key, path) == ("teacher", NO_TEACHER) else absolute(path, base)
        if pretrain is not None:
            own["pretrain"] = Pretraining.parse(pretrain, f"{where}: arm {name}: pretrain", base)
        found[str(name)] = Arm(plan=plan.with_epochs(epochs), **own)
    return found
