"""Reads the JSON files of a run. Any file that is not what the program wrote is one error."""

import json
from pathlib import Path
from typing import Any

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.regular import open_file

LARGEST = 256 << 20  # bytes; a comparison of three heads with 10,000 labels takes 20 MB


def read_json(path: Path, expected: str) -> dict[str, Any]:
    """Returns the JSON object in a file.

    Args:
        path: the file.
        expected: what the file must be, for the error.

    Raises:
        InputError: about the argument ``run``, if the file is missing, too large, damaged, or holds no object.
    """
    content = _parsed(read_bytes(path, expected), path, expected)
    if not isinstance(content, dict):
        raise InputError("run", expected, f"{path}, which holds no JSON object")
    return content


def read_lines(path: Path, expected: str) -> list[dict[str, Any]]:
    """Returns the JSON objects in the lines of a file; none if there is no such file.

    Raises:
        InputError: about the argument ``run``, if the file is damaged.
    """
    if not path.exists():
        return []
    records = [_parsed(line, path, expected) for line in read_bytes(path, expected).splitlines() if line.strip()]
    if not all(isinstance(record, dict) for record in records):
        raise InputError("run", expected, f"{path}, with lines that are no JSON objects")
    return records


def read_bytes(path: Path, expected: str, largest: int = LARGEST) -> bytes:
    """Returns the content of a regular file of at most ``largest`` bytes."""
    with open_file("run", path) as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise InputError("run", expected, f"{path} of more than {largest >> 20} MiB")
    return content


def _parsed(content: bytes, path: Path, expected: str) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError("run", expected, f"{path} ({first_line(error)})") from error
