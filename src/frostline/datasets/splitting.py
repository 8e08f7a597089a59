"""Which name goes to which split: by chance, with whole groups, or with the classes spread evenly.

Nothing here depends on the machine, the order of the input or a library's random numbers: names are sorted, and Python
promises the sequence of `random.Random(seed).random()`.
"""

from __future__ import annotations

import math
import random
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from frostline.errors import InputError

SPLITS = ("train", "val", "test")
_TOLERANCE = 1e-6


def parse_ratio(text: str) -> list[float]:
    """Read `0.8` (train, the rest validates) or `0.8,0.2` or `0.7,0.15,0.15` (train, val, test).

    Raises:
        InputError: it is none of these, or the shares do not add up to 1.
    """
    try:
        shares = [float(word) for word in text.split(",")]
    except ValueError:
        raise InputError(f"ratio '{text}': expected a share such as 0.8, or three such as 0.7,0.15,0.15") from None
    if len(shares) == 1:
        shares.append(1 - shares[0])
    if len(shares) > len(SPLITS) or not all(0 < share < 1 for share in shares):
        raise InputError(f"ratio '{text}': one to three shares for train, val and test, each between 0 and 1")
    if abs(sum(shares) - 1) > _TOLERANCE:
        raise InputError(f"ratio '{text}': the shares add up to {sum(shares):g} instead of 1")
    return shares


def group_names(names: Iterable[str], pattern: str | None) -> dict[str, list[str]]:
    """Put names together that a regular expression finds the same text in.

    Args:
        names: image names: paths below the folder without suffix, joined by `/`.
        pattern: searched in each name; its groups, or without any the whole match, name the group. None: each name is
            its own group.

    Returns:
        Group to names, both sorted.

    Raises:
        InputError: the pattern is none, or does not match every name.
    """
    ordered = in_order(names)
    if pattern is None:
        return {name: [name] for name in ordered}
    try:
        search = re.compile(pattern).search
    except re.error as error:
        raise InputError(f"--group-by '{pattern}': is no regular expression ({error})") from None
    groups: dict[str, list[str]] = {}
    missed: list[str] = []
    for name in ordered:
        match = search(name)
        if match is None:
            missed.append(name)
        else:
            key = "\0".join(part or "" for part in match.groups()) if match.groups() else match.group()
            groups.setdefault(key, []).append(name)
    if missed:
        raise InputError(
            f"--group-by '{pattern}': does not match {len(missed)} of {len(ordered)} names, the first: {missed[0]}"
        )
    return dict(sorted(groups.items()))


def split_groups(
    groups: Mapping[str, Sequence[str]],
    shares: Sequence[float],
    seed: int,
    present: Mapping[str, Iterable[int]] | None = None,
) -> dict[str, list[str]]:
    """Deal groups out to splits.

    With groups of one and without `present`, the splits have the sizes asked for, rounded down. Otherwise a group goes
    where most is missing, the largest first. With `present`, this is iterative stratification: Sechidis, Tsoumakas and
    Vlahavas, On the Stratification of Multi-Label Data, ECML PKDD 2011. The rarest class is dealt out first, to the
    split that lacks it most; images without boxes count as a class of their own. Groups are weighed by their images.

    Args:
        groups: group to names, from `group_names`.
        shares: of each split, adding up to 1.
        seed: breaks ties and picks the order.
        present: name to the class ids that occur in its image.

    Returns:
        The names of each split, sorted. No split is empty.

    Raises:
        InputError: there are fewer groups than splits.
    """
    if len(groups) < len(shares):
        plenty = sum(len(names) for names in groups.values()) >= len(shares)
        what = "group(s)" if plenty else "usable image(s)"
        raise InputError(f"{len(groups)} {what} cannot be split in {len(shares)}; at least {len(shares)} are needed")
    draw = random.Random(seed)
    ordered = in_order(groups)
    keys = {group: draw.random() for group in ordered}
    shuffled = sorted(ordered, key=keys.__getitem__)
    if present is None and all(len(names) == 1 for names in groups.values()):
        dealt = _by_count(shuffled, shares)
    else:
        shuffled.sort(key=lambda group: -len(groups[group]))
        labels = {group: _label_counts(groups[group], present) for group in shuffled}
        dealt = _Dealer({group: len(groups[group]) for group in shuffled}, labels, shares).deal()
    return {
        split: in_order(name for group in chosen for name in groups[group])
        for split, chosen in zip(SPLITS, dealt, strict=False)
    }


def in_order(names: Iterable[str]) -> list[str]:
    """Sort names so that it does not matter how a file system composes letters (macOS takes them apart)."""
    return sorted(names, key=lambda name: (unicodedata.normalize("NFC", name), name))


def _by_count(shuffled: Sequence[str], shares: Sequence[float]) -> list[list[str]]:
    total, dealt, start = len(shuffled), list[list[str]](), 0
    for position, share in enumerate(shares):
        later = len(shares) - position - 1
        count = total - start if not later else max(math.floor(total * share + 1e-9), 1)
        count = min(count, total - start - later)
        dealt.append(list(shuffled[start : start + count]))
        start += count
    return dealt


def _label_counts(names: Sequence[str], present: Mapping[str, Iterable[int]] | None) -> dict[int, int]:
    """Count a group's images by class; -1 stands for images without boxes."""
    counts: dict[int, int] = {}
    for name in names if present is not None else ():
        for index in set((present or {})[name]) or {-1}:
            counts[index] = counts.get(index, 0) + 1
    return counts


@dataclass
class _Dealer:
    """Groups not dealt out yet, and what every split still wants; `sizes` is in the order that breaks ties."""

    sizes: dict[str, int]
    labels: dict[str, dict[int, int]]
    shares: Sequence[float]

    def deal(self) -> list[list[str]]:
        """Return the groups of each split."""
        total = sum(self.sizes.values())
        left: dict[int, int] = {}
        for counts in self.labels.values():
            for label, count in counts.items():
                left[label] = left.get(label, 0) + count
        self._room = [total * share for share in self.shares]
        self._wanted = [{label: count * share for label, count in left.items()} for share in self.shares]
        self._dealt: list[list[str]] = [[] for _ in self.shares]
        holders: dict[int, list[str]] = {label: [g for g in self.sizes if label in self.labels[g]] for label in left}
        waiting = dict(self.sizes)
        while waiting:
            for label in left:
                holders[label] = [group for group in holders[label] if group in waiting]
                left[label] = sum(self.labels[group][label] for group in holders[label])
            rare = min((label for label in left if left[label]), key=lambda label: (left[label], label), default=None)
            for group in list(waiting) if rare is None else holders[rare]:
                self._give(group, rare, len(waiting))
                del waiting[group]
        return self._dealt

    def _give(self, group: str, label: int | None, waiting: int) -> None:
        splits = range(len(self.shares))
        empty = [split for split in splits if not self._dealt[split]]
        open_to = empty if len(empty) >= waiting else list(splits)  # the last groups go where there is nothing
        wanted = [self._wanted[split].get(label, 0.0) if label is not None else 0.0 for split in splits]
        chosen = max(open_to, key=lambda split: (round(wanted[split], 6), round(self._room[split], 6), -split))
        self._dealt[chosen].append(group)
        self._room[chosen] -= self.sizes[group]
        for index, count in self.labels[group].items():
            self._wanted[chosen][index] -= count
