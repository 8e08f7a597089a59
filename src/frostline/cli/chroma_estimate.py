"""`frostline chroma estimate`: the illuminant spectral direction of images."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frostline.cli.chroma import TransferOption

if TYPE_CHECKING:
    from frostline.imaging.estimate import DatasetEstimate, Estimator


class Method(str, Enum):
    """Ways to the direction."""

    EDGES = "edges"
    ENTROPY = "entropy"
    PAIRS = "pairs"
    FIXED = "fixed"
    MAP = "map"


def estimate(
    src: Annotated[Path, typer.Argument(help="Folder of TIFF, PNG or JPEG images, a dataset, or one image.")],
    *,
    method: Annotated[
        Method | None,
        typer.Option(help="Where the direction comes from; without it edges.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option(help="YAML file to write; the figure goes beside it.")] = Path("isd.yaml"),
    per_image: Annotated[bool, typer.Option("--per-image", help="Also write each image's own direction.")] = False,
    pairs: Annotated[
        Path | None,
        typer.Option("--pairs", help='pairs: JSON {"stem": [{"lit": [x, y], "shadow": [x, y]}, ...]}.'),
    ] = None,
    lit: Annotated[Path | None, typer.Option(help="pairs: mask of lit pixels, or a folder of them.")] = None,
    shadow: Annotated[Path | None, typer.Option(help="pairs: mask of the same materials in shadow.")] = None,
    isd: Annotated[
        str | None, typer.Option(help="fixed: red,green,blue, or YAML with cameras.", metavar="R,G,B|FILE")
    ] = None,
    maps: Annotated[Path | None, typer.Option(help="map: folder of maps; without it beside the images.")] = None,
    map_suffix: Annotated[
        str | None, typer.Option(help="map: end of a map's name: .npy in --maps, else .isd.npy.", show_default=False)
    ] = None,
    transfer: Annotated[
        TransferOption, typer.Option(help="What the values are; auto: 8 bits sRGB, 16 bits linear.")
    ] = TransferOption.AUTO,
    workers: Annotated[int | None, typer.Option(help="Processes; without it one a core.", min=1)] = None,
) -> None:
    """Estimate the illuminant spectral direction of images: how a surface moves in log-RGB when the sun is taken away.

    Writes a YAML file for chroma convert --isd, and a figure that shows why. Without --method it looks for edges
    of shadows. An image that cannot be read is named at the end and the rest counts: exit status 1.

    Example: frostline chroma estimate scenes/linear --method edges --out isd.yaml
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from frostline.imaging.estimate import estimate_folder, write_isd

    chosen = method or Method.EDGES
    _refuse_foreign(chosen, pairs=pairs, lit=lit, shadow=shadow, isd=isd, maps=maps, map_suffix=map_suffix)
    _check_out(out)
    estimator = _estimator(src, chosen, pairs, (lit, shadow), isd, (maps, map_suffix))
    errors = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("images", total=None)
        found = estimate_folder(
            src,
            estimator,
            workers=workers,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            transfer=transfer.value,
        )
    own = write_isd(out, found, per_image=per_image)
    figure = _draw(src, estimator, found, out.with_suffix(".png"), transfer)
    console = Console(highlight=False, emoji=False, soft_wrap=True)
    for line in _told(found, chosen_by_us=method is None, own=own if per_image else None):
        console.print(line, markup=False)
    console.print(f"wrote {out}, {figure}", markup=False)
    for name, reason in found.failed.items():
        errors.print(f"{name}: {reason}", markup=False)
    if found.failed:
        raise typer.Exit(1)


def _refuse_foreign(method: Method, **given: Path | str | None) -> None:
    """Refuse an option that belongs to another method, instead of leaving it unheard."""
    from frostline.errors import InputError

    belongs = {
        "pairs": Method.PAIRS,
        "lit": Method.PAIRS,
        "shadow": Method.PAIRS,
        "isd": Method.FIXED,
        "maps": Method.MAP,
        "map_suffix": Method.MAP,
    }
    for name, value in given.items():
        if value is not None and belongs[name] is not method:
            option = name.replace("_", "-")
            raise InputError(f"--{option} belongs to --method {belongs[name].value}, not to {method.value}")


def _check_out(out: Path) -> None:
    from frostline.errors import InputError

    if out.suffix.lower() not in (".yaml", ".yml"):
        raise InputError(f"--out {out}: expected a name that ends in .yaml")
    if out.is_dir():
        raise InputError(f"--out {out}: is a folder; expected a file to write")


def _estimator(
    src: Path,
    method: Method,
    points: Path | None,
    masks: tuple[Path | None, Path | None],
    isd: str | None,
    maps: tuple[Path | None, str | None],
) -> Estimator:
    from frostline.errors import InputError
    from frostline.imaging import maps_of, parse_isd
    from frostline.imaging.estimate import Edges, Entropy, Fixed, Maps, Pairs, read_points

    if method is Method.EDGES:
        return Edges()
    if method is Method.ENTROPY:
        return Entropy()
    if method is Method.FIXED:
        if isd is None:
            raise InputError("--method fixed needs --isd: red,green,blue, or a YAML file with cameras")
        return Fixed(parse_isd(isd))
    if method is Method.MAP:
        root = src.parent if src.is_file() else src
        return Maps(**vars(maps_of(root, *maps)))
    both = all(mask is not None for mask in masks)
    if any(mask is not None for mask in masks) != both or (points is not None) == both:
        raise InputError("--method pairs needs either --pairs FILE, or both --lit and --shadow")
    return Pairs(read_points(points)) if points is not None else Pairs(lit=masks[0], shadow=masks[1])


def _draw(src: Path, estimator: Estimator, found: DatasetEstimate, out: Path, transfer: TransferOption) -> Path:
    from frostline.imaging import read_linear
    from frostline.imaging.estimate import images_of
    from frostline.report import draw_estimate

    root, _ = images_of(src)
    linear = read_linear(root / found.example, transfer.value)
    example = estimator.estimate(linear, Path(found.example))
    drawn: Path = draw_estimate(linear, example, out, found.example, found)
    return drawn


def _told(found: DatasetEstimate, *, chosen_by_us: bool, own: int | None) -> list[str]:
    red, green, blue = (f"{component:.4f}" for component in found.isd.tolist())
    trusted, count = len(found.trusted), len(found.images)
    taken = " (taken as no --method was given)" if chosen_by_us else ""
    lines = [
        f"method: {found.method}{taken}",
        f"isd: {red},{green},{blue}   confidence {found.confidence:.2f}",
        f"images: {count}, of which {trusted} give a confidence of 0.2 or more on their own",
    ]
    if own is not None:
        lines.append(f"own directions written: {own}; the other {count - own} images take the direction of all")
    agreeing = len(found.agreeing)
    if count > 1:
        lines.append(f"{agreeing} of {count} images have a direction of their own within 3 degrees of it")
    if found.confidence < 0.2 or (count > 1 and 2 * agreeing < count):
        lines.append("this is little to rely on: the images disagree or show little; look at the figure first")
    return lines
