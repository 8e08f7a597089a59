"""Datasets of one study, which must pair by the names of their validation images."""

from __future__ import annotations

from frostline.errors import InputError
from frostline.training import CheckedData


def check_pairing(data: list[tuple[str, CheckedData]]) -> None:
    """Make sure that arms with their own data show the same validation images.

    A difference between them means nothing otherwise.

    Args:
        data: each data.yaml and what is in it.

    Raises:
        InputError: other classes, or other names of validation images.
    """
    if len(data) < 2:
        return
    (first_path, first), *others = data
    names = {image.stem for image in first.dataset.val}
    for path, checked in others:
        if checked.dataset.names != first.dataset.names:
            raise InputError(f"{path} has other classes than {first_path}; arms of one study share their classes")
        theirs = {image.stem for image in checked.dataset.val}
        if theirs != names:
            raise InputError(
                f"{path} does not pair with {first_path}: {len(names ^ theirs)} validation image names are in one only"
            )
