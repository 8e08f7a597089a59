"""Pixels: linear RGB, the illuminant spectral direction, log-chromaticity, conversion of folders. No torch here."""

from __future__ import annotations

from frostline.imaging.batch import BatchSummary
from frostline.imaging.bayer import PRESETS, BayerGeometry, demosaic, preset, read_bayer
from frostline.imaging.chroma import (
    ANCHOR,
    LOG_SPAN,
    chroma_and_saturated,
    chroma_image,
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
    read_grey,
    read_linear,
    read_rgb,
    tiff_metadata,
    write_png8,
    write_tiff,
    write_tiff16,
)
from frostline.imaging.isd import IsdTable, parse_isd, unit_isd
from frostline.imaging.isdmaps import IsdMaps, maps_of, read_isd_map
from frostline.imaging.measuring import Contrast, MeasureSummary, measure_folder, summary_json
from frostline.imaging.plan import Failure
from frostline.imaging.rawfolder import convert_raw
from frostline.imaging.shadowfolder import cast_folder
from frostline.imaging.shadows import cast_shadow, shadow_mask, shadow_ratio
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
    "Contrast",
    "ConversionSummary",
    "Developed",
    "Failure",
    "IsdMaps",
    "IsdTable",
    "MeasureSummary",
    "RawOptions",
    "cast_folder",
    "cast_shadow",
    "chroma_and_saturated",
    "chroma_image",
    "convert_folder",
    "convert_raw",
    "demosaic",
    "develop",
    "encode_log",
    "linear_to_srgb",
    "log_chromaticity",
    "log_rgb",
    "maps_of",
    "measure_folder",
    "parse_isd",
    "preset",
    "project",
    "read_bayer",
    "read_grey",
    "read_isd_map",
    "read_linear",
    "read_rgb",
    "shadow_mask",
    "shadow_ratio",
    "srgb_to_linear",
    "summary_json",
    "tiff_metadata",
    "unit_isd",
    "write_png8",
    "write_tiff",
    "write_tiff16",
]
