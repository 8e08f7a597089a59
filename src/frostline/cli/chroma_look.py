"""`frostline chroma measure` and `frostline chroma view`: what the projection did to a dataset, or to one image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from frostline.cli.batch import Workers, end, progress_bar


def measure(
    src: Annotated[Path, typer.Argument(help="The folder that was converted.")],
    dst: Annotated[Path, typer.Argument(help="What chroma convert made of it.")],
    *,
    masks: Annotated[Path, typer.Option(help="Shadow masks: 0 lit, 255 in shadow; same names.")],
    out: Annotated[Path | None, typer.Option(help="JSON file for the numbers, by image.")] = None,
    workers: Workers = None,
) -> None:
    """Measure the contrast of shadows before and after, and the texture that is left.

    Lit and shadowed pixels of one surface are compared where they meet, in tiles of 24 pixels.

    Example: frostline chroma measure scenes/linear scenes/chroma --masks scenes/masks
    """
    from frostline.cli.console import plain_table, show
    from frostline.errors import InputError
    from frostline.files import write_text
    from frostline.imaging import measure_folder, summary_json

    with progress_bar("images") as progress:
        summary = measure_folder(src, dst, masks, workers=workers, progress=progress)
    overall = summary.overall
    falls = sorted(contrast.fall_db for contrast in summary.images.values())
    middle = falls[len(falls) // 4], falls[-1 - len(falls) // 4]
    table = plain_table("", "before", "after", left=frozenset({""}))
    table.add_row("shadow contrast, log units", f"{overall.before:.3f}", f"{overall.after:.3f}")
    table.add_row("texture, share of before", "1", f"{overall.texture:.2f}")
    show(
        table,
        f"shadow contrast falls by {overall.fall_db:.1f} dB (half of the images: {middle[0]:.1f} to {middle[1]:.1f})",
        f"median over {overall.places} places of {len(summary.images)} images; {len(summary.without)} without a place",
    )
    told = "texture: rms within lit tiles; noise counts as texture"
    if out is not None:
        try:
            write_text(out, summary_json(summary))
        except OSError as error:
            raise InputError(f"--out {out}: cannot be written ({error.strerror or error})") from None
        told += f"\nwrote {out}"
    end(told, summary.failed)


def view(
    image: Annotated[Path, typer.Argument(help="A linear or sRGB image: TIFF, PNG or JPEG.")],
    *,
    isd: Annotated[
        str,
        typer.Option(
            help="Illuminant spectral direction: red,green,blue, or an isd.json.",
            metavar="R,G,B|FILE",
            show_default=False,
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="PNG to write.  [default: NAME.chroma.png here]")] = None,
    anchor: Annotated[
        float, typer.Option(help="Point of the projection plane on the grey diagonal, log units.")
    ] = 10.4,
    transfer: Annotated[str, typer.Option(help="What the values are: auto, linear or srgb.")] = "auto",
) -> None:
    """Draw what the projection does to an image: input, log-RGB with the direction, projection, result, histogram.

    Example: frostline chroma view scenes/linear/images/train/scene_00000.tiff --isd scenes/isd.json --out view.png
    """
    from frostline.imaging import parse_isd
    from frostline.report.view import draw_view

    target = out or Path(f"{image.stem}.chroma.png")
    draw_view(image, parse_isd(isd).of(image), target, anchor=anchor, transfer=transfer)  # type: ignore[arg-type]
    end(f"wrote {target}", [])
