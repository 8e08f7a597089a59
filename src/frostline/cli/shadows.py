"""`frostline shadows`: stress by shadows that were not there."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from frostline.cli.batch import Workers, end, progress_bar

app = typer.Typer(no_args_is_help=True)


class StrengthOption(str, Enum):
    """How much light a shadow takes."""

    LIGHT = "light"
    MODERATE = "moderate"
    HEAVY = "heavy"


@app.callback()
def shadows() -> None:
    """Cast shadows on images.

    Example: frostline shadows cast scenes/linear scenes/stressed
    """


@app.command("cast")
def cast(
    src: Annotated[Path, typer.Argument(help="Folder of linear or sRGB images, or a dataset with data.yaml.")],
    dst: Annotated[Path, typer.Argument(help="Folder to write; new, or one to resume.")],
    *,
    count: Annotated[int, typer.Option(help="Shadows an image.", min=1)] = 1,
    strength: Annotated[StrengthOption, typer.Option(help="How much light they take.")] = StrengthOption.MODERATE,
    seed: Annotated[int, typer.Option(help="The same seed and names, the same shadows.", min=0)] = 0,
    workers: Workers = None,
) -> None:
    """Make a copy of a dataset with shadows cast on its images, and masks of them.

    Shadows are cast in linear light and are bluer than the sun. A log-chromaticity dataset is refused: it has no
    illumination left.

    Example: frostline shadows cast scenes/srgb scenes/stressed --count 2 --strength heavy --seed 0
    """
    from frostline.imaging import cast_folder

    with progress_bar("images") as progress:
        summary = cast_folder(src, dst, count, strength.value, seed, workers=workers, progress=progress)
    counts = f"cast on {summary.done}, skipped {summary.skipped} (unchanged), failed {len(summary.failed)}"
    end(f"{counts}\nwrote {dst}, masks in {dst / 'masks'}", summary.failed)
