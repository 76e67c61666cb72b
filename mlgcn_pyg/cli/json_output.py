"""JSON for scripts: on standard output and in files."""

import json
import math
import sys
from pathlib import Path

import typer

from mlgcn_pyg.files.atomic import write_text


def to_json(content: object, indent: int | None = None) -> str:
    """Returns JSON on one line, or indented. NaN and infinity become null.

    >>> to_json({"mAP": float("nan")})
    '{"mAP": null}\\n'
    """
    text = json.dumps(_finite(content), indent=indent, ensure_ascii=False, allow_nan=False)
    if text.isprintable():
        return text + "\n"
    # JSON escapes only the first 32 of the characters that terminals obey
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text) + "\n"


def _finite(content: object) -> object:
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def print_json(content: object) -> None:
    """Prints indented JSON. Characters that standard output cannot encode become JSON escapes."""
    text = to_json(content, indent=2)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")  # sys.stdout is None if it is closed
    except UnicodeEncodeError:
        text = json.dumps(json.loads(text), indent=2) + "\n"
    typer.echo(text, nl=False)


def write_json(path: Path, content: object) -> None:
    """Writes indented JSON to a file, atomically."""
    write_text(path, to_json(content, indent=2))
