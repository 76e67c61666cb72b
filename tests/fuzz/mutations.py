"""Seeded damage to the bytes of a file."""

import random
import struct

LARGE = [
    struct.pack(code, value) for code in ("<I", "<Q", ">I", ">Q") for value in (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
]
LARGE += [struct.pack("<Q", 1 << bits) for bits in (40, 60, 63)]
TEXTS = [
    b"9" * 30,
    b"-1",
    b"1e999",
    b"nan",
    b"\x1b[2J",
    b"\0",
    b"\xff\xfe",
    b"\n",
    b"\r\n",
    b'"',
    b"]",
    b"}",
    b"<",
    b"&",
]
DEEP = [b"[" * 3000, b'{"a":' * 3000, b"(" * 3000, b"<a>" * 3000]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Returns a copy with one to three changes."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        data = chance.choice(CHANGES)(data, chance)
    return data


def _place(data: bytes, chance: random.Random) -> int:
    """A place in the file: the start, where headers are, as often as the rest."""
    return chance.randrange(min(len(data), 512) + 1) if chance.random() < 0.5 else chance.randrange(len(data) + 1)


def _flip(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return data
    place = min(_place(data, chance), len(data) - 1)
    return data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]


def _replace(data: bytes, chance: random.Random) -> bytes:
    place, new = _place(data, chance), chance.choice(LARGE + TEXTS)
    return data[:place] + new + data[place + len(new) :]


def _insert(data: bytes, chance: random.Random) -> bytes:
    place, new = _place(data, chance), chance.choice([chance.randbytes(chance.randrange(1, 20)), *TEXTS, *DEEP])
    return data[:place] + new + data[place:]


def _remove(data: bytes, chance: random.Random) -> bytes:
    place = _place(data, chance)
    return data[:place] + data[place + chance.randrange(1, 40) :]


def _repeat(data: bytes, chance: random.Random) -> bytes:
    place, size = _place(data, chance), chance.randrange(1, 200)
    return data[:place] + data[place : place + size] * chance.choice((2, 2, 50)) + data[place + size :]


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: _place(data, chance)]


def _zeros(data: bytes, chance: random.Random) -> bytes:
    place, size = _place(data, chance), chance.randrange(1, 64)
    return data[:place] + bytes(size) + data[place + size :]


CHANGES = (_flip, _flip, _flip, _replace, _insert, _remove, _repeat, _cut, _zeros)
