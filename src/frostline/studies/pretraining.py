"""The pretrainings of a study: each checked before any run, carried out once, shared by the arms that ask for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from frostline.training import RunSpec
from frostline.training.pretraining.cache import need_lightly
from frostline.training.pretraining.run import OnStep, Planned, carry_out, plan


class Pretrainings:
    """Pretrainings by what decides them.

    Args:
        cache: folder of pretrained checkpoints.
    """

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self._planned: dict[tuple[str, ...], Planned] = {}
        self._failed: dict[tuple[str, ...], Exception] = {}

    def settle(self, spec: RunSpec, on_step: OnStep | None = None) -> RunSpec:
        """Note in a run's spec what it is pretrained on, and where the result lies if it is there already.

        Raises:
            InputError: see `training.pretraining.run.plan`.
        """
        if spec.pretrain is None:
            return spec
        planned = self._plan(spec, on_step)
        kept = planned.kept
        place = str(kept.checkpoint.resolve()) if kept is not None else None
        return spec.model_copy(update={"pretrain_images": planned.images.key, "pretrained": place})

    def check(self, spec: RunSpec) -> None:
        """Make sure that a run's pretraining can be carried out, or was.

        Raises:
            InputError: lightly-train is not installed.
        """
        if spec.pretrain is not None and spec.pretrained is None:
            need_lightly()

    def carry_out(
        self, spec: RunSpec, device: str | None, say: Callable[[str], None], on_step: OnStep | None = None
    ) -> RunSpec:
        """Pretrain a run's model, unless that was done; one that failed is not tried again for the next run.

        Raises:
            InputError: see `training.pretraining.run.carry_out`.
            PretrainError: the same.
        """
        key = _key(spec)
        if key in self._failed:
            raise self._failed[key]
        try:
            carry_out(self._plan(spec, on_step), device, say, on_step)
        except Exception as error:
            self._failed[key] = error
            raise
        return self.settle(spec, on_step)

    def describe(self, specs: Mapping[str, RunSpec]) -> list[str]:
        """Say for each pretraining which arms start from it, and whether it is done: a line each.

        Args:
            specs: settled, by arm.
        """
        arms: dict[tuple[str, ...], list[str]] = {}
        for arm, spec in specs.items():
            if spec.pretrain is not None:
                arms.setdefault(_key(spec), []).append(arm)
        lines = []
        for key, names in arms.items():
            planned = self._planned[key]
            kept = planned.kept
            state = f"kept in {kept.folder}" if kept else "done before their runs, and not counted in the estimate"
            lines.append(f"{', '.join(names)}: pretrained by {planned.describe()}: {state}")
            lines += [f"{', '.join(names)}: {line}" for line in planned.conversion]
        return lines

    def _plan(self, spec: RunSpec, on_step: OnStep | None) -> Planned:
        assert spec.pretrain is not None
        key = _key(spec)
        if key not in self._planned:
            self._planned[key] = plan(
                spec.pretrain, spec.model, spec.weights,
                data=spec.data, cache=self.cache, trust=spec.trust, on_step=on_step,
            )  # fmt: skip
        return self._planned[key]


def _key(spec: RunSpec) -> tuple[str, ...]:
    assert spec.pretrain is not None
    return spec.pretrain.model_dump_json(), spec.model, spec.weights or "", spec.pretrain.data or spec.data
