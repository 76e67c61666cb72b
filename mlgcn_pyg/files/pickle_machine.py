"""The stack and the memory of an unpickler, with limits on the work and the memory that a pickle can claim."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from itertools import chain
from pickle import UnpicklingError
from typing import Any

MOST_CONTAINERS = 1 << 20
MOST_REMEMBERED = 1 << 22
MOST_ENTRIES = 1 << 23  # of all containers, counted as often as they occur
MOST_UNUSUAL_KEYS = 1000  # dict keys other than text and small integers, which can be made to have equal hashes
DEEPEST = 100  # containers in containers
SPARE_BYTES = 1 << 20
CONTAINERS = (list, tuple, dict, OrderedDict, set, frozenset)


class Unknown:
    """Stands for an object of a class that is not plain data. Nothing of the class is loaded.

    Args:
        name: the name of the class with its module.
    """

    def __init__(self, name: str):
        self.name = name


class PickleMachine:
    """The stack, the marks and the memo of an unpickler.

    Args:
        data: the pickle, which may be followed by other data.
        functions: functions and values by their names with their modules. The pickle may call the functions.
        start: the position of the pickle in ``data``.

    Attributes:
        position: the position after what has been read.
    """

    def __init__(self, data: bytes | memoryview, functions: Mapping[str, Any], start: int = 0):
        self.data, self.position, self.functions = memoryview(data), start, functions
        self.stack: list[Any] = []
        self.below_marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.bytes_left, self.containers, self.unusual_keys = 4 * len(self.data) + SPARE_BYTES, 0, 0

    def take(self, count: int) -> memoryview:
        """Reads ``count`` bytes."""
        start, self.position = self.position, self.position + count
        if count < 0 or self.position > len(self.data):
            raise EOFError("the pickle is truncated")
        return self.data[start : self.position]

    def line(self) -> bytes:
        """Reads a line without its end."""
        end = self.position
        while self.data[end] != ord("\n"):
            end += 1
        line, self.position = bytes(self.data[self.position : end]), end + 1
        return line

    def pop_mark(self) -> list[Any]:
        """Returns what was read since the last mark."""
        values, self.stack = self.stack, self.below_marks.pop()
        return values

    def pop_last(self, count: int) -> tuple[Any, ...]:
        """Returns the last values of the stack."""
        if len(self.stack) < count:
            raise UnpicklingError("too few values")
        values = tuple(self.stack[-count:])
        del self.stack[-count:]
        return values

    def new_dict(self) -> None:
        """Appends a dict with what was read since the last mark."""
        items = self.pop_mark()
        self.add_container({})
        self.update(items)

    def mark(self) -> None:
        """Begins the entries of a container."""
        if len(self.below_marks) >= DEEPEST:
            raise UnpicklingError(f"more than {DEEPEST} containers in each other")
        self.below_marks.append(self.stack)
        self.stack = []

    def remember(self, index: int) -> None:
        """Stores the last value, to be used again."""
        if len(self.memo) >= MOST_REMEMBERED:
            raise UnpicklingError(f"more than {MOST_REMEMBERED:,} remembered objects")
        self.memo[index] = self.stack[-1]

    def add_container(self, container: Any) -> None:
        """Appends a new container, which needs much more memory than its instruction."""
        self.containers += 1
        if self.containers > MOST_CONTAINERS:
            raise UnpicklingError(f"more than {MOST_CONTAINERS:,} containers")
        self.stack.append(container)

    def extend(self, values: list[Any]) -> None:
        """Appends values to the list on the stack."""
        if type(self.stack[-1]) is list:
            self.stack[-1].extend(values)
        elif not isinstance(self.stack[-1], Unknown):
            raise UnpicklingError(f"entries of {type(self.stack[-1]).__name__}")

    def update(self, items: list[Any]) -> None:
        """Adds keys and values to the dict on the stack."""
        if isinstance(self.stack[-1], dict):
            self.stack[-1].update(zip(self.keys(items[::2]), items[1::2], strict=True))
        elif not isinstance(self.stack[-1], Unknown):
            raise UnpicklingError(f"items of {type(self.stack[-1]).__name__}")

    def add_members(self, members: list[Any]) -> None:
        """Adds members to the set on the stack."""
        if type(self.stack[-1]) is not set:
            raise UnpicklingError(f"members of {type(self.stack[-1]).__name__}")
        self.stack[-1].update(self.keys(members))

    def keys(self, keys: list[Any]) -> list[Any]:
        """Checks that hashing and comparing the keys takes little time and no deep recursion."""
        unusual = [k for k in keys if not (type(k) is str or (type(k) is int and -(1 << 60) < k < 1 << 60))]
        self.unusual_keys += len(unusual)
        nested = any(isinstance(part, tuple | frozenset) for k in unusual if isinstance(k, tuple) for part in k)
        if nested or self.unusual_keys > MOST_UNUSUAL_KEYS:
            raise UnpicklingError("too many or too deep keys that are neither text nor small integers")
        return keys

    def find(self, module: str, name: str) -> None:
        """Appends a function or value of ``functions``."""
        full = f"{module}.{name}"
        self.stack.append(self.functions[full] if full in self.functions else self.unknown(full))

    def unknown(self, name: str) -> Any:
        """Refuses a name that is not in ``functions``. A subclass may return :class:`Unknown`."""
        raise UnpicklingError(f"{name}, which is not plain data")

    def persistent(self, key: Any) -> Any:
        """Returns what is stored outside of the pickle; nothing, unless a subclass knows it."""
        raise UnpicklingError("data outside of the pickle")

    def call(self, creates: bool = False) -> None:
        """Calls a function, or creates an object. The file pays for the bytes of the arguments, which may be copied."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if creates and isinstance(function, Unknown):
            self.stack.append(Unknown(function.name))
            return
        if not callable(function) or type(arguments) is not tuple:
            name = function.name if isinstance(function, Unknown) else type(function).__name__
            raise UnpicklingError(f"a call of {name}, which is not plain data")
        self.pay(arguments)
        self.add_container(function(*arguments))

    def build(self) -> None:
        """Sets the state of an object."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Unknown | OrderedDict):  # torch stores versions of modules as a state of OrderedDict
            return
        if (build := getattr(target, "build", None)) is None:
            raise UnpicklingError(f"a state of {type(target).__name__}")
        self.pay(state if type(state) is tuple else ())
        build(state)

    def pay(self, arguments: tuple[Any, ...]) -> None:
        """Limits how many bytes are copied."""
        self.bytes_left -= sum(len(value) for value in arguments if isinstance(value, str | bytes | bytearray))
        if self.bytes_left < 0:
            raise UnpicklingError("content that is copied again and again")


def ordered_dict(items: Iterable[Any] = ()) -> OrderedDict[Any, Any]:
    """Replaces ``collections.OrderedDict`` in a pickle. Its items must be added afterwards."""
    if items:
        raise UnpicklingError("an OrderedDict with items as its argument")
    return OrderedDict()


def latin1(text: str, encoding: str) -> bytes:
    """Replaces ``_codecs.encode``, with which pickles of old protocols store bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise UnpicklingError(f"encoding {encoding}")
    return text.encode("latin1")


def check_extent(value: Any) -> None:
    """Checks the number and the depth of all entries, counted as often as they occur."""
    level, entries_left = [value], MOST_ENTRIES
    for _ in range(DEEPEST):
        level = [container for container in level if type(container) in CONTAINERS]
        if not level:
            return
        entries_left -= sum(map(len, level))
        if entries_left < 0:
            break
        inner = [chain(entries, entries.values()) if isinstance(entries, dict) else entries for entries in level]
        level = list(chain.from_iterable(inner))
    raise UnpicklingError("lists that contain each other repeatedly")
