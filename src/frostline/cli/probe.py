"""`frostline probe`: what a model and a dataset say before any training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frostline.cli import options as o

if TYPE_CHECKING:
    from frostline.probing import Probe


def probe(
    model: o.Model,
    data: o.Data,
    source: Annotated[
        Path | None,
        typer.Option("--source", metavar="DIR", help="Source versions of the dataset's images, by the same names."),
    ] = None,
    weights: o.Weights = None,
    batches: Annotated[int, typer.Option("--batches", help="Batches of training images to measure, at least 2.")] = 8,
    batch: Annotated[int, typer.Option("--batch", help="Images a batch.")] = 8,
    imgsz: Annotated[int, typer.Option("--imgsz", help="Image size, pixels.")] = 640,
    adapt_steps: Annotated[
        int, typer.Option("--adapt-steps", help="Optimizer steps that fresh tensors of the head get first, on a copy.")
    ] = 30,
    adapt_lr: Annotated[float, typer.Option("--adapt-lr", help="Learning rate of those steps (AdamW).")] = 0.01,
    seed: o.Seed = 0,
    device: o.Device = None,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FIGURE", help="The figure: .png, .svg or .pdf. A JSON file goes beside it."),
    ] = Path("probe.png"),
    write_study: Annotated[
        Path | None, typer.Option("--write-study", metavar="FILE", help="Write the recommended study: study.yaml.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of the table.")] = False,
    trust_checkpoint: o.Trust = False,
    allow_outside: o.AllowOutside = False,
) -> None:
    """Measure gradients, drift, similarity and cost layer by layer, and say which arms are worth running.

    Nothing is trained, and nothing of yours is changed.

    Examples:

        frostline probe yolo11s.pt data.yaml

        frostline probe yolo11s.pt chroma/data.yaml --source srgb/images --write-study study.yaml
    """
    from frostline.cli.bar import bar
    from frostline.cli.console import pure_stdout
    from frostline.errors import InputError
    from frostline.files import write_json, write_text

    _check_outputs(out, write_study)
    with pure_stdout(as_json):
        from frostline.probing import probe as measure
        from frostline.report import draw_probe
        from frostline.studies.probed import probe_study

        with bar("probing") as progress:
            found = measure(
                model, data, source=source, weights=weights, batches=batches, batch=batch, imgsz=imgsz,
                adapt_steps=adapt_steps, adapt_lr=adapt_lr, seed=seed, device=device, trust=trust_checkpoint,
                progress=progress,
            )  # fmt: skip
        try:
            draw_probe(found, f"{Path(model).name} on {Path(data).parent.name or data}", out)
            write_json(out.with_suffix(".json"), found.to_dict())
            if write_study is not None:
                write_text(write_study, probe_study(found, write_study.stem).to_yaml())
        except OSError as error:
            raise InputError(f"{error.filename or out}: cannot be written ({error.strerror or error})") from error
    if as_json:
        from frostline.files import finite

        typer.echo(json.dumps(finite(found.to_dict()), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _print(found)
    typer.echo(f"figure  {out}", err=as_json)
    typer.echo(f"JSON    {out.with_suffix('.json')}", err=as_json)
    if write_study is not None:
        typer.echo(f"study   {write_study} (frostline study run {write_study})", err=as_json)


def _check_outputs(out: Path, study: Path | None) -> None:
    """Refuse names that cannot be written, before minutes of work."""
    from frostline.errors import InputError

    if out.suffix.lower() not in {".png", ".svg", ".pdf"}:
        raise InputError(f"--out {out}: expected a name that ends in .png, .svg, .pdf")
    if study is not None:
        if study.suffix.lower() not in {".yaml", ".yml"}:
            raise InputError(f"--write-study {study}: expected a name that ends in .yaml")
        if study.exists():
            raise InputError(f"--write-study {study}: exists already; choose another name or remove it")


def _print(found: Probe) -> None:
    from frostline.cli.console import plain_table, show

    left = frozenset({"type", "role"})
    compared = ["CKA"] if found.pairs else []
    table = plain_table(
        "#", "type", "role", "params", "rel. gradient", "signal/noise", "mean shift", "var. shift", "KL", *compared,
        left=left,
    )  # fmt: skip
    for layer in found.layers:
        if layer.gradient is None and layer.drift is None:
            continue
        gradient, drift = layer.gradient, layer.drift
        cells = [str(layer.index), layer.type, layer.role, f"{layer.parameters:,}"]
        cells += [f"{gradient.relative:.3g}", f"{gradient.snr:.2f}"] if gradient else ["", ""]
        cells += [f"{v:.2f}" for v in (drift.mean_shift, drift.variance_shift, drift.kl)] if drift else [""] * 3
        if compared:
            cells.append("" if layer.similarity is None else f"{layer.similarity:.3f}")
        table.add_row(*cells)
    show(table, "")
    costs = plain_table("frozen", "trainable", "step", "activations")
    full = found.depths[0]
    for cost in found.depths:
        costs.add_row(
            f"first {cost.depth}" if cost.depth else "nothing",
            f"{cost.trainable:,}",
            f"{1000 * cost.step_seconds:,.0f} ms ({cost.step_seconds / full.step_seconds:.0%})",
            f"{cost.activation_bytes / 2**20:,.0f} MiB ({cost.activation_bytes / full.activation_bytes:.0%})",
        )
    ranked = " > ".join(found.ranking.order)
    settings = found.settings
    lines = (
        f"measured on {settings['batches']} batches of {settings['batch']} images at {settings['imgsz']} px, "
        f"without augmentation, on {found.device}",
        *found.notes,
        *([f"CKA of {found.pairs} pairs of source and target images"] if found.pairs else []),
        f"to train alone: {ranked}",
        "",
        *found.recommendation.sentences,
    )
    show(costs, *lines)
