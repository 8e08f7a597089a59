"""Checkpoints that would run code, each of which leaves a file behind if it does."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def touch(mark: Path) -> str:
    return f"open({str(mark)!r}, 'w').close()"


def system(mark: Path) -> Calls:
    return Calls(os.system, f"touch '{mark}'")


def executes(mark: Path) -> Calls:
    return Calls(builtins.exec, touch(mark))


def evaluates(mark: Path) -> Calls:
    return Calls(builtins.eval, touch(mark))


def chained(mark: Path) -> Calls:
    """getattr of something harmless, and of that something else."""
    return Calls(getattr, Calls(getattr, torch.nn.Module, "__init__"), "__globals__")


def loads(mark: Path) -> Calls:
    """A pickle within the pickle, opened by a function of torch."""
    buffer = io.BytesIO()
    torch.save(system(mark), buffer)
    return Calls(torch.storage._load_from_bytes, buffer.getvalue())


def hub(mark: Path) -> Calls:
    return Calls(torch.hub.load, str(mark.parent), "model")


def numpy_load(mark: Path) -> Calls:
    import numpy as np

    return Calls(np.load, str(mark), None, True)


def downloads(mark: Path) -> Calls:
    from ultralytics.utils.downloads import safe_download

    return Calls(safe_download, "http://127.0.0.1:9/x")


def installs(mark: Path) -> Calls:
    from ultralytics.utils.checks import check_requirements

    return Calls(check_requirements, "frostline-no-such-package")


PAYLOADS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "os.system": (system, "system"),
    "builtins.exec": (executes, "exec"),
    "builtins.eval": (evaluates, "eval"),
    "getattr": (chained, "getattr"),
    "torch.load within": (loads, "torch.storage._load_from_bytes"),
    "torch.hub": (hub, "torch.hub.load"),
    "numpy.load": (numpy_load, "load"),
    "a download": (downloads, "ultralytics.utils.downloads.safe_download"),
    "an installation": (installs, "ultralytics.utils.checks.check_requirements"),
}


def hide(checkpoint: dict[str, Any], payload: Any, where: str) -> dict[str, Any]:
    """Put a payload somewhere in a checkpoint."""
    if where == "top":
        return {**checkpoint, "date": payload}
    model = checkpoint["model"]
    if where == "attribute":
        model.model[0].note = payload
    elif where == "weight":
        model.model[0].conv.weight.note = {"deep": [(payload,)]}
    elif where == "hook":
        model._forward_hooks[0] = payload
    return checkpoint


def rewritten(source: Path, target: Path, change: Callable[[str, bytes], bytes | None], **how: Any) -> Path:
    """Copy an archive, with other contents for some of its files; None leaves one out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", **how) as new:
        for info in old.infolist():
            data = change(info.filename, old.read(info))
            if data is not None:
                new.writestr(zipfile.ZipInfo(info.filename), data, compress_type=how.get("compression", 0))
    return target


def payload_pickle(mark: Path) -> bytes:
    return pickle.dumps({"model": system(mark)}, protocol=2)


def duplicated(source: Path, target: Path, mark: Path) -> Path:
    """Two data.pkl: the first is good, or the last."""
    rewritten(source, target, lambda _, data: data)
    with zipfile.ZipFile(target, "a") as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        archive.writestr(zipfile.ZipInfo(name), payload_pickle(mark))
    return target


def other_case(source: Path, target: Path, mark: Path) -> Path:
    rewritten(source, target, lambda _, data: data)
    with zipfile.ZipFile(target, "a") as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        archive.writestr(zipfile.ZipInfo(name.replace("data.pkl", "DATA.PKL")), payload_pickle(mark))
    return target


def another_pickle(source: Path, target: Path, mark: Path) -> Path:
    """A pickle under another name, deep in the archive."""
    rewritten(source, target, lambda _, data: data)
    with zipfile.ZipFile(target, "a") as archive:
        root = archive.namelist()[0].partition("/")[0]
        archive.writestr(zipfile.ZipInfo(f"{root}/data/a/b/other.pkl"), payload_pickle(mark))
    return target


def storage_is_pickle(source: Path, target: Path, mark: Path) -> Path:
    return rewritten(source, target, lambda name, data: payload_pickle(mark) if name.endswith("/data/0") else data)


def replaced(source: Path, target: Path, mark: Path) -> Path:
    return rewritten(source, target, lambda name, data: payload_pickle(mark) if name.endswith("data.pkl") else data)


def before(source: Path, target: Path, mark: Path) -> Path:
    """A pickle of the old form in front of a good archive: who looks for the archive's end sees that alone."""
    target.write_bytes(legacy_bytes(mark) + source.read_bytes())
    return target


def behind(source: Path, target: Path, mark: Path) -> Path:
    target.write_bytes(source.read_bytes() + payload_pickle(mark))
    return target


def archive_behind(source: Path, target: Path, mark: Path) -> Path:
    other = replaced(source, target.with_suffix(".other"), mark)
    target.write_bytes(source.read_bytes() + other.read_bytes())
    return target


def other_header(source: Path, target: Path, mark: Path) -> Path:
    """The list at the archive's end says otherwise than what stands before the file."""
    rewritten(source, target, lambda _, data: data)
    data = bytearray(target.read_bytes())
    place = data.index(b"data.pkl")
    data[place : place + 8] = b"DATA.PKL"
    target.write_bytes(bytes(data))
    return target


def encrypted(source: Path, target: Path, mark: Path) -> Path:
    rewritten(source, target, lambda _, data: data)
    data = bytearray(target.read_bytes())
    data[6] |= 1
    central = data.index(b"PK\x01\x02")
    data[central + 8] |= 1
    target.write_bytes(bytes(data))
    return target


def compressed(source: Path, target: Path, mark: Path) -> Path:
    return rewritten(source, target, lambda _, data: data, compression=zipfile.ZIP_DEFLATED)


def zip64(source: Path, target: Path, mark: Path) -> Path:
    """A payload whose sizes stand in zip64's extra fields."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            data = payload_pickle(mark) if info.filename.endswith("data.pkl") else old.read(info)
            with new.open(zipfile.ZipInfo(info.filename), "w", force_zip64=True) as stream:
                stream.write(data)
    return target


def torchscript(source: Path, target: Path, mark: Path) -> Path:
    rewritten(source, target, lambda _, data: data)
    with zipfile.ZipFile(target, "a") as archive:
        root = archive.namelist()[0].partition("/")[0]
        archive.writestr(zipfile.ZipInfo(f"{root}/constants.pkl"), pickle.dumps((), protocol=2))
    return target


def legacy_bytes(mark: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save({"model": system(mark)}, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def legacy(source: Path, target: Path, mark: Path) -> Path:
    target.write_bytes(legacy_bytes(mark))
    return target


def late_legacy(source: Path, target: Path, mark: Path) -> Path:
    """The old form, with the payload among the storages' keys, behind a good object."""
    parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {"model": None}, [system(mark)]]
    target.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in parts))
    return target


def plain_pickle(source: Path, target: Path, mark: Path) -> Path:
    target.write_bytes(payload_pickle(mark))
    return target


def tar(source: Path, target: Path, mark: Path) -> Path:
    import tarfile

    with tarfile.open(target, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            info = tarfile.TarInfo(name)
            data = payload_pickle(mark)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return target


TRICKS: dict[str, Callable[[Path, Path, Path], Path]] = {
    function.__name__: function
    for function in (
        duplicated, other_case, another_pickle, storage_is_pickle, replaced, before, behind, archive_behind,
        other_header, encrypted, compressed, zip64, torchscript, legacy, late_legacy, plain_pickle, tar,
    )
}  # fmt: skip


def assembled(*parts: bytes) -> bytes:
    return b"\x80\x04" + b"".join(parts) + b"."


def text(word: str) -> bytes:
    return b"\x8c" + struct.pack("B", len(word)) + word.encode()
