"""`frostline raw`: camera files to linear images."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frostline.cli.batch import Workers, end, progress_bar
from frostline.cli.scenes import parse_size

if TYPE_CHECKING:
    from frostline.imaging import BayerGeometry

app = typer.Typer(no_args_is_help=True)


class Compression(str, Enum):
    """How a TIFF is packed."""

    NONE = "none"
    LZW = "lzw"
    DEFLATE = "deflate"
    ZSTD = "zstd"


class ByteOrder(str, Enum):
    """How bytes or bits follow each other."""

    LITTLE = "little"
    BIG = "big"
    MIPI = "mipi"


@app.callback()
def raw() -> None:
    """Develop RAW files.

    Example: frostline raw convert camera linear
    """


@app.command("convert")
def convert(
    src: Annotated[Path, typer.Argument(help="A RAW file, or a folder of them.")],
    dst: Annotated[Path, typer.Argument(help="Folder to write; new, or one to resume.")],
    *,
    preset: Annotated[str | None, typer.Option(help="Layout of headerless .raw files: huawei-rod.")] = None,
    width: Annotated[int | None, typer.Option(help="Pixels a row of a headerless file.")] = None,
    height: Annotated[int | None, typer.Option(help="Rows of a headerless file.")] = None,
    bits: Annotated[int | None, typer.Option(help="10, 12, 14, 16 or 24 a pixel.  [default: 16]")] = None,
    byte_order: Annotated[ByteOrder | None, typer.Option(help="Order of bytes or bits.  [default: little]")] = None,
    pattern: Annotated[str | None, typer.Option(help="RGGB, BGGR, GRBG or GBRG.  [default: RGGB]")] = None,
    black_level: Annotated[int, typer.Option(help="Of headerless files, sensor units.", min=0)] = 0,
    white_balance: Annotated[
        str, typer.Option(help="none, camera, grey (grey-world), or gains.", metavar="none|camera|grey|R,G,B")
    ] = "none",
    percentile: Annotated[
        float | None, typer.Option(help="Becomes full scale; 0: off.  [default: off; 99.5 with huawei-rod]")
    ] = None,
    resize: Annotated[str | None, typer.Option(help="Width and height in pixels.", metavar="WxH")] = None,
    compression: Annotated[Compression, typer.Option(help="Of the TIFFs.")] = Compression.NONE,
    workers: Workers = None,
) -> None:
    """Convert camera RAW or headerless Bayer files to linear 16-bit TIFFs.

    No brightening, no curve, the sensor's own colours. Each TIFF says how it was made. A file that cannot be read is
    named at the end and the rest is converted: exit status 1. Run it again to resume.

    Example: frostline raw convert rod linear --preset huawei-rod --resize 1440x928
    """
    from frostline.imaging import RawOptions, convert_raw

    geometry = _geometry(
        preset,
        width=width,
        height=height,
        bits=bits,
        byte_order=byte_order.value if byte_order else None,
        pattern=pattern.upper() if pattern else None,
    )
    if percentile is None and preset is not None:
        percentile = 99.5
    options = RawOptions(
        geometry,
        _white_balance(white_balance),
        percentile or None,
        black_level,
        parse_size(resize, "--resize") if resize else None,
    )
    with progress_bar("files") as progress:
        summary = convert_raw(src, dst, options, compression.value, workers=workers, progress=progress)
    counts = f"converted {summary.done}, skipped {summary.skipped} (unchanged), failed {len(summary.failed)}"
    end(f"{counts}\nwrote {dst}", summary.failed)


def _geometry(name: str | None, **given: object) -> BayerGeometry | None:
    """Take the preset with what was given on top, or what was given alone; None if nothing was."""
    from frostline.errors import InputError
    from frostline.imaging import BayerGeometry, preset

    values = {key: value for key, value in given.items() if value is not None}
    if name is not None:
        return replace(preset(name), **values)  # type: ignore[arg-type]
    if values and not {"width", "height"} <= values.keys():
        raise InputError("a headerless file needs both --width and --height, or --preset")
    return BayerGeometry(**values) if values else None  # type: ignore[arg-type]


def _white_balance(text: str) -> str | tuple[float, float, float]:
    from frostline.errors import InputError

    if "," not in text:
        return text
    try:
        red, green, blue = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--white-balance {text}: expected none, camera, grey or gains like 2.0,1,1.6") from None
    return red, green, blue
