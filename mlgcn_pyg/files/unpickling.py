"""An unpickler for plain data, whose work and memory are limited by the size of the pickle.

Python's unpickler allocates what a pickle asks for: nine bytes can claim gigabytes, and a kilobyte can keep it busy for
hours. This one reads numbers, text, bytes and containers of them, and calls only the functions that it is given.
"""

import codecs
import pickle
from collections.abc import Callable
from pickle import UnpicklingError, decode_long
from struct import Struct
from typing import Any

from mlgcn_pyg.files.pickle_machine import PickleMachine, check_extent

MOST_INSTRUCTIONS = 1 << 24


class PlainUnpickler(PickleMachine):
    """Reads one pickle of numbers, text, bytes, lists, tuples, dicts, sets, and what ``functions`` return.

    Strings of Python 2 are decoded as Latin-1.

    Args:
        data: the pickle, which may be followed by other data.
        functions: functions and values by their names with their modules. The pickle may call the functions.
        start: the position of the pickle in ``data``.

    Attributes:
        position: the position after what has been read.

    >>> PlainUnpickler(pickle.dumps({"a": [1, 2.5]}), {}).load()
    {'a': [1, 2.5]}
    """

    def load(self) -> Any:
        """Returns the content of the pickle.

        Raises:
            Exception: of any type, if the pickle is damaged, refers to anything else, or exceeds a limit.
        """
        for _ in range(MOST_INSTRUCTIONS):
            code = self.data[self.position]
            self.position += 1
            if code == pickle.STOP[0]:
                check_extent(value := self.stack.pop())
                return value
            if (read := INSTRUCTIONS.get(code)) is None:
                raise UnpicklingError(f"the instruction {bytes([code])!r}, which plain data do not need")
            read(self)
        raise UnpicklingError(f"more than {MOST_INSTRUCTIONS:,} instructions")


def _number(code: str) -> Callable[[PickleMachine], Any]:
    """Returns a function that reads a number of the type ``code`` of :mod:`struct`."""
    struct = Struct(code)

    def read(p: PickleMachine) -> Any:
        return struct.unpack(p.take(struct.size))[0]

    return read


def _integer(line: bytes) -> int | bool:
    return {b"00": False, b"01": True}[line] if line in (b"00", b"01") else int(line.removesuffix(b"L"), 0)


def _quoted(line: bytes) -> str:
    if len(line) < 2 or line[:1] not in (b"'", b'"') or line[:1] != line[-1:]:
        raise UnpicklingError("text without quotes")
    return codecs.escape_decode(line[1:-1])[0].decode("latin1")  # type: ignore[attr-defined]  # not in typeshed


def _utf8(data: memoryview) -> str:
    return str(data, "utf-8", "surrogatepass")


BYTE, INT4, UINT2, UINT4, UINT8 = map(_number, ("<B", "<i", "<H", "<I", "<Q"))
# instructions that append one value
VALUES: dict[bytes, Callable[[PickleMachine], Any]] = {
    pickle.NONE: lambda p: None,
    pickle.NEWTRUE: lambda p: True,
    pickle.NEWFALSE: lambda p: False,
    pickle.EMPTY_TUPLE: lambda p: (),
    pickle.BINFLOAT: _number(">d"),
    pickle.BININT: INT4,
    pickle.BININT1: BYTE,
    pickle.BININT2: UINT2,
    pickle.LONG1: lambda p: decode_long(bytes(p.take(BYTE(p)))),
    pickle.LONG4: lambda p: decode_long(bytes(p.take(INT4(p)))),
    pickle.INT: lambda p: _integer(p.line()),
    pickle.LONG: lambda p: _integer(p.line()),
    pickle.FLOAT: lambda p: float(p.line()),
    pickle.STRING: lambda p: _quoted(p.line()),
    pickle.UNICODE: lambda p: str(p.line(), "raw-unicode-escape"),
    pickle.BINSTRING: lambda p: str(p.take(INT4(p)), "latin1"),
    pickle.SHORT_BINSTRING: lambda p: str(p.take(BYTE(p)), "latin1"),
    pickle.BINUNICODE: lambda p: _utf8(p.take(UINT4(p))),
    pickle.SHORT_BINUNICODE: lambda p: _utf8(p.take(BYTE(p))),
    pickle.BINUNICODE8: lambda p: _utf8(p.take(UINT8(p))),
    pickle.BINBYTES: lambda p: bytes(p.take(UINT4(p))),
    pickle.SHORT_BINBYTES: lambda p: bytes(p.take(BYTE(p))),
    pickle.BINBYTES8: lambda p: bytes(p.take(UINT8(p))),
    pickle.BYTEARRAY8: lambda p: bytearray(p.take(UINT8(p))),
    pickle.GET: lambda p: p.memo[int(p.line())],
    pickle.BINGET: lambda p: p.memo[BYTE(p)],
    pickle.LONG_BINGET: lambda p: p.memo[UINT4(p)],
    pickle.BINPERSID: lambda p: p.persistent(p.stack.pop()),
    pickle.DUP: lambda p: p.stack[-1],
}
# instructions that append one container
NEW: dict[bytes, Callable[[PickleMachine], Any]] = {
    pickle.EMPTY_LIST: lambda p: [],
    pickle.EMPTY_DICT: lambda p: {},
    pickle.EMPTY_SET: lambda p: set(),
    pickle.LIST: lambda p: p.pop_mark(),
    pickle.TUPLE: lambda p: tuple(p.pop_mark()),
    pickle.TUPLE1: lambda p: p.pop_last(1),
    pickle.TUPLE2: lambda p: p.pop_last(2),
    pickle.TUPLE3: lambda p: p.pop_last(3),
    pickle.FROZENSET: lambda p: frozenset(p.keys(p.pop_mark())),
}
OTHERS: dict[bytes, Callable[[PickleMachine], Any]] = {
    pickle.PROTO: lambda p: p.take(1),
    pickle.FRAME: lambda p: p.take(8),
    pickle.MARK: PickleMachine.mark,
    pickle.POP: lambda p: p.stack.pop() if p.stack else p.pop_mark(),
    pickle.POP_MARK: PickleMachine.pop_mark,
    pickle.PUT: lambda p: p.remember(int(p.line())),
    pickle.BINPUT: lambda p: p.remember(BYTE(p)),
    pickle.LONG_BINPUT: lambda p: p.remember(UINT4(p)),
    pickle.MEMOIZE: lambda p: p.remember(len(p.memo)),
    pickle.APPEND: lambda p: p.extend([p.stack.pop()]),
    pickle.APPENDS: lambda p: p.extend(p.pop_mark()),
    pickle.SETITEM: lambda p: p.update(list(p.pop_last(2))),
    pickle.SETITEMS: lambda p: p.update(p.pop_mark()),
    pickle.DICT: PickleMachine.new_dict,
    pickle.ADDITEMS: lambda p: p.add_members(p.pop_mark()),
    pickle.GLOBAL: lambda p: p.find(p.line().decode(), p.line().decode()),
    pickle.STACK_GLOBAL: lambda p: p.find(*p.pop_last(2)),
    pickle.REDUCE: PickleMachine.call,
    pickle.NEWOBJ: lambda p: p.call(creates=True),
    pickle.BUILD: PickleMachine.build,
}


def _appending(read: Callable[[PickleMachine], Any]) -> Callable[[PickleMachine], None]:
    return lambda p: p.stack.append(read(p))


def _adding(read: Callable[[PickleMachine], Any]) -> Callable[[PickleMachine], None]:
    return lambda p: p.add_container(read(p))


INSTRUCTIONS = {code[0]: read for code, read in OTHERS.items()}
INSTRUCTIONS |= {code[0]: _appending(read) for code, read in VALUES.items()}
INSTRUCTIONS |= {code[0]: _adding(read) for code, read in NEW.items()}
