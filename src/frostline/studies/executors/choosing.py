"""Where runs are carried out, as a study file or `--on` says it."""

from __future__ import annotations

from dataclasses import dataclass

from frostline.errors import did_you_mean, shown

KINDS = ("here", "processes", "ray", "slurm")


@dataclass(frozen=True)
class Place:
    """Where runs are carried out.

    Attributes:
        kind: one of `KINDS`.
        count: processes at a time, or None to let the executor choose.
    """

    kind: str = "here"
    count: int | None = None

    @classmethod
    def parse(cls, text: object) -> Place:
        """Read `here`, `processes`, `processes:2`, `ray` or `slurm`.

        Raises:
            ValueError: something else.
        """
        kind, colon, count = str(text).strip().partition(":")
        if kind not in KINDS:
            known = ", ".join(KINDS).replace("processes", "processes:N")
            raise ValueError(f"on: {shown(text)}: no such place{did_you_mean(kind, KINDS)}; there are {known}")
        if not colon:
            return cls(kind)
        if kind != "processes":
            raise ValueError(f"on: {shown(text)}: only processes takes a number")
        if not count.isdigit() or int(count) < 1:
            raise ValueError(f"on: {shown(text)}: expected a number of processes such as processes:2")
        return cls(kind, int(count))
