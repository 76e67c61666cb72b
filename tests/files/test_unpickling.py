"""Plain pickles of every protocol, and small pickles that claim much memory or time."""

import pickle
import struct
import time

import numpy as np
import psutil
import pytest

from mlgcn_pyg.files.pickle_machine import latin1, ordered_dict
from mlgcn_pyg.files.unpickling import PlainUnpickler

KINDS = (set, frozenset, bytearray, bytes)
FUNCTIONS = {
    "_codecs.encode": latin1,
    "collections.OrderedDict": ordered_dict,
    **{f"{module}.{kind.__name__}": kind for module in ("builtins", "__builtin__") for kind in KINDS},
}
VALUES = {
    "numbers": [0, 1, -1, 255, 256, 65536, -(2**31), 2**31, 10**30, -(10**30), 1.5, float("inf"), True, False, None],
    "texts": ["", "a", "ü" * 300, "\ud800", "\U0001f600", b"", b"\0\xff", b"x" * 300, bytearray(b"q")],
    "containers": [
        (),
        (1,),
        (1, 2),
        (1, 2, 3),
        (1, 2, 3, 4),
        [],
        [[1], {"a": {"b": ()}}],
        {1: 2, None: 3, (1, "x"): 4},
    ],
    "sets": [set(), {1, 2}, frozenset("a")],
    "shared": [["x" * 10] * 3, [[1, 2]] * 2],
}


def read(data: bytes):
    return PlainUnpickler(data, FUNCTIONS).load()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", VALUES)
def test_every_protocol_is_read(name, protocol):
    assert read(pickle.dumps(VALUES[name], protocol)) == VALUES[name]


def test_the_position_after_a_pickle():
    data = pickle.dumps([1], 2) + pickle.dumps("b", 4) + b"rest"
    first = PlainUnpickler(data, {})
    assert first.load() == [1]
    second = PlainUnpickler(data, {}, first.position)
    assert second.load() == "b" and data[second.position :] == b"rest"


def laughs(levels: int = 40) -> bytes:
    """Each tuple contains the one before twice."""
    return b"\x80\x02N" + b"2\x86" * levels + b"."


def equal_hashes(count: int) -> bytes:
    """Keys that are different multiples of 2^61 − 1, whose hashes are all 0."""
    keys = (b"\x8a\x0c" + ((2**61 - 1) * k).to_bytes(12, "little") + b"N" for k in range(1, count))
    return b"\x80\x02}(" + b"".join(keys) + b"u."


def copies(count: int) -> bytes:
    """A text of a megabyte, which is encoded again and again."""
    text = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20)
    return (
        b"\x80\x02]q\5(c_codecs\nencode\nq\0"
        + text
        + b"q\1X\6\0\0\0latin1q\2h\1h\2\x86q\3"
        + b"h\0h\3R" * count
        + b"e."
    )


BOMBS = {
    "a memo index of 2^28": b"\x80\x02]r" + struct.pack("<I", 1 << 28) + b".",
    "a text of 4 GiB": b"\x80\x02X\xff\xff\xff\xff.",
    "bytes of 2^60": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b".",
    "a bytearray of 2^60": b"\x80\x05\x96" + struct.pack("<Q", 1 << 60) + b".",
    "a frame of 2^60": b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"N.",
    "an integer of 2 GiB": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "an integer of a negative size": b"\x80\x02\x8b\xff\xff\xff\xff.",
    "an integer of a million digits": b"\x80\x02L" + b"9" * 1_000_000 + b"L\n.",
    "a million marks": b"\x80\x02" + b"(" * 1_000_000 + b".",
    "nested tuples": b"\x80\x02N" + b"\x85" * 1_000_000 + b".",
    "nested tuples as a key": b"\x80\x02}N" + b"\x85" * 500_000 + b"Ns.",
    "nested lists": b"\x80\x02" + b"](" * 99 + b"e" * 99 + b"\x85" * 50 + b".",
    "lists that contain each other": laughs(),
    "keys with equal hashes": equal_hashes(30_000),
    "content copied again and again": copies(5000),
    "many containers": b"\x80\x02](" + b"]" * 1_100_000 + b"e.",
    "many sets": b"\x80\x04](" + b"\x8f" * 1_100_000 + b"e.",
    "many remembered objects": b"\x80\x04N" + b"\x94" * 4_300_000 + b".",
    "extensions": b"\x80\x02\x82\1.",
    "an unfinished pickle": b"\x80\x02](K\1",
    "an empty stack": b"\x80\x02.",
    "a persistent object": b"\x80\x02NQ.",
    "a class instance of protocol 0": b"(ios\nsystem\nN.",
    "a class instance of protocol 1": b"(cos\nsystem\nNo.",
    "a buffer outside of the pickle": b"\x80\x05\x97.",
    "a call of text": b"\x80\x02X\1\0\0\0aN\x85R.",
    "a state of a list": b"\x80\x02]}b.",
    "an entry of a tuple": b"\x80\x02)Na.",
}


HARMLESS = (
    "a memo index of 2^28",
    "a frame of 2^60",
)  # which only names an object, and which only makes reading faster


@pytest.mark.parametrize("name", BOMBS)
def test_small_pickles_claim_little_memory_and_time(name):
    before, start = psutil.Process().memory_info().rss, time.process_time()
    if name in HARMLESS:
        assert read(BOMBS[name]) in ([], None)
    else:
        with pytest.raises(Exception, match=".") as caught:
            read(BOMBS[name])
        assert not isinstance(caught.value, MemoryError | RecursionError | AssertionError)
    assert psutil.Process().memory_info().rss - before < 1 << 30
    assert time.process_time() - start < 30


def test_ordinary_lists_of_numbers_are_not_limited():
    values = np.random.default_rng(0).normal(size=(2000, 50)).tolist()
    assert read(pickle.dumps(values)) == values
