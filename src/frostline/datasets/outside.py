"""Where a dataset ends: paths of a data.yaml that lead out of it are the user's decision, not the file's.

A dataset is what lies below its data.yaml, and below its `path:`. Whoever writes `path: /data/coco` says where it is;
an entry such as `train: ../../etc`, and a line of an image list, that leads elsewhere may be a stranger's wish to have
other files read, and is followed only when the user says so. Paths are judged as they are written: symbolic links are
made by whoever set up this disk, and are followed.
"""

from __future__ import annotations

import os
from pathlib import Path

ALLOW = "FROSTLINE_ALLOW_OUTSIDE"
"""Environment variable: `1` lets datasets lead out. In the environment, as a run's own processes must know it too."""

ALLOW_ADVICE = "pass --allow-outside if that is meant"


def outside_allowed() -> bool:
    """Tell whether the user lets datasets lead out of their folders."""
    return os.environ.get(ALLOW, "") not in ("", "0")


def allow_outside(allow: bool = True) -> None:
    """Let datasets lead out of their folders, in this process and those that it starts.

    Args:
        allow: False takes it back.
    """
    if allow:
        os.environ[ALLOW] = "1"
    else:
        os.environ.pop(ALLOW, None)


def leads_outside(entry: str, root: Path, folder: Path) -> Path | None:
    """Return where an entry of a data.yaml leads, if that is outside the dataset.

    Args:
        entry: path as it is written.
        root: what `path:` says, or the folder of data.yaml.
        folder: of data.yaml.
    """
    place = Path(os.path.abspath(root / entry))  # noqa: PTH100 (as it is written: links are not followed)
    homes = {Path(os.path.abspath(home)) for home in (root, folder)} | {root.resolve(), folder.resolve()}  # noqa: PTH100
    return None if any(place.is_relative_to(home) for home in homes) else place
