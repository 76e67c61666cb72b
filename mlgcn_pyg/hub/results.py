"""The results of the run that trained a head: the part of ``metrics.json`` that is saved and shown with a model."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mlgcn_pyg.errors import InputError, renamed_arguments
from mlgcn_pyg.files.atomic import write_text
from mlgcn_pyg.files.pretrained import RESULTS, is_pretrained
from mlgcn_pyg.files.runs import RECOMMENDED
from mlgcn_pyg.run_report.json_files import read_json
from mlgcn_pyg.run_report.metrics import EXPECTED, RunMetrics

KEPT = ("setup", "heads", "intervals", "recommendation")  # not the paths and commands, which name local files
HEAD = "head"  # the key of the kind in a saved model


@dataclass(frozen=True)
class RunResults:
    """The results of a folder of ``mlgcn train-head``, and which of its heads a model has.

    Attributes:
        kind: the kind of the head, such as ``"mlgcn"``.
        content: the content of ``metrics.json`` without paths and commands.

    Raises:
        InputError: if the content is that of a different file, or has no such head.
    """

    kind: str
    content: Mapping[str, Any]

    def __post_init__(self) -> None:
        with renamed_arguments(run="content"):
            if self.kind not in self.metrics.heads:
                raise InputError("kind", f"one of {', '.join(self.metrics.heads)}", repr(self.kind))

    @cached_property
    def metrics(self) -> RunMetrics:
        """The typed values."""
        return RunMetrics.of(self.content)

    @classmethod
    def of_checkpoint(cls, checkpoint: str | Path) -> "RunResults | None":
        """Returns the results of a head, or None if they are not known.

        Args:
            checkpoint: ``recommended.pt`` or ``KIND-seedN.pt`` in a folder of ``mlgcn train-head``, or the folder of a
                saved model.

        Raises:
            InputError: if ``metrics.json`` is damaged.
        """
        path = Path(checkpoint)
        folder = path if is_pretrained(path) else path.parent
        if not (folder / RESULTS).is_file():
            return None
        with renamed_arguments(run="checkpoint", content="checkpoint", kind="checkpoint"):
            content = read_json(folder / RESULTS, EXPECTED)
            kind = str(content.get(HEAD)) if folder == path else _kind(path.name, content)
            return None if kind is None else cls(kind, {name: content[name] for name in KEPT if name in content})

    def save(self, folder: Path) -> None:
        """Writes the results to ``metrics.json`` in the folder of a model."""
        write_text(folder / RESULTS, json.dumps({HEAD: self.kind, **self.content}, indent=1, allow_nan=False) + "\n")


def _kind(name: str, content: Mapping[str, Any]) -> str | None:
    """Returns the kind of the head in a file of a run; None for other files in its folder."""
    if name == RECOMMENDED:
        recommended = RunMetrics.of(content).choice
        return None if recommended is None else recommended.kind
    match = re.fullmatch(r"(.+)-seed\d+\.pt", name)
    return match[1] if match and match[1] in RunMetrics.of(content).heads else None
