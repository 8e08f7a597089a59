"""What a probe found, as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from frostline.probing.depths import DepthCost
from frostline.probing.drift import LayerDrift
from frostline.probing.gradients import GradientSet, LayerGradient
from frostline.probing.regions import RegionRanking

if TYPE_CHECKING:
    from frostline.probing.recommend import Recommendation


@dataclass(frozen=True)
class ProbedLayer:
    """One layer, as probed. What does not apply to it is None.

    Attributes:
        index: its place.
        type: class of the module.
        role: backbone, neck or head.
        parameters: that can train.
        gradient: see `LayerGradient`.
        drift: see `LayerDrift`.
        similarity: linear CKA of its features of the source and of the target images.
    """

    index: int
    type: str
    role: str
    parameters: int
    gradient: LayerGradient | None = None
    drift: LayerDrift | None = None
    similarity: float | None = None


@dataclass(frozen=True)
class Probe:
    """What a probe found.

    Attributes:
        model: checkpoint or model YAML.
        weights: checkpoint that a model YAML starts from.
        data: data.yaml.
        source: folder of source images, or None.
        settings: image size, images a batch, batches, steps and rate of adaptation, seed.
        device: in words.
        layers: one entry for each.
        depths: what freezing each depth costs and saves.
        ranking: of the first block, the backbone and the head.
        recommendation: arms worth running, and why.
        adapted: tensors of the head that were adapted first.
        losses: mean loss an image before and after the adaptation; None without one.
        pairs: source images that were compared with their target version.
        notes: what the reader should know.
        gradients: what the ranking rests on.
    """

    model: str
    weights: str | None
    data: str
    source: str | None
    settings: dict[str, Any]
    device: str
    layers: tuple[ProbedLayer, ...]
    depths: tuple[DepthCost, ...]
    ranking: RegionRanking
    recommendation: Recommendation
    adapted: tuple[str, ...]
    losses: tuple[float, float] | None
    pairs: int
    notes: tuple[str, ...]
    gradients: GradientSet = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the raw inner products, ready for JSON."""
        fields = {key: value for key, value in vars(self).items() if key != "gradients"}
        for key in ("ranking", "recommendation"):
            fields[key] = asdict(fields[key])
        fields["layers"] = [asdict(layer) for layer in self.layers]
        fields["depths"] = [asdict(depth) for depth in self.depths]
        return fields
