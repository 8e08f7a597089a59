"""The dataset class that a split needs, built with Ultralytics' own arguments."""

from __future__ import annotations

from typing import Any

from ultralytics.data.utils import get_split_fraction
from ultralytics.utils import colorstr

from frostline.datasets.dataset import Dataset
from frostline.datasets.fast import FastDataset, FastExactDataset
from frostline.datasets.image_cache import ImageCache
from frostline.datasets.pixel_format import PixelFormat
from frostline.datasets.scanned import ScannedDataset
from frostline.errors import InputError


def build_split(
    args: Any,
    images: str,
    batch: int | None,
    data: dict[str, Any],
    pixels: PixelFormat,
    *,
    mode: str,
    rect: bool,
    stride: int,
    keep: int | None = None,
    sample_seed: int = 0,
    images_kept: ImageCache | None = None,
    direct_mosaic: bool = True,
) -> Any:
    """Build a split's dataset.

    8-bit images that OpenCV reads get exactly the tensors of Ultralytics' own dataset, and with nothing to make faster
    that dataset itself, but for where it keeps the labels that it has read.

    Args:
        args: Ultralytics' arguments.
        images: the split's images, as data.yaml names them.
        batch: images a batch, for rectangular batches.
        data: Ultralytics' reading of data.yaml.
        pixels: of the dataset.
        mode: `train`, which augments, or `val`.
        rect: rectangular batches.
        stride: of the model.
        keep: images at most, a seeded sample; None for all.
        sample_seed: of that sample.
        images_kept: keeps images decoded, unless `args.cache` asks Ultralytics to; the tensors are the same.
        direct_mosaic: warp the tiles of a mosaic straight into the image; the tensors are the same.
    """
    split = "train" if mode == "train" else (args.split or "val")
    fraction = get_split_fraction(args.fraction, split)
    direct_mosaic = direct_mosaic and mode == "train"
    fast: dict[str, Any] = {
        "pixels": pixels,
        "images": None if args.cache else images_kept,
        "direct_mosaic": direct_mosaic,
        "keep": keep,
        "sample_seed": sample_seed,
    }
    plain = not (pixels.exact or keep is not None or images_kept is not None or direct_mosaic)
    kind: Any = FastExactDataset if pixels.exact else ScannedDataset if plain else FastDataset
    return kind(
        img_path=images,
        imgsz=args.imgsz,
        batch_size=batch,
        augment=mode == "train",
        hyp=args,
        rect=args.rect or rect,
        cache=args.cache or None,
        single_cls=args.single_cls or False,
        stride=stride,
        pad=0.0 if mode == "train" else 0.5,
        prefix=colorstr(f"{mode}: "),
        task="detect",
        classes=args.classes,
        data=data,
        fraction=1.0 if data.get("complete") else fraction,
        **({} if plain else fast),
    )


def check_nothing_dropped(known: Dataset, train_loader: Any, val_loader: Any) -> None:
    """Make sure that Ultralytics took every image: it leaves out what it cannot read, with a warning at most.

    Raises:
        InputError: it did not.
    """
    for name, files, loader in (("train", known.train, train_loader), ("val", known.val, val_loader)):
        missing = sorted({str(file) for file in files} - set(loader.dataset.im_files))
        if missing:
            raise InputError(
                f"{missing[0]}: Ultralytics left {len(missing)} of {len(files)} {name} images out as unreadable; "
                "frostline data check tells why"
            )
