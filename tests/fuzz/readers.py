"""Readers of strangers' files, and what is fed to them: texts and bytes that are nearly right."""

from __future__ import annotations

import csv
import io
import json
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import yaml
from hypothesis import strategies as st

from frostline.errors import InputError


@dataclass(frozen=True)
class Fuzzed:
    """A reader and its inputs.

    Attributes:
        name: of the reader.
        file: name of the file that it reads.
        content: of the file.
        read: called with the file; only InputError may come out.
    """

    name: str
    file: str
    content: st.SearchStrategy[bytes]
    read: Callable[[Path], Any]


_NUMBERS = st.one_of(
    st.floats().map(repr),
    st.integers().map(str),
    st.floats(0, 1).map(lambda value: f"{value:.6f}"),
    st.integers(-1, 9).map(str),
    st.sampled_from(["nan", "inf", "-inf", "1e400", "-0", "0x1", "1_0", "١", "", "--1", "9" * 400, "1e-400", "\x00"]),
)
_WORDS = st.one_of(_NUMBERS, st.text(max_size=8))


def _lines(words: st.SearchStrategy[str], separator: str = " ", most: int = 20) -> st.SearchStrategy[bytes]:
    line = st.lists(words, max_size=most).map(separator.join)
    ends = st.sampled_from(["\n", "\r\n", "\r", "\x0b", "\u2028"])
    text = st.lists(st.tuples(line, ends), max_size=6).map(lambda rows: "".join(row + end for row, end in rows))
    return text.map(lambda found: found.encode("utf-8", "surrogatepass"))


def mangled(good: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Cut, repeat and overwrite parts of what is right."""

    @st.composite
    def mangle(draw: st.DrawFn) -> bytes:
        data = bytearray(draw(good))
        for _ in range(draw(st.integers(0, 4))):
            place = draw(st.integers(0, max(len(data) - 1, 0)))
            kind = draw(st.integers(0, 3))
            if kind == 0:
                data[place : place + 1] = draw(st.binary(max_size=9))
            elif kind == 1:
                del data[place : place + draw(st.integers(1, 40))]
            elif kind == 2:
                data[place:place] = data[place : place + draw(st.integers(1, 40))]
            else:
                data[place : place + 4] = draw(
                    st.sampled_from([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\0\0\0\x80"])
                )
        return bytes(data)

    return st.one_of(good, mangle(), mangle(), st.binary(max_size=200))


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.just(10**400)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)),
    max_leaves=12,
)


def _read_yolo(path: Path) -> Any:
    from frostline.datasets.rows import read_rows

    return read_rows(path, 3)


def _read_kitti(path: Path) -> Any:
    from frostline.datasets.kitti import _read_label

    return _read_label(path)


def _read_labelme(path: Path) -> Any:
    from frostline.datasets.formats.labelme import read_labelme

    return read_labelme(path.parent, keep_empty=True)


def _read_study(path: Path) -> Any:
    from frostline.studies.file import StudyFile, read_plans

    found = None
    for read in (StudyFile.from_yaml, read_plans):
        with suppress(InputError):
            found = read(path)
    if isinstance(found, StudyFile):
        found.to_yaml()
    return found


def _read_data_yaml(path: Path) -> Any:
    from frostline.datasets.dataset import load_dataset, load_names

    with suppress(InputError):
        load_names(path)
    return load_dataset(path)


def _read_results(path: Path) -> Any:
    from frostline.analysis.curves import best_epoch, read_results

    return best_epoch(read_results(path))


def _read_tiff(path: Path) -> Any:
    from frostline.datasets.headers import stored_as
    from frostline.imaging.io import read_linear, tiff_metadata

    tiff_metadata(path)
    with suppress(InputError):
        stored_as(path)
    return read_linear(path)


def _read_bayer(path: Path) -> Any:
    from frostline.imaging.bayer import BITS, BayerGeometry, read_bayer
    from frostline.imaging.develop import RawOptions, develop

    kind = path.read_bytes()[:3]
    data = path.read_bytes()[3:]
    file = path.with_name("pixels.raw")
    file.write_bytes(data)
    orders = ("little", "big", "mipi")
    bits = BITS[kind[0] % len(BITS)] if kind else 10
    geometry = BayerGeometry(
        4 + 2 * (kind[1] % 7 if len(kind) > 1 else 0), 4, bits, orders[kind[2] % 3 if len(kind) > 2 else 0], "RGGB"
    )
    read_bayer(file, geometry)
    return develop(file, RawOptions(geometry, "grey", 99.0))


_SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "name": _JSON,
        "model": st.one_of(_JSON, st.just("yolo11n.yaml")),
        "data": _JSON,
        "seeds": st.one_of(_JSON, st.just([0, 1])),
        "train": st.one_of(
            _JSON,
            st.fixed_dictionaries({}, optional={"epochs": _JSON, "lr0": _JSON, "batch": _JSON, "patience": _JSON}),
        ),
        "arms": st.one_of(
            _JSON,
            st.dictionaries(
                st.sampled_from(["baseline", "b", "../x", ""]),
                st.one_of(
                    _JSON,
                    st.fixed_dictionaries(
                        {},
                        optional={
                            "freeze": st.one_of(
                                _JSON, st.sampled_from(["0-2", "backbone", "9-1", "0-", "-1", "99999999999-9"])
                            ),
                            "train_only": _JSON,
                            "stages": st.one_of(_JSON, st.lists(_JSON, max_size=3)),
                            "layer_lr": _JSON,
                            "pretrain": _JSON,
                            "teacher": _JSON,
                            "schedule": _JSON,
                            "adaptive": _JSON,
                        },
                    ),
                ),
                max_size=3,
            ),
        ),
        "hypotheses": st.one_of(_JSON, st.lists(_JSON, max_size=2)),
        "on": _JSON,
        "sweep": _JSON,
        "grid": _JSON,
    },
)


def _as_yaml(value: Any) -> bytes:
    return yaml.safe_dump(value, allow_unicode=True).encode("utf-8", "surrogatepass")


_SHAPES = st.fixed_dictionaries(
    {},
    optional={
        "imagePath": st.one_of(_JSON, st.just("a.png")),
        "imageWidth": _JSON,
        "imageHeight": _JSON,
        "shapes": st.one_of(
            _JSON,
            st.lists(
                st.one_of(
                    _JSON,
                    st.fixed_dictionaries(
                        {},
                        optional={
                            "label": st.one_of(_JSON, st.just("car")),
                            "shape_type": st.one_of(_JSON, st.sampled_from(["rectangle", "polygon", "circle"])),
                            "points": st.one_of(
                                _JSON,
                                st.lists(st.lists(st.one_of(st.floats(), st.just(10**400)), max_size=3), max_size=3),
                            ),
                        },
                    ),
                ),
                max_size=3,
            ),
        ),
    },
)


def _tiff_bytes(kind: str, compression: str | None) -> bytes:
    stream = io.BytesIO()
    pixels = np.arange(8 * 8 * 3).reshape(8, 8, 3).astype(kind)
    tifffile.imwrite(
        stream, pixels, photometric="rgb", compression=compression, description='{"encode": "log"}', metadata=None
    )
    return stream.getvalue()


@st.composite
def _results(draw: st.DrawFn) -> bytes:
    names = ["epoch", "time", "metrics/mAP50(B)", "metrics/mAP50-95(B)", "train/box_loss", "lr/pg0"]
    names = draw(st.permutations(names))[: draw(st.integers(1, 6))]
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow([draw(st.sampled_from([name, f"  {name}", "", name * 2])) for name in names])
    for _ in range(draw(st.integers(0, 4))):
        writer.writerow([draw(_WORDS) for _ in names])
    return stream.getvalue().encode("utf-8", "surrogatepass")


READERS = [
    Fuzzed("yolo", "label.txt", mangled(_lines(_WORDS, most=9)), _read_yolo),
    Fuzzed("kitti", "label.txt", mangled(_lines(_WORDS, most=17)), _read_kitti),
    Fuzzed(
        "labelme",
        "a.json",
        mangled(st.one_of(_JSON, _SHAPES).map(lambda value: json.dumps(value).encode())),
        _read_labelme,
    ),
    Fuzzed("study", "study.yaml", mangled(st.one_of(_JSON, _SETTINGS).map(_as_yaml)), _read_study),
    Fuzzed(
        "data_yaml",
        "data.yaml",
        mangled(
            st.fixed_dictionaries(
                {},
                optional={
                    "path": _JSON,
                    "train": st.one_of(_JSON, st.sampled_from(["images", ".", "a.txt"])),
                    "val": st.one_of(_JSON, st.just(".")),
                    "names": st.one_of(_JSON, st.lists(st.text(max_size=3), max_size=3)),
                    "nc": _JSON,
                    "pixels": _JSON,
                },
            ).map(_as_yaml)
        ),
        _read_data_yaml,
    ),
    Fuzzed("results", "results.csv", mangled(_results()), _read_results),
    Fuzzed(
        "tiff",
        "a.tif",
        mangled(
            st.sampled_from(
                [
                    _tiff_bytes(kind, compression)
                    for kind in ("uint8", "uint16", "float32")
                    for compression in (None, "zlib")
                ]
            )
        ),
        _read_tiff,
    ),
    Fuzzed(
        "bayer",
        "in.bin",
        st.one_of(
            st.binary(max_size=300),
            st.tuples(
                st.binary(min_size=3, max_size=3),
                st.sampled_from([16, 20, 24, 28, 32, 48, 40, 56, 64]),
                st.binary(min_size=1, max_size=8),
            ).map(lambda parts: parts[0] + (parts[2] * 512)[: parts[1] * 2]),
        ),
        _read_bayer,
    ),
]


def placed(folder: Path, fuzzed: Fuzzed, content: bytes) -> Path:
    """Put a content where its reader looks for it."""
    folder.mkdir(parents=True, exist_ok=True)
    if fuzzed.name == "labelme":
        (folder / "a.png").write_bytes(
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0) + b"\0\0\0\0"
        )
    path = folder / fuzzed.file
    path.write_bytes(content)
    return path
