"""Pixels: linear RGB, the illuminant spectral direction, log-chromaticity, conversion of folders. No torch here."""

from __future__ import annotations

from frostline.imaging.chroma import ANCHOR, LOG_SPAN, chroma_image, encode_log, log_chromaticity, log_rgb, project
from frostline.imaging.convert import ConversionSummary, Failure, convert_folder
from frostline.imaging.io import IMAGE_SUFFIXES, read_linear, read_rgb, write_png8, write_tiff16
from frostline.imaging.isd import IsdTable, parse_isd, unit_isd
from frostline.imaging.srgb import FULL_SCALE, linear_to_srgb, srgb_to_linear

__all__ = [
    "ANCHOR",
    "FULL_SCALE",
    "IMAGE_SUFFIXES",
    "LOG_SPAN",
    "ConversionSummary",
    "Failure",
    "IsdTable",
    "chroma_image",
    "convert_folder",
    "encode_log",
    "linear_to_srgb",
    "log_chromaticity",
    "log_rgb",
    "parse_isd",
    "project",
    "read_linear",
    "read_rgb",
    "srgb_to_linear",
    "unit_isd",
    "write_png8",
    "write_tiff16",
]
