"""A checkpoint file looked through before anything in it is carried out: its pickles found, followed and judged.

What is read here is what `torch.load` reads: an archive by PyTorch's own reader, and by Python's beside it, since two
readers of one file that differ are how something is hidden in it.
"""

from __future__ import annotations

import mmap
import os
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import BinaryIO

import torch

from frostline.errors import InputError
from frostline.training import allowed
from frostline.training.pickled import (
    MOST_BYTES,
    BrokenPickleError,
    Check,
    RefusedNameError,
    RefusedPickleError,
    follow,
)

_LOCAL, _END = b"PK\x03\x04", b"PK\x05\x06"
_LOCAL_HEADER = struct.Struct("<4sHHHHHIIIHH")
_END_BYTES = 22
_ENCRYPTED, _SIZES_BEHIND = 0x1, 0x8
_IN_ZIP64 = 0xFFFFFFFF
_MAGIC = 0x1950A86A20F9469CFC6C
"""The first pickle of a file that PyTorch wrote before its archives (`torch.serialization.MAGIC_NUMBER`)."""

_LEGACY_PICKLES = 5
_ADVICE = "pass --trust-checkpoint if you know where the file comes from"


class UnsafeCheckpointError(InputError):
    """A checkpoint that could run code, or hides what it holds."""


def vet_checkpoint(path: Path) -> bool:
    """Make sure that a checkpoint names nothing but what a model needs, and holds nothing in a second place.

    Args:
        path: the file.

    Returns:
        Whether it is an archive, as PyTorch writes them, and not a file of the time before.

    Raises:
        UnsafeCheckpointError: it could run code; the name is in the message.
        InputError: missing, empty, cut off or something else.
    """
    try:
        with path.open("rb") as stream:
            archive = stream.read(len(_LOCAL)) == _LOCAL  # as torch.load tells them apart
            stream.seek(0)
            if archive:
                _vet_archive(path, stream, allowed.check)
            else:
                _vet_legacy(stream, allowed.check)
    except RefusedPickleError as error:
        raise UnsafeCheckpointError(
            f"{path}: {error.what}, which a model does not need and could run code; {_ADVICE}"
        ) from error
    except (ValueError, OverflowError, zipfile.BadZipFile, RuntimeError, EOFError, struct.error) as error:
        raise InputError(f"{path}: not a checkpoint: the file is empty, truncated or something else") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    return archive


def _vet_archive(path: Path, stream: BinaryIO, check: Check) -> None:
    with zipfile.ZipFile(stream) as archive:
        members = archive.infolist()
        _check_members(stream, members, archive.comment)
        reader = torch._C.PyTorchFileReader(str(path))
        root = members[0].filename.partition("/")[0]
        theirs = {f"{root}/{name}" for name in reader.get_all_records()}
        if theirs != {member.filename for member in members} or f"{root}/data.pkl" not in theirs:
            raise RefusedPickleError("is an archive in which PyTorch finds other files than it lists")
        if f"{root}/constants.pkl" in theirs:
            raise RefusedPickleError("is a TorchScript archive, with code in it")
        for member in members:
            name = member.filename
            if name.lower().endswith((".pkl", ".pickle")):
                if member.file_size > MOST_BYTES:
                    raise RefusedPickleError(f"holds a pickle of {member.file_size / 2**20:.0f} MiB")
                data = bytes(reader.get_record(name.partition("/")[2]))
                if data != archive.read(member):
                    raise RefusedPickleError("is an archive in which PyTorch finds other bytes than it lists")
                follow(data, check)
            else:
                _vet_hidden(stream, member, check)


def _check_members(stream: BinaryIO, members: list[zipfile.ZipInfo], comment: bytes) -> None:
    """Refuse archives that two readers could read in two ways: PyTorch writes none of them."""
    names = [member.filename.casefold() for member in members]
    stream.seek(-_END_BYTES, os.SEEK_END)
    if not members or comment or stream.read(len(_END)) != _END:
        raise RefusedPickleError("is an archive with something before or behind it")
    if len(set(names)) < len(names):
        raise RefusedPickleError("is an archive with two files of one name")
    if min(member.header_offset for member in members) != 0:
        raise RefusedPickleError("is an archive with something before or behind it")
    for member in members:
        if member.flag_bits & _ENCRYPTED:
            raise RefusedPickleError("is an archive with encrypted files")
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise RefusedPickleError("is an archive with compressed files, which PyTorch does not write")
        _check_header(stream, member)


def _check_header(stream: BinaryIO, member: zipfile.ZipInfo) -> None:
    """Compare what stands before a file in the archive with the list at its end."""
    stream.seek(member.header_offset)
    mark, _, flags, method, _, _, _, packed, size, name_bytes, _ = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
    name = stream.read(name_bytes).decode("utf-8", "replace")
    sizes = {packed, size} <= {member.file_size, _IN_ZIP64} or flags & _SIZES_BEHIND
    if mark != _LOCAL or name != member.filename or method != zipfile.ZIP_STORED or flags & _ENCRYPTED or not sizes:
        raise RefusedPickleError(f"is an archive whose list does not fit the file '{member.filename}' in it")


def _vet_hidden(stream: BinaryIO, member: zipfile.ZipInfo, check: Check) -> None:
    """Look for a pickle in a file of numbers. Nothing loads one there, and nobody puts one there in good faith."""
    stream.seek(member.header_offset + _LOCAL_HEADER.size - 4)
    name_bytes, extra_bytes = struct.unpack("<HH", stream.read(4))
    stream.seek(name_bytes + extra_bytes, os.SEEK_CUR)
    start = stream.read(2)
    if len(start) == 2 and start[0] == 0x80 and 2 <= start[1] <= 5:
        stream.seek(-2, os.SEEK_CUR)
        data = stream.read(min(member.file_size, MOST_BYTES))
        try:
            follow(data, check)
        except RefusedNameError:
            raise
        except (BrokenPickleError, RefusedPickleError):  # numbers that begin like one
            pass


def _vet_legacy(stream: BinaryIO, check: Check) -> None:
    """Follow the pickles that a file of PyTorch before 1.6 begins with; behind them are numbers."""
    start = stream.read(tarfile.BLOCKSIZE)
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except tarfile.TarError:
        pass
    else:
        raise RefusedPickleError("is a tar of the very first PyTorch")
    with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = 0
        for number in range(_LEGACY_PICKLES):
            value, at = follow(data, check, at)
            if number == 0 and value != _MAGIC:
                raise BrokenPickleError("no magic number")
