"""From a RAW file to a linear 16-bit image: decoding, white balance, scaling and size, each recorded."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.errors import InputError
from frostline.imaging.bayer import BayerGeometry, demosaic, read_bayer
from frostline.imaging.srgb import FULL_SCALE

BAYER_SUFFIX = ".raw"
CAMERA_SUFFIXES = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw"),
    *(".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"),
)
"""Files that LibRaw decodes, in lower case."""

WhiteBalance = str | tuple[float, float, float]


@dataclass(frozen=True)
class RawOptions:
    """What is done to a RAW file.

    Attributes:
        geometry: layout of headerless `.raw` files; None if there are none.
        white_balance: `none`, `camera` (camera RAW only), `grey` for grey-world, or gains of red, green and blue.
        percentile: this percentile of all values becomes full scale, and what is above is clipped; None scales the
            sensor's full scale to 16 bits.
        black_level: of headerless files, in sensor units; taken off first. Camera RAW brings its own.
        resize: width and height in pixels; None keeps the size.

    Raises:
        InputError: for a value out of range.
    """

    geometry: BayerGeometry | None = None
    white_balance: WhiteBalance = "none"
    percentile: float | None = None
    black_level: int = 0
    resize: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        gains = self.white_balance
        if isinstance(gains, str):
            if gains not in ("none", "camera", "grey"):
                raise InputError(f"unknown white balance '{gains}'; expected none, camera, grey or red,green,blue")
        elif len(gains) != 3 or not all(np.isfinite(gain) and gain > 0 for gain in gains):
            raise InputError(f"white balance gains {gains}; expected three finite numbers above zero")
        if self.percentile is not None and not 50 <= self.percentile <= 100:
            raise InputError(f"a percentile of {self.percentile}; expected 50 to 100")
        if self.resize is not None and min(self.resize) < 1:
            raise InputError(f"--resize {self.resize[0]}x{self.resize[1]}: expected at least one pixel either way")
        if self.black_level < 0 or (self.geometry and self.black_level >= 2**self.geometry.bits - 1):
            raise InputError(f"a black level of {self.black_level}; expected 0 to below full scale")

    def recorded(self) -> dict[str, Any]:
        """Return the options as JSON holds them."""
        return asdict(self)


@dataclass(frozen=True)
class Developed:
    """A linear image and what it took.

    Attributes:
        image: (H, W, 3) uint16 linear RGB.
        gains: what red, green and blue were multiplied by, camera white balance left out.
        white: the value, in [0, 65535] before scaling, that became full scale.
        clipped: how many pixels have a channel at full scale.
    """

    image: NDArray[np.uint16]
    gains: tuple[float, float, float]
    white: float
    clipped: int


def is_raw(path: Path) -> bool:
    """Say whether a file's name is that of a RAW file."""
    return path.suffix.lower() in (BAYER_SUFFIX, *CAMERA_SUFFIXES)


def develop(path: Path, options: RawOptions) -> Developed:
    """Read a RAW file as linear RGB.

    White balance comes first, then the percentile, then the size by area averaging, in float32; rounding comes last.

    Args:
        path: camera RAW, or a headerless `.raw` file.
        options: what is done.

    Returns:
        The image, with the gains and the white level that were used.

    Raises:
        InputError: if the file is missing, unreadable, of another size than its geometry, or black throughout.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    camera = path.suffix.lower() != BAYER_SUFFIX
    linear = _camera(path, options) if camera else _headerless(path, options)
    gains = _gains(path, linear, options.white_balance)
    linear *= np.asarray(gains, np.float32)
    white = float(FULL_SCALE)
    if options.percentile is not None:
        white = float(np.percentile(linear, options.percentile))
        if white <= 0:
            raise InputError(f"{path}: the {options.percentile:g}th percentile is 0, so there is nothing to scale")
        linear *= np.float32(FULL_SCALE / white)
    np.clip(linear, 0, FULL_SCALE, out=linear)
    if options.resize is not None and options.resize != (linear.shape[1], linear.shape[0]):
        import cv2

        larger = options.resize[0] > linear.shape[1] or options.resize[1] > linear.shape[0]
        linear = cv2.resize(linear, options.resize, interpolation=cv2.INTER_LINEAR if larger else cv2.INTER_AREA)
    image = np.rint(linear).astype(np.uint16)
    return Developed(image, gains, white, int((image == FULL_SCALE).any(axis=2).sum()))


def _camera(path: Path, options: RawOptions) -> NDArray[np.float32]:
    """Decode with LibRaw: linear, the sensor's own colours, no brightening."""
    import rawpy  # here, as LibRaw is large and only this needs it

    try:
        with rawpy.imread(str(path)) as raw:
            rgb = raw.postprocess(
                gamma=(1, 1),
                no_auto_bright=True,
                output_bps=16,
                output_color=rawpy.ColorSpace.raw,
                use_camera_wb=options.white_balance == "camera",
                user_wb=None if options.white_balance == "camera" else [1, 1, 1, 1],
                # LibRaw would raise the white point of an image that does not use the sensor's whole range.
                adjust_maximum_thr=0.0,
            )
    except (rawpy.LibRawError, OSError, ValueError) as error:
        said = error.args[0] if error.args else error
        text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise InputError(f"{path}: cannot be decoded as camera RAW, truncated or corrupt ({text})") from None
    if rgb.ndim != 3 or rgb.shape[2] != 3:
        raise InputError(f"{path}: decodes to {rgb.shape}; expected three channels, not a monochrome camera")
    return np.asarray(rgb, dtype=np.float32)


def _headerless(path: Path, options: RawOptions) -> NDArray[np.float32]:
    geometry = options.geometry
    if geometry is None:
        raise InputError(f"{path}: has no header; give its --preset, or --width, --height, --bits and --pattern")
    if options.white_balance == "camera":
        raise InputError(f"{path}: holds no camera white balance; choose none, grey or red,green,blue")
    linear = demosaic(read_bayer(path, geometry), geometry.pattern, geometry.bits)
    black = np.float32(options.black_level)
    linear -= black
    np.maximum(linear, 0, out=linear)
    linear *= np.float32(FULL_SCALE) / (np.float32(2**geometry.bits - 1) - black)
    return linear


def _gains(path: Path, linear: NDArray[np.float32], white_balance: WhiteBalance) -> tuple[float, float, float]:
    """Give the gains of red, green and blue; grey-world's keep green and leave clipped pixels out."""
    if not isinstance(white_balance, str):
        red, green, blue = (float(gain) for gain in white_balance)
        return red, green, blue
    if white_balance != "grey":
        return 1.0, 1.0, 1.0
    inside = (linear < FULL_SCALE).all(axis=2)
    means = linear[inside].mean(axis=0, dtype=np.float64) if inside.any() else np.zeros(3)
    if not (means > 0).all():
        raise InputError(f"{path}: a channel is empty or all pixels are clipped, so grey-world has no answer")
    red, green, blue = (float(means[1] / mean) for mean in means)
    return red, green, blue
