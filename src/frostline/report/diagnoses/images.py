"""What the training images are, from a sample: photographs, log-chromaticity or grey, and how far from ImageNet's."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from frostline.datasets import load_dataset
from frostline.datasets.pixels import full_scale, read_picture
from frostline.errors import InputError
from frostline.imaging import manifest

logger = logging.getLogger(__name__)

SAMPLE_IMAGES = 24
"""Images at most: the mean of a dataset is then known to a fifth of what images differ by."""

SAMPLE_SECONDS = 0.8
"""Of the processor, after which no further image is read: a report must not wait for large files. Not by the clock, or
the report of a busy machine would look at fewer images and say other numbers."""

LONGEST_SECONDS = 10.0
"""By the clock, for images that a slow disk holds."""

SAMPLE_PIXELS = 20_000
"""Pixels of an image, on a grid; three channels' covariance needs no more."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of red, green and blue in [0, 1]; Deng et al., CVPR 2009, as torchvision uses them."""

NEAR_GREY_DEGREES = 30.0
"""From the grey axis: illuminant directions lie within 24 of it (what `chroma estimate` searches), and some room."""

FLAT_SHARE = 0.25
"""Standard deviation across the plane, over the smaller one within it, up to which pixels lie in a plane."""

EQUAL_CHANNELS = 0.004
"""Largest difference between channels of a grey image, as a share of the range: one code of 8 bits."""

NEAR_MEAN, NEAR_SPREAD = 0.5, 1.5
"""Distance of the means in ImageNet's standard deviations, and ratio of standard deviations, that count as near."""

_FEWEST_PIXELS = 500

Kind = Literal["log-chromaticity", "photographs", "grey", "unclear"]


@dataclass(frozen=True)
class ImageStatistics:
    """A sample of training images in numbers.

    Attributes:
        images: how many were read.
        total: how many there are.
        kind: what the pixels are, by most of the images.
        mean, std: of red, green and blue, in shares of the range; equal for one channel.
        angle: median degrees between the direction in which log pixels vary least and the grey axis.
        across: median standard deviation along that direction over the smaller one across it.
        manifest: what `chroma convert` noted of the folder: encode, anchor; empty where there is none.
    """

    images: int
    total: int
    kind: Kind
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    angle: float
    across: float
    manifest: Mapping[str, Any]

    @property
    def furthest_mean(self) -> float:
        """Largest distance of a channel's mean from ImageNet's, in ImageNet's standard deviations."""
        return max(abs(m - i) / s for m, i, s in zip(self.mean, IMAGENET_MEAN, IMAGENET_STD, strict=True))

    @property
    def furthest_spread(self) -> float:
        """The ratio of a channel's standard deviation to ImageNet's that is furthest from 1."""
        ratios = [s / i for s, i in zip(self.std, IMAGENET_STD, strict=True)]
        return max(ratios, key=lambda ratio: abs(np.log(max(ratio, 1e-6))))

    @property
    def near_imagenet(self) -> bool:
        """Whether means and spreads are near those of photographs."""
        return self.furthest_mean <= NEAR_MEAN and 1 / NEAR_SPREAD <= self.furthest_spread <= NEAR_SPREAD


def image_statistics(data: str | None, pixels: Mapping[str, Any] | None = None) -> ImageStatistics | None:
    """Measure a sample of a dataset's training images; None where they are not at hand.

    Args:
        data: data.yaml.
        pixels: the pixel format that a run recorded: `kind`, `low`, `high`.
    """
    if not data or not Path(data).is_file():
        return None
    try:
        train = load_dataset(data).train
    except InputError as error:
        logger.debug("%s", error)
        return None
    rng = np.random.default_rng(0)
    picked = [train[i] for i in sorted(rng.choice(len(train), min(SAMPLE_IMAGES, len(train)), replace=False))]
    rng.shuffle(picked)  # so that a sample cut short by the clock is of all of the dataset
    shares, looks = [], []
    started, worked = time.monotonic(), time.thread_time()
    for path in picked:
        try:
            stored = read_picture(path)
        except InputError as error:
            logger.debug("%s", error)
            continue
        values = _grid(stored)
        low, high = _range(stored, pixels)
        shares.append((values - low) / (high - low))
        looks.append(look_at(values, full_scale(stored)))
        if time.thread_time() - worked > SAMPLE_SECONDS or time.monotonic() - started > LONGEST_SECONDS:
            break
    if not shares:
        return None
    together = np.concatenate(shares)
    red, green, blue = (float(value) for value in together.mean(axis=0))
    reds, greens, blues = (float(value) for value in together.std(axis=0))
    kinds = Counter(kind for kind, _, _ in looks)
    (kind, count), *_ = kinds.most_common(1)
    return ImageStatistics(
        images=len(shares),
        total=len(train),
        kind=kind if 2 * count > len(looks) else "unclear",
        mean=(red, green, blue),
        std=(reds, greens, blues),
        angle=float(np.median([angle for _, angle, _ in looks])),
        across=float(np.median([across for _, _, across in looks])),
        manifest=_manifest(picked[0]),
    )


def look_at(values: NDArray[np.float64], top: float) -> tuple[Kind, float, float]:
    """Tell what the pixels of an image are, by the direction in which their logarithms vary least.

    A projection along the illuminant direction, which lies near grey, leaves no variation along it: the three channels
    depend on each other. In a photograph light and dark lie along grey, where it varies most.

    Args:
        values: (N, 3) stored values, red, green, blue.
        top: full scale.

    Returns:
        The kind, degrees between that direction and the grey axis, and the standard deviation along it over the
        smaller one across it.
    """
    if np.abs(values - values[:, :1]).max(initial=0.0) <= EQUAL_CHANNELS * top:
        return "grey", 90.0, 1.0
    # 0 is no signal and full scale is clipped: neither lies in the plane.
    usable = values[((values > 0) & (values < top)).all(axis=1)]
    if len(usable) < _FEWEST_PIXELS:
        return "unclear", 90.0, 1.0
    # A stored value is light, or its logarithm already; which, the folder need not say.
    measured = [_least_varying(part) for part in (np.log(usable), usable)]
    angle, across, _ = min(measured, key=lambda one: one[1] if one[0] <= NEAR_GREY_DEGREES else np.inf)
    if angle <= NEAR_GREY_DEGREES and across <= FLAT_SHARE:
        return "log-chromaticity", angle, across
    most = min(one[2] for one in measured)
    return ("photographs" if most <= NEAR_GREY_DEGREES else "unclear"), angle, across


def _least_varying(logs: NDArray[np.float64]) -> tuple[float, float, float]:
    """Degrees from grey of the direction of least variation, its share, and degrees from grey of that of most."""
    variances, directions = np.linalg.eigh(np.cov(logs, rowvar=False))
    least, most = (float(np.degrees(np.arccos(min(1.0, abs(directions[:, i].sum()) / np.sqrt(3))))) for i in (0, 2))
    return least, float(np.sqrt(max(variances[0], 0.0) / max(variances[1], 1e-12))), most


def _grid(stored: NDArray[Any]) -> NDArray[np.float64]:
    step = max(1, int(np.sqrt(stored.shape[0] * stored.shape[1] / SAMPLE_PIXELS)))
    part = stored[::step, ::step, :3].astype(np.float64)
    return (part if part.shape[2] == 3 else part[..., :1].repeat(3, axis=2)).reshape(-1, 3)


def _range(stored: NDArray[Any], pixels: Mapping[str, Any] | None) -> tuple[float, float]:
    """Give the values that become 0 and 1 at the network's input."""
    if pixels and pixels.get("kind") == str(stored.dtype):
        low, high = pixels.get("low"), pixels.get("high")
        if isinstance(low, int | float) and isinstance(high, int | float) and low < high:
            return float(low), float(high)
    return 0.0, full_scale(stored)


def _manifest(image: Path) -> Mapping[str, Any]:
    """Read what `chroma convert` noted of the folder that an image is in, or of one above it."""
    for folder in list(image.parents)[:4]:
        try:
            found = manifest.load(folder)
        except InputError:
            return {}
        if found is not None:
            return found.parameters
    return {}


def told(found: ImageStatistics) -> list[str]:
    """Say what the images are and how far they are from photographs, in two lines."""
    sample = f"{found.images} of {found.total} training images"
    if found.kind == "log-chromaticity":
        what = (
            f"{sample} are log-chromaticity: their pixels lie in a plane {found.across:.1%} as thick as it is wide, "
            f"with its normal {found.angle:.0f} degrees from grey"
        )
    elif found.kind == "grey":
        what = f"{sample} are grey: the three channels are equal, so nothing was learned from colour"
    elif found.kind == "photographs":
        what = f"{sample} are not log-chromaticity: they vary most along grey, which a projection would have taken out"
    else:
        what = f"{sample} do not tell what they are: neither in a plane without grey nor mostly along grey"
    if found.manifest and found.kind != "log-chromaticity":
        what += f", though chroma.json says that frostline chroma convert made them ({found.manifest.get('encode')})"
    means, stds = _written(found.mean), _written(found.std)
    near = "near" if found.near_imagenet else "not near"
    return [
        what,
        f"at the network's input, red, green and blue have means {means} and standard deviations {stds}, {near} "
        f"ImageNet's {_written(IMAGENET_MEAN)} and {_written(IMAGENET_STD)}: a mean is up to {found.furthest_mean:.1f} "
        f"of its deviations off, and the spread furthest from its own is {found.furthest_spread:.2f} times that",
    ]


def _written(values: Sequence[float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)


def advice(found: ImageStatistics) -> Sequence[str]:
    """Say what to try, by what the images are."""
    if found.kind == "photographs":
        return ("if they are meant to be log-chromaticity: data.yaml names other images than the converted ones",)
    if found.kind == "grey":
        return ("check the conversion: grey images have lost the chromaticity",)
    return ()
