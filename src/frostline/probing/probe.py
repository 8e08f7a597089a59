"""The probe: what a model and a dataset say before any training, read top to bottom."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from frostline.errors import InputError
from frostline.freezing import find_layers, layer_roles
from frostline.freezing.plan import FreezePlan
from frostline.probing.adapt import adapt_head, fresh_in_head
from frostline.probing.depths import ROUNDS, DepthCost, measure_depths, sensible_depths
from frostline.probing.drift import DriftMeter, LayerDrift
from frostline.probing.gradients import GradientSet, collect_gradients
from frostline.probing.images import Pair, paired_images, target_batches, training_batch
from frostline.probing.recommend import recommend
from frostline.probing.regions import rank_regions, regions_of
from frostline.probing.result import Probe, ProbedLayer
from frostline.probing.similarity import layer_similarity, pair_images
from frostline.training.checkpoints import Transfer, rounded_imgsz
from frostline.training.images import to_device
from frostline.training.machine import choose_device, describe_device, hushed, use_all_cores
from frostline.training.predict_model import run_facts
from frostline.training.predict_sources import KnownFormats, find_sources
from frostline.training.preparing import CheckedData, build_model, check_data
from frostline.training.settings import resolve_settings
from frostline.training.spec import RunSpec, absolute

ADAPT_STEPS = 30
ADAPT_LR = 0.01
Progress = Callable[[int, int], None]


def probe(
    model: str | Path,
    data: str | Path,
    *,
    source: str | Path | None = None,
    weights: str | Path | None = None,
    batches: int = 8,
    batch: int = 8,
    imgsz: int = 640,
    adapt_steps: int = ADAPT_STEPS,
    adapt_lr: float = ADAPT_LR,
    seed: int = 0,
    device: str | None = None,
    trust: bool = False,
    progress: Progress | None = None,
) -> Probe:
    """Measure what a model and a dataset say before training; nothing is trained or changed.

    Args:
        model: checkpoint, or a model YAML with `weights`, by path or official name.
        data: data.yaml; its training images are looked at, without augmentation.
        source: folder of the images that the dataset's were converted from, with the same names.
        weights: checkpoint that a model YAML starts from.
        batches: batches of training images, at least 2.
        batch: images in each.
        imgsz: image size, pixels.
        adapt_steps: optimizer steps that fresh tensors of the head get first, on a copy; 0 for none.
        adapt_lr: learning rate of those steps.
        seed: of the images picked, of fresh weights and of the bootstrap.
        device: `cpu`, `mps` or a GPU's number; by default the first GPU, else the CPU.
        trust: open checkpoints without the restricted loader.
        progress: called with (work done, work in all).

    Raises:
        InputError: the model has only random weights; too few images, or too few pairs; see also `training.prepare`.

    Example:
        >>> import frostline as fl
        >>> found = fl.probe("yolo11s.pt", "data.yaml", source="srgb/images")  # doctest: +SKIP
        >>> found.ranking.order, found.recommendation.depth  # doctest: +SKIP
    """
    _check_options(batches, batch, imgsz, adapt_steps, adapt_lr)
    chosen = choose_device(device)
    target = torch.device(f"cuda:{chosen}" if chosen.isdigit() else chosen)
    spec = RunSpec(
        arm="probe",
        model=absolute(model),
        weights=absolute(weights) if weights is not None else None,
        data=absolute(data),
        plan=FreezePlan.none(),
        settings=resolve_settings({"imgsz": imgsz, "batch": batch}),
        seed=seed,
        trust=trust,
    )
    with seeded(seed), hushed():
        checked = check_data(spec.data)
        network, transfer = build_model(spec, checked.dataset.names)
        _check_weights(transfer, model)
        pairs = _pairs(source, checked, seed, batches * batch)
        network.to(target)
        if target.type == "cpu":
            use_all_cores()
        return _Probing(spec, checked, network, transfer, target, progress).run(
            batches, adapt_steps, adapt_lr, None if source is None else Path(source), pairs, describe_device(chosen)
        )


class _Probing:
    """The measurements of one probe, in order."""

    def __init__(
        self,
        spec: RunSpec,
        data: CheckedData,
        network: nn.Module,
        transfer: Transfer,
        device: torch.device,
        progress: Progress | None,
    ) -> None:
        self.spec, self.data, self.network, self.transfer = spec, data, network, transfer
        self.device, self.progress = device, progress
        self.done = self.total = 0

    def run(self, batches: int, steps: int, lr: float, source: Path | None, pairs: list[Pair], device: str) -> Probe:
        """Measure everything."""
        spec, network = self.spec, self.network
        depths = sensible_depths(network)
        fresh = fresh_in_head(network, self.transfer.fresh)
        steps = steps if fresh else 0
        size = int(spec.settings["batch"])
        self.total = batches + steps + len(depths) * ROUNDS + -(-len(pairs) // size)
        loaded = target_batches(spec, self.data, network, batches)
        self.total -= batches - len(loaded)
        ready = partial(to_device, device=self.device, pixels=self.data.pixels)
        untouched = copy.deepcopy(network)  # what runs start from: the cost of depths and the drift are its own
        losses = adapt_head(network, fresh, loaded, steps, lr, ready, self.tick)
        meter = DriftMeter(network)
        with meter.watching():
            gradients = collect_gradients(network, map(ready, loaded), _loss, self.tick)
        similarity = self._similarity(source, pairs)
        costs = self._costs(untouched, depths)
        layers = self._layers(gradients, meter.read(), similarity)
        ranking = rank_regions(gradients, regions_of(network), spec.seed)
        return Probe(
            model=spec.model,
            weights=spec.weights,
            data=spec.data,
            source=None if source is None else str(source.resolve()),
            settings={
                "imgsz": rounded_imgsz(int(spec.settings["imgsz"]), network)[0], "batch": size,
                "batches": len(loaded), "adapt_steps": steps, "adapt_lr": lr, "seed": spec.seed,
            },
            device=device,
            layers=layers,
            depths=costs,
            ranking=ranking,
            recommendation=recommend(layers, costs, ranking, gradients),
            adapted=tuple(fresh) if steps else (),
            losses=losses,
            pairs=len(pairs),
            notes=self._notes(meter, fresh, steps, len(loaded), batches),
            gradients=gradients,
        )  # fmt: skip

    def tick(self) -> None:
        """Count a piece of work."""
        self.done += 1
        if self.progress is not None:
            self.progress(min(self.done, self.total), self.total)

    def _similarity(self, source: Path | None, pairs: list[Pair]) -> dict[int, float]:
        if source is None:
            return {}
        self.network.eval()
        trained = run_facts(Path(self.transfer.source or self.spec.model)).pixels
        size, imgsz = int(self.spec.settings["batch"]), rounded_imgsz(int(self.spec.settings["imgsz"]), self.network)[0]
        formats = KnownFormats(trained=trained), KnownFormats(declared=(self.data.pixels, self.data.dataset.yaml))
        return layer_similarity(self.network, paired_images(pairs, *formats, imgsz, size, self.device), self.tick)

    def _costs(self, model: nn.Module, depths: tuple[int, ...]) -> tuple[DepthCost, ...]:
        batch = to_device(training_batch(self.spec, self.data, model)(), self.device, self.data.pixels)
        return measure_depths(model, batch, depths, sorted(self.transfer.fresh), self.tick)

    def _layers(
        self, gradients: GradientSet, drift: dict[int, LayerDrift], similarity: dict[int, float]
    ) -> tuple[ProbedLayer, ...]:
        roles = layer_roles(self.network)
        return tuple(
            ProbedLayer(
                index=index,
                type=type(module).__name__,
                role=roles[index],
                parameters=sum(p.numel() for p in module.parameters() if p.requires_grad),
                gradient=gradients.layer(index) if index in gradients.products else None,
                drift=drift.get(index),
                similarity=similarity.get(index),
            )
            for index, module in enumerate(find_layers(self.network))
        )

    def _notes(self, meter: DriftMeter, fresh: list[str], steps: int, batches: int, asked: int) -> tuple[str, ...]:
        notes = []
        if batches < asked:
            notes.append(f"the training split fills {batches} batches, not {asked}")
        if fresh and steps:
            notes.append(
                f"{len(fresh)} fresh tensors of the head took {steps} AdamW steps first, all else frozen, on a copy"
            )
        elif fresh:
            notes.append(
                f"{len(fresh)} tensors of the head are fresh and were not adapted: they drown the other layers"
            )
        elsewhere = len(self.transfer.fresh) - len(fresh)
        if elsewhere:
            notes.append(f"{elsewhere} tensors below the head are random: gradients and drift behind them mean little")
        if not meter.norms:
            notes.append("the model has no BatchNorm, so there is no drift to measure")
        return tuple(notes)


def _loss(model: nn.Module, batch: dict[str, Any]) -> torch.Tensor:
    """Return the detection loss an image; Ultralytics' own is multiplied by the number of images."""
    value, _ = model(batch)
    loss: torch.Tensor = value.sum() / len(batch["img"])
    return loss


def _check_options(batches: int, batch: int, imgsz: int, steps: int, lr: float) -> None:
    for name, value, least in (("batches", batches, 2), ("batch", batch, 1), ("imgsz", imgsz, 32)):
        if value < least:
            raise InputError(f"--{name} {value}: expected at least {least}")
    if steps < 0 or lr <= 0:
        raise InputError(f"--adapt-steps {steps}, --adapt-lr {lr:g}: expected 0 or more steps at a rate above 0")


def _check_weights(transfer: Transfer, model: str | Path) -> None:
    if transfer.source is None or transfer.loaded == 0:
        raise InputError(
            f"{model}: all weights are random, so every layer must train and there is nothing to probe; give a "
            "checkpoint (.pt), or the one that a model YAML starts from with --weights"
        )


def _pairs(source: str | Path | None, data: CheckedData, seed: int, most: int) -> list[Pair]:
    if source is None:
        return []
    found = pair_images([(item.name, item.path) for item in find_sources([source])], data.dataset.train, Path(source))
    picked = np.random.default_rng(seed).permutation(len(found))[:most]
    return [found[index] for index in sorted(picked)]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed every generator while the block runs, and leave each as it was."""
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
