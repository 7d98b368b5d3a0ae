"""Reading the batches of CIFAR-10's Python edition, which are pickles, without unpickling them.

Unpickling runs whatever code the file asks for. Here the file's instructions are only listed (by the standard
library's `pickletools`) and those few that CIFAR-10's batches consist of are followed, calling nothing: a name
stays a name, and a call stays a note of what was to be called. Then the one shape that such a note may have, a
NumPy array of bytes, is recognised.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PIXELS = 3 * 32 * 32

_MOST = 200_000  # instructions; a batch of 10,000 pictures has some 45,000

_RECONSTRUCT = (("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"))
_NDARRAY, _DTYPE = ("numpy", "ndarray"), ("numpy", "dtype")
_ENCODE = ("_codecs", "encode")  # how Python 3 writes bytes into a pickle that Python 2 can read
_NAMES = (*_RECONSTRUCT, _NDARRAY, _DTYPE, _ENCODE)


class BatchError(ValueError):
    """The file is not a batch of CIFAR-10; the message says what was seen."""


@dataclass
class _Call:
    """A note that `name` was to be called with `arguments`, and what `state` was to be given to the result."""

    name: object
    arguments: object
    state: object = None


_MARK = object()


def read_python_batch(data: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The pictures and labels of a batch as Python 2 pickled it (protocol 2; Python 3's protocol 2 is read too).

    Returns:
        pictures uint8 [n, 3072], 0 to 255: 1,024 red, then green, then blue values, row by row; labels int64 [n].

    Raises:
        BatchError: the file is cut short, asks for something that a batch does not need, or holds something else.
    """
    batch = _follow(data)
    if not isinstance(batch, dict):
        raise BatchError("it is not a dictionary")
    if "data" not in batch or "labels" not in batch:
        raise BatchError("it lacks 'data' or 'labels'")
    labels = batch["labels"]
    # Python's bool would pass for an int, and a number beyond 64 bits for a label.
    if not (isinstance(labels, list) and all(type(label) is int and 0 <= label < 256 for label in labels)):
        raise BatchError("its labels are not a list of small numbers")
    return _pictures(batch["data"]), np.array(labels, np.int64)


def _pictures(note: object) -> NDArray[np.uint8]:
    """The array that `note`, as NumPy pickles arrays, describes, if it is one of bytes [n, 3072]."""
    match note:
        case _Call(name, (what, _, _), (1, (int(count), int(columns)), _Call(dtype, (kind, _, _)), False, content)):
            if bool in (type(count), type(columns)):  # which passes for an int
                raise BatchError("its data are not an array")
        case _:
            raise BatchError("its data are not an array")
    if name not in _RECONSTRUCT or what != _NDARRAY or dtype != _DTYPE or _text(kind) not in ("u1", "|u1"):
        raise BatchError("its data are not an array of bytes")
    raw = _bytes(content)
    if columns != PIXELS or count * columns != len(raw):
        raise BatchError(f"its data are {len(raw):,} bytes, said to be {count:,} pictures of {columns:,}")
    return np.frombuffer(raw, np.uint8).reshape(count, columns)


def _bytes(value: object) -> bytes:
    """The bytes that a Python 2 string stands for, which `pickletools` gives as Latin-1."""
    match value:
        case _Call(name, (str(text), "latin1" | "latin-1"), None) if name == _ENCODE:
            return _latin1(text)
        case str(text):
            return _latin1(text)
    raise BatchError("its data are not bytes")


def _latin1(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise BatchError("its data are not bytes") from None


def _text(value: object) -> str | None:
    """A string of either Python, or None for what is none or long enough to be anything but a name."""
    if isinstance(value, str):
        return value
    match value:
        case _Call(name, (str(text), "latin1" | "latin-1"), None) if name == _ENCODE and len(text) < 100:
            return text
    return None


# The instructions


def _follow(data: bytes) -> object:
    """What the pickle describes, of dictionaries, lists, tuples, numbers, strings, names and notes of calls."""
    machine = _Machine()
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if count == _MOST:
                raise BatchError(f"it has more than {_MOST:,} instructions")
            if opcode.name == "STOP":
                return machine.stack.pop()
            if opcode.name in _CONSTANTS:
                machine.stack.append(argument)
            elif opcode.name in _STEPS:
                _STEPS[opcode.name](machine, argument)
            else:
                raise BatchError(f"it has the instruction {opcode.name}, which a batch does not need")
    except BatchError:
        raise
    except (ValueError, IndexError, KeyError, OverflowError) as error:  # also of pickletools for what ends early
        raise BatchError(f"its instructions are damaged: {' '.join(str(error)[:100].split())}") from None
    raise BatchError("it ends early")


class _Machine:
    """The stack and the memory that a pickle's instructions work on."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}

    def since_mark(self) -> list[Any]:
        """What lies above the last mark, taken off the stack with it."""
        place = len(self.stack) - 1
        while self.stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise BatchError("its instructions are damaged: no mark")
        items = self.stack[place + 1 :]
        del self.stack[place:]
        return items

    def last(self, count: int) -> tuple[Any, ...]:
        """The last `count` things, taken off the stack."""
        if len(self.stack) < count:
            raise BatchError("its instructions are damaged: nothing left to take")
        items = tuple(self.stack[-count:])
        del self.stack[-count:]
        return items

    def name(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        if (module, name) not in _NAMES:
            raise BatchError(f"it asks for {f'{module}.{name}'[:80]!r}, which a batch does not need")
        self.stack.append((module, name))

    def extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise BatchError("its instructions are damaged: no list to add to")
        self.stack[-1].extend(items)

    def set_items(self, items: list[Any]) -> None:
        keys = [_text(key) for key in items[::2]]
        if not isinstance(self.stack[-1], dict) or len(items) % 2 or None in keys:
            raise BatchError("its instructions are damaged: no dictionary by names")
        self.stack[-1].update(zip(keys, items[1::2], strict=True))

    def call(self) -> None:
        self.stack.append(_Call(*self.last(2)))

    def build(self) -> None:
        (state,) = self.last(1)
        if not isinstance(self.stack[-1], _Call):
            raise BatchError("its instructions are damaged: a state for nothing")
        self.stack[-1].state = state

    def put(self, place: int) -> None:
        self.memory[place] = self.stack[-1]


_CONSTANTS = frozenset({"BININT", "BININT1", "BININT2", "SHORT_BINSTRING", "BINSTRING", "BINUNICODE"})
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda machine, argument: None,
    "MARK": lambda machine, argument: machine.stack.append(_MARK),
    "NONE": lambda machine, argument: machine.stack.append(None),
    "NEWTRUE": lambda machine, argument: machine.stack.append(True),
    "NEWFALSE": lambda machine, argument: machine.stack.append(False),
    "EMPTY_DICT": lambda machine, argument: machine.stack.append({}),
    "EMPTY_LIST": lambda machine, argument: machine.stack.append([]),
    "EMPTY_TUPLE": lambda machine, argument: machine.stack.append(()),
    "TUPLE1": lambda machine, argument: machine.stack.append(machine.last(1)),
    "TUPLE2": lambda machine, argument: machine.stack.append(machine.last(2)),
    "TUPLE3": lambda machine, argument: machine.stack.append(machine.last(3)),
    "TUPLE": lambda machine, argument: machine.stack.append(tuple(machine.since_mark())),
    "APPEND": lambda machine, argument: machine.extend(list(machine.last(1))),
    "APPENDS": lambda machine, argument: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine, argument: machine.set_items(list(machine.last(2))),
    "SETITEMS": lambda machine, argument: machine.set_items(machine.since_mark()),
    "GLOBAL": lambda machine, argument: machine.name(argument),
    "REDUCE": lambda machine, argument: machine.call(),
    "BUILD": lambda machine, argument: machine.build(),
    "BINPUT": lambda machine, argument: machine.put(argument),
    "LONG_BINPUT": lambda machine, argument: machine.put(argument),
    "BINGET": lambda machine, argument: machine.stack.append(machine.memory[argument]),
    "LONG_BINGET": lambda machine, argument: machine.stack.append(machine.memory[argument]),
}
