"""Pickles read without being carried out: what a stream would import, call and build, followed symbol by symbol.

The pickle machine has a stack and a memo, and what looks harmless opcode by opcode may be put together from parts that
lie anywhere before: scanners that go by the last two strings, or by the arguments of `PUT`, were led past more than
once. So the machine itself is played here, with names in place of objects. Whatever `torch.save` does not write, and
whatever cannot be followed, is refused.
"""

from __future__ import annotations

import mmap
import pickle
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

MOST_BYTES = 256 * 2**20
"""Of one pickle. That of a model with its optimizer holds 0.5 MiB: the tensors are not in it."""


@dataclass(frozen=True, eq=False)
class Named:
    """An importable thing that a pickle names."""

    module: str
    name: str

    def __str__(self) -> str:
        """Return the dotted name."""
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, eq=False)
class Made:
    """What a call or a container is: known by what made it, and not by its content."""

    by: str


class RefusedPickleError(ValueError):
    """A pickle that must not be carried out.

    Attributes:
        what: the name it asks for, or what else is wrong with it, for messages: `names os.system, ...`.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class RefusedNameError(RefusedPickleError):
    """A pickle that names, calls or builds what it must not."""


class BrokenPickleError(ValueError):
    """Bytes that are no pickle, or end too early."""


Check = Callable[[str, Named, Any], None]
"""Called with what happens (`named`, `called`, `built`), to what, and with which arguments; raises RefusedNameError."""

_CONTAINERS = frozenset(("list", "dict", "set", "collections.OrderedDict", "builtins.set", "__builtin__.set"))
_MARK = object()
_LONGEST_NAME = 1 << 12

_VALUES: dict[int, Any] = {pickle.NONE[0]: None, pickle.NEWTRUE[0]: True, pickle.NEWFALSE[0]: False}
_NUMBERS = {pickle.BININT[0]: (4, True), pickle.BININT1[0]: (1, False), pickle.BININT2[0]: (2, False)}
_TEXTS = {pickle.BINUNICODE[0]: 4, pickle.SHORT_BINUNICODE[0]: 1, pickle.BINUNICODE8[0]: 8}
_BYTES = {pickle.BINBYTES[0]: 4, pickle.SHORT_BINBYTES[0]: 1, pickle.BINBYTES8[0]: 8}
_LONGS = {pickle.LONG1[0]: 1, pickle.LONG4[0]: 4}
_EMPTY = {pickle.EMPTY_LIST[0]: "list", pickle.EMPTY_DICT[0]: "dict", pickle.EMPTY_SET[0]: "set"}
_TUPLES = {pickle.EMPTY_TUPLE[0]: 0, pickle.TUPLE1[0]: 1, pickle.TUPLE2[0]: 2, pickle.TUPLE3[0]: 3}
_GETS = {pickle.BINGET[0]: 1, pickle.LONG_BINGET[0]: 4}
_PUTS = {pickle.BINPUT[0]: 1, pickle.LONG_BINPUT[0]: 4}
_FILLING = {pickle.APPEND[0]: 1, pickle.SETITEM[0]: 2}
_FILLING_MANY = frozenset((pickle.APPENDS[0], pickle.SETITEMS[0], pickle.ADDITEMS[0]))
_SKIPPED = {pickle.PROTO[0]: 1, pickle.FRAME[0]: 8}


def follow(data: bytes | mmap.mmap, check: Check, at: int = 0) -> tuple[Any, int]:
    """Play one pickle, up to its STOP, without importing or calling anything.

    Args:
        data: what holds it.
        check: asked about every name, call and instance.
        at: where in the data it begins.

    Returns:
        The symbol of what the pickle holds (a constant, a tuple of symbols, `Named` or `Made`), and where it ends.

    Raises:
        RefusedNameError: by `check`.
        RefusedPickleError: for an opcode that checkpoints do not use, or a use of one that cannot be followed.
        BrokenPickleError: it is cut off, or no pickle.
    """
    machine = _Machine(data, check, at)
    try:
        while machine.step():
            pass
        return machine.top(), machine.at
    except RefusedPickleError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise BrokenPickleError(f"{type(error).__name__}: {error}") from error


class _Machine:
    """The pickle machine, over symbols."""

    def __init__(self, data: bytes | mmap.mmap, check: Check, at: int) -> None:
        self.data = data
        self.at = at
        self.check = check
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self) -> bool:
        """Carry out one opcode, the most frequent first; False after the last."""
        code = self.data[self.at]
        self.at += 1
        if code in _GETS:
            self.stack.append(self.memo[self._number(_GETS[code])])
        elif code in _PUTS:
            self.memo[self._number(_PUTS[code])] = self.top()
        elif code == pickle.REDUCE[0]:
            self._call("called")
        elif code in _TUPLES:
            self.stack.append(self._pop(_TUPLES[code]) if _TUPLES[code] else ())
        elif code in _NUMBERS:
            self.stack.append(self._number(*_NUMBERS[code]))
        elif code == pickle.MARK[0]:
            self.stack.append(_MARK)
        elif code == pickle.TUPLE[0]:
            self.stack.append(self._pop_to_mark())
        elif code in _EMPTY:
            self.stack.append(Made(_EMPTY[code]))
        elif code in _TEXTS:
            self.stack.append(str(self._take(self._number(_TEXTS[code])), "utf-8", "surrogatepass"))
        elif code in _VALUES:
            self.stack.append(_VALUES[code])
        elif code in _FILLING_MANY:
            self._pop_to_mark()
            self._fill()
        else:
            return self._rare(code)
        return True

    def _rare(self, code: int) -> bool:  # noqa: PLR0912 (a row for each opcode)
        if code == pickle.BINPERSID[0]:
            self._storage(self._pop(1)[0])
        elif code == pickle.NEWOBJ[0]:
            self._call("built")
        elif code == pickle.BUILD[0]:
            state = self._pop(1)[0]
            self._build(self.top(), state)
        elif code in _FILLING:
            self._pop(_FILLING[code])
            self._fill()
        elif code == pickle.GLOBAL[0]:
            self._name(self._line(), self._line())
        elif code == pickle.STACK_GLOBAL[0]:
            self._name(*self._pop(2))
        elif code == pickle.MEMOIZE[0]:
            self.memo[len(self.memo)] = self.top()
        elif code in _BYTES:
            self._bytes(self._take(self._number(_BYTES[code])))
        elif code in _LONGS:
            self.stack.append(int.from_bytes(self._take(self._number(_LONGS[code])), "little", signed=True))
        elif code == pickle.BINFLOAT[0]:
            self.stack.append(struct.unpack(">d", self._take(8))[0])
        elif code in _SKIPPED:
            self._take(_SKIPPED[code])
        elif code == pickle.POP[0]:
            self.stack.pop()
        elif code == pickle.POP_MARK[0]:
            self._pop_to_mark()
        elif code == pickle.STOP[0]:
            return False
        else:
            raise RefusedPickleError(f"has the pickle opcode {code:#04x}, which no checkpoint needs")
        return True

    def _number(self, count: int, signed: bool = False) -> int:
        return int.from_bytes(self._take(count), "little", signed=signed)

    def _take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise BrokenPickleError("it is cut off")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def _line(self) -> str:
        end = self.data.find(b"\n", self.at, self.at + _LONGEST_NAME)
        if end < 0:
            raise BrokenPickleError("a name without an end")
        taken = self.data[self.at : end]
        self.at = end + 1
        return taken.decode("utf-8")

    def top(self) -> Any:
        """Return what lies on top of the stack."""
        top = self.stack[-1]
        if top is _MARK:
            raise BrokenPickleError("a mark where a value must be")
        return top

    def _pop(self, count: int) -> tuple[Any, ...]:
        values = tuple(self.stack[-count:])
        if len(values) < count or _MARK in values:
            raise BrokenPickleError("the stack does not hold what is taken from it")
        del self.stack[-count:]
        return values

    def _pop_to_mark(self) -> tuple[Any, ...]:
        place = len(self.stack) - 1
        while place >= 0 and self.stack[place] is not _MARK:
            place -= 1
        if place < 0:
            raise BrokenPickleError("no mark")
        values = tuple(self.stack[place + 1 :])
        del self.stack[place:]
        return values

    def _fill(self) -> None:
        """Refuse to fill anything but a container: `append` of something else is a call like any other."""
        top = self.top()
        if not isinstance(top, Made) or top.by not in _CONTAINERS:
            raise RefusedPickleError("fills something that is no container")

    def _bytes(self, data: bytes) -> None:
        """Keep bytes, after judging a pickle in them: whoever unpickles it would not ask again."""
        if data[:1] == pickle.PROTO and data[-1:] == pickle.STOP:
            with suppress(BrokenPickleError):
                follow(data, self.check)
        self.stack.append(data)

    def _name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise RefusedPickleError("names something by what is no text")
        named = Named(module, name)
        self.check("named", named, ())
        self.stack.append(named)

    def _call(self, how: str) -> None:
        function, arguments = self._pop(2)
        if not isinstance(function, Named):
            raise RefusedPickleError("calls something that it made itself")
        if not isinstance(arguments, tuple):
            raise RefusedPickleError(f"calls {function} with arguments that cannot be followed")
        self.check(how, function, arguments)
        self.stack.append(Made(str(function)))

    def _build(self, thing: Any, state: Any) -> None:
        if not isinstance(thing, Made):  # the state of a class or function would change it for the whole process
            raise RefusedPickleError(f"changes {thing if isinstance(thing, Named) else 'something'} itself")
        if thing.by == "numpy.dtype" and not _plain_dtype_state(state):
            raise RefusedPickleError("gives numpy.dtype a state that could reach into memory")

    def _storage(self, identity: Any) -> None:
        kind = identity[0] if isinstance(identity, tuple) and len(identity) > 1 else None
        if kind == "module" and isinstance(identity[1], Named):  # a class with its source, in files of the old form
            self.stack.append(identity[1])
        elif kind == "storage":
            self.stack.append(Made("storage"))
        else:
            raise RefusedPickleError("refers to something that is no storage of a tensor")


def _plain_dtype_state(state: Any) -> bool:
    """Tell whether a dtype's state is that of plain numbers: byte order, no fields, no flags."""
    return (
        isinstance(state, tuple)
        and len(state) == 8
        and all(value is None or isinstance(value, int | str) for value in state)
        and state[1] in ("<", ">", "|", "=")
        and state[2:5] == (None, None, None)
        and state[7] == 0
    )
