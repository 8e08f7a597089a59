"""`frostline chroma`: images to log-chromaticity."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from frostline.imaging import ConversionSummary

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
        str,
        typer.Option(
            help="Illuminant spectral direction: red,green,blue, or the file of chroma estimate or of scenes.",
            metavar="R,G,B|FILE",
            show_default=False,
        ),
    ],
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
    workers: Annotated[int | None, typer.Option(help="Processes; without it one a core.", min=1)] = None,
) -> None:
    """Convert a folder of images, or a dataset, to log-chromaticity.

    sRGB images are linearised first. A dataset keeps its folders, labels and data.yaml. An image that cannot be read is
    named at the end and the rest is converted: exit status 1. Run it again to resume.

    Example: frostline chroma convert photos photos-chroma --isd 0.68,0.58,0.45 --encode log
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from frostline.imaging import convert_folder, parse_isd

    errors = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("images", total=None)
        summary = convert_folder(
            src,
            dst,
            parse_isd(isd),
            anchor,
            encode.value,
            bits=int(bits.value),
            workers=workers,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            transfer=transfer.value,
        )
    console = Console(highlight=False, emoji=False, soft_wrap=True)
    console.print(_told(summary), markup=False)
    console.print(f"wrote {dst}", markup=False)
    for failure in summary.failed:
        errors.print(f"{failure.image}: {failure.reason}", markup=False)
    if summary.failed:
        raise typer.Exit(1)


def _told(summary: ConversionSummary) -> str:
    parts = [
        f"converted {summary.converted}",
        f"skipped {summary.skipped} (unchanged)",
        f"failed {len(summary.failed)}",
    ]
    if summary.linearised:
        parts.append(f"linearised from sRGB {summary.linearised}")
    if summary.removed:
        parts.append(f"removed {summary.removed} (source gone or failed)")
    return ", ".join([*parts, f"labels {summary.labels}"])
