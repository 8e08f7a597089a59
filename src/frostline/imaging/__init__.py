"""Pixels: linear RGB, the illuminant spectral direction, log-chromaticity, conversion of folders. No torch here."""

from __future__ import annotations

from frostline.imaging.batch import BatchSummary
from frostline.imaging.bayer import PRESETS, BayerGeometry, demosaic, preset, read_bayer
from frostline.imaging.chroma import (
    ANCHOR,
    LOG_SPAN,
    chroma_and_saturated,
    chroma_image,
    chroma_reference,
    encode_log,
    log_chromaticity,
    log_rgb,
    project,
)
from frostline.imaging.convert import ConversionSummary, convert_folder
from frostline.imaging.develop import Developed, RawOptions, develop
from frostline.imaging.io import (
    COMPRESSIONS,
    IMAGE_SUFFIXES,
    read_linear,
    read_rgb,
    tiff_metadata,
    write_png8,
    write_tiff,
    write_tiff16,
)
from frostline.imaging.isd import IsdTable, parse_isd, unit_isd
from frostline.imaging.plan import Failure
from frostline.imaging.rawfolder import convert_raw
from frostline.imaging.srgb import FULL_SCALE, linear_to_srgb, srgb_to_linear

__all__ = [
    "ANCHOR",
    "COMPRESSIONS",
    "FULL_SCALE",
    "IMAGE_SUFFIXES",
    "LOG_SPAN",
    "PRESETS",
    "BatchSummary",
    "BayerGeometry",
    "ConversionSummary",
    "Developed",
    "Failure",
    "IsdTable",
    "RawOptions",
    "chroma_and_saturated",
    "chroma_image",
    "chroma_reference",
    "convert_folder",
    "convert_raw",
    "demosaic",
    "develop",
    "encode_log",
    "linear_to_srgb",
    "log_chromaticity",
    "log_rgb",
    "parse_isd",
    "preset",
    "project",
    "read_bayer",
    "read_linear",
    "read_rgb",
    "srgb_to_linear",
    "tiff_metadata",
    "unit_isd",
    "write_png8",
    "write_tiff",
    "write_tiff16",
]
