"""A dataset as Ultralytics takes it, without what its data.yaml could make Ultralytics do.

A `download:` in a data.yaml is executed as soon as a path is missing, and a YAML that is an archive at the same time is
unpacked. Here nothing is downloaded, unpacked or executed, and a path that goes missing is an error.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from frostline.datasets.dataset import load_dataset
from frostline.errors import InputError


def described(data: str | Path) -> dict[str, Any]:
    """Return what Ultralytics' `check_det_dataset` makes of a data.yaml, with nothing downloaded or executed.

    Args:
        data: as in `load_dataset`.

    Raises:
        InputError: see `load_dataset`; or a path went missing in between.
    """
    from ultralytics.data.utils import check_det_dataset

    file = load_dataset(data).yaml
    try:
        return dict(check_det_dataset(str(file), autodownload=False))
    except (FileNotFoundError, SyntaxError, TypeError) as error:
        raise InputError(f"{file}: {' '.join(str(error).split())}") from error


@contextmanager
def harmless_copy(data: str | Path) -> Iterator[str]:
    """Give a data.yaml that says the same in absolute paths, and nothing else that Ultralytics would act upon.

    Its validator reads the file itself, and asks nobody what to do about a missing path.

    Args:
        data: as in `load_dataset`.

    Yields:
        The path of the copy, which is removed afterwards.
    """
    content = {key: value for key, value in described(data).items() if key not in ("download", "yaml_file")}
    plain = {key: str(value) if isinstance(value, Path) else value for key, value in content.items()}
    with tempfile.TemporaryDirectory(prefix="frostline-") as folder:
        copy = Path(folder) / "data.yaml"
        copy.write_text(yaml.safe_dump(plain), encoding="utf-8")
        yield str(copy)
