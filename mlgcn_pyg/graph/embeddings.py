"""Label embeddings: the input features of the label graph, with a record of their origin."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_finite
from mlgcn_pyg.errors import InputError, renamed_arguments
from mlgcn_pyg.files.plain import load_plain, save_plain
from mlgcn_pyg.labels import check_label_names
from mlgcn_pyg.text import normal_form

FORMAT = "mlgcn_pyg.label_embeddings"
FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


@dataclass(frozen=True, eq=False)
class LabelEmbeddings:
    """One embedding per label, with the names of the labels and a record of the embeddings' origin.

    A label graph accepts it as ``x`` and keeps ``source`` as its ``x_source``.

    Args:
        label_names (tuple of str): C unique names.
        x (Tensor): (C, F) floating-point embeddings.
        source (dict): their origin. :func:`~mlgcn_pyg.graph.label_embeddings` records ``file``, ``format`` and
            ``sha256``. For word vectors, it also records the used ``aliases``, ``oov`` (the rule for words without a
            vector), ``oov_words`` and ``oov_labels`` (the affected words and labels), and ``seed`` (for
            ``oov="random"``). :func:`~mlgcn_pyg.graph.sentence_embeddings` records ``encoder``, ``sha256``, ``prompts``
            and ``aliases``.

    Raises:
        InputError: if there is not one row of finite numbers per name.

    >>> import torch
    >>> embeddings = LabelEmbeddings(("a", "b"), torch.eye(2))
    >>> embeddings.select(["b"]).x
    tensor([[0., 1.]])
    """

    label_names: tuple[str, ...]
    x: Tensor
    source: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = check_label_names(self.label_names)
        if not isinstance(self.x, Tensor):
            raise InputError("x", "a tensor (C, F)", type(self.x).__name__)
        if self.x.layout != torch.strided or self.x.dtype not in FLOATS or self.x.dim() != 2 or self.x.size(1) == 0:
            shape = f"shape {tuple(self.x.shape)}, {self.x.dtype}"
            raise InputError("x", f"one row of numbers per label, shape ({len(names)}, F)", shape)
        if self.x.size(0) != len(names):
            fix = "pass one row per name, in the order of label_names"
            raise InputError("x", f"{len(names)} rows, one per label", self.x.size(0), fix)
        check_finite("x", self.x)
        object.__setattr__(self, "label_names", names)

    def select(self, label_names: Sequence[str]) -> "LabelEmbeddings":
        """Returns the embeddings of the given labels.

        Args:
            label_names: the names of the labels, in the order of the result.

        Raises:
            InputError: if a label has no embedding, or a name occurs twice.
        """
        label_names = check_label_names(label_names)
        # files of earlier versions hold names as they were written
        row = {normal_form(name): k for k, name in enumerate(self.label_names)}
        row |= {name: k for k, name in enumerate(self.label_names)}
        rows = [row.get(name, row.get(normal_form(name), -1)) for name in label_names]
        if missing := [name for name, k in zip(label_names, rows, strict=True) if k < 0]:
            where = f" ({self.source['file']})" if "file" in self.source else ""
            found = f"none for {', '.join(map(repr, missing[:5]))}{where}"
            raise InputError("label_names", "labels that have an embedding", found, "create embeddings for them")
        return LabelEmbeddings(label_names, self.x[rows], self.source)

    def save(self, path: str | Path) -> None:
        """Writes the embeddings to a file, atomically: the file is complete or absent.

        Args:
            path: the file.
        """
        content = {"format": FORMAT, "version": 1, "label_names": self.label_names, "x": self.x, "source": self.source}
        save_plain(path, content)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads embeddings that :meth:`save` has written. No code in the file is run.

        Args:
            path: the file.

        Raises:
            InputError: if there is no such file, or it does not contain valid embeddings.
        """
        content = load_plain("path", path)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise InputError("path", "label embeddings saved by LabelEmbeddings.save", f"other content in {path}")
        if content.get("version") != 1:
            found = f"{content.get('version')} in {path}"
            raise InputError("path", "format version 1", found, fix="use a newer mlgcn_pyg")
        names, x, source = (content.get(name) for name in ("label_names", "x", "source"))
        if not (isinstance(names, tuple) and isinstance(x, Tensor) and isinstance(source, dict)):
            raise InputError("path", "label_names, x and source of label embeddings", f"other content in {path}")
        with renamed_arguments(x="path", label_names="path"):
            return cls(names, x, source)
