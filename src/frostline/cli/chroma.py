"""`frostline chroma`: images to log-chromaticity."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frostline.cli.batch import end, progress_bar

if TYPE_CHECKING:
    from frostline.imaging import ConversionSummary, IsdMaps, IsdTable

app = typer.Typer(no_args_is_help=True)


class Encode(str, Enum):
    """Forms in which log-chromaticity is stored."""

    LINEAR = "linear"
    LOG = "log"


class Bits(str, Enum):
    """Sizes of a stored channel."""

    SIXTEEN = "16"
    EIGHT = "8"


class TransferOption(str, Enum):
    """What stored values mean."""

    AUTO = "auto"
    LINEAR = "linear"
    SRGB = "srgb"


@app.callback()
def chroma() -> None:
    """Take the illumination out of images.

    Example: frostline chroma convert scenes/linear scenes/chroma --isd scenes/isd.json
    """


@app.command("convert")
def convert(
    src: Annotated[Path, typer.Argument(help="Folder of TIFF, PNG or JPEG images, or a dataset with data.yaml.")],
    dst: Annotated[Path, typer.Argument(help="Folder to write; new, or one to resume.")],
    *,
    isd: Annotated[
        str | None,
        typer.Option(
            help="Illuminant spectral direction: red,green,blue, or the file of chroma estimate or of scenes.",
            metavar="R,G,B|FILE",
            show_default=False,
        ),
    ] = None,
    isd_maps: Annotated[
        Path | None,
        typer.Option(help="Instead of --isd: folder of maps, one an image, a direction a pixel.", show_default=False),
    ] = None,
    isd_map_suffix: Annotated[
        str | None,
        typer.Option(
            help="End of a map's name: .npy in --isd-maps; alone, maps lie beside the images: .isd.npy.",
            metavar="SUFFIX",
            show_default=False,
        ),
    ] = None,
    anchor: Annotated[
        float, typer.Option(help="Point of the projection plane on the grey diagonal, log units.")
    ] = 10.4,
    encode: Annotated[
        Encode, typer.Option(help="Store exponentiated values, or log values over all codes.")
    ] = Encode.LINEAR,
    bits: Annotated[Bits, typer.Option(help="16: TIFF; 8: PNG.")] = Bits.SIXTEEN,
    transfer: Annotated[
        TransferOption, typer.Option(help="What the values are; auto: 8 bits sRGB, 16 bits linear.")
    ] = TransferOption.AUTO,
    mask_saturated: Annotated[bool, typer.Option("--mask-saturated", help="Pixels at full scale become 0.")] = False,
    suffix: Annotated[str, typer.Option(help="Between name and ending; labels get it too.")] = "",
    previews: Annotated[bool, typer.Option("--previews", help="Also 8-bit PNGs, below previews/.")] = False,
    start: Annotated[
        str | None, typer.Option("--from", help="Image to begin with; those before stay as they are.", metavar="NAME")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; without it one a core.", min=1)] = None,
) -> None:
    """Convert a folder of images, or a dataset, to log-chromaticity.

    sRGB images are linearised first. A dataset keeps its folders, labels and data.yaml. An image that cannot be read is
    named at the end and the rest is converted: exit status 1. Run it again to resume.

    Example: frostline chroma convert photos photos-chroma --isd 0.68,0.58,0.45 --encode log
    """
    from frostline.imaging import convert_folder

    directions = _directions(src, isd, isd_maps, isd_map_suffix)
    with progress_bar("images") as progress:
        summary = convert_folder(
            src,
            dst,
            directions,
            anchor,
            encode.value,
            bits=int(bits.value),
            workers=workers,
            progress=progress,
            transfer=transfer.value,
            mask_saturated=mask_saturated,
            suffix=suffix,
            previews=previews,
            start=start,
        )
    end(f"{_told(summary)}\nwrote {dst}", [(failure.image, failure.reason) for failure in summary.failed])


def _directions(src: Path, isd: str | None, folder: Path | None, suffix: str | None) -> IsdTable | IsdMaps:
    from frostline.errors import InputError
    from frostline.imaging import maps_of, parse_isd

    mapped = folder is not None or suffix is not None
    if (isd is None) != mapped:
        which = "both were given" if mapped else "neither was given"
        raise InputError(f"expected either --isd, or --isd-maps or --isd-map-suffix; {which}")
    return parse_isd(isd) if isd is not None else maps_of(src, folder, suffix)


def _told(summary: ConversionSummary) -> str:
    parts = [
        f"converted {summary.converted}",
        f"skipped {summary.skipped} (unchanged)",
        f"failed {len(summary.failed)}",
    ]
    if summary.linearised:
        parts.append(f"linearised from sRGB {summary.linearised}")
    if summary.saturated:
        parts.append(f"with saturated pixels {summary.saturated}")
    if summary.removed:
        parts.append(f"removed {summary.removed} (source gone or failed)")
    return ", ".join([*parts, f"labels {summary.labels}"])
