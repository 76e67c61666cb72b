"""Fits heads with a progress bar and writes them, for ``train-head`` and ``demo``."""

import contextlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlgcn_pyg.cli import console
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.atomic import tensor_digest, write_text
from mlgcn_pyg.training.config import HeadConfig

if TYPE_CHECKING:  # these load torch
    from torch import Tensor, nn

    from mlgcn_pyg.experiments.head_comparison import FittedHead
    from mlgcn_pyg.features import FeatureCache
    from mlgcn_pyg.graph import LabelGraph

# fields of the features' provenance that the checkpoint of a head records
PROVENANCE = ("backbone", "weights_sha256", "pool", "image_size", "transform")


@dataclass(frozen=True)
class HeadRuns:
    """The heads that one command fits: every kind once per seed, on the same features."""

    train: "FeatureCache"
    val: "FeatureCache"
    graph: "LabelGraph | None"
    kinds: tuple[str, ...]
    seeds: int
    config: HeadConfig
    device: str
    hidden_channels: tuple[int, ...] = (1024,)
    learn_edges: bool = False
    learn_p: bool = False
    stream: bool | None = None

    def fit(self, folder: Path | None = None) -> "list[FittedHead]":
        """Fits the heads under a progress bar, one tick per epoch.

        Args:
            folder: the folder for the state of an interrupted run.
        """
        from mlgcn_pyg.experiments import compare_heads
        from mlgcn_pyg.training.heads.recipe import num_epochs

        epochs = [num_epochs(self.config, len(self.train)) for _ in self.kinds]
        with console.progress_bar("training heads", sum(epochs) * self.seeds) as update:

            def report(kind: str, seed: int, record: dict[str, Any]) -> None:
                # within an epoch the seeds run one after another; epochs of an interrupted run count as completed
                epochs_before = sum(epochs[: self.kinds.index(kind)]) + record["epoch"] - 1
                score = f" mAP {record['mAP']:.3f}" if "mAP" in record else ""
                update(epochs_before * self.seeds + seed + 1, f"{kind} seed {seed} loss {record['loss']:.4f}{score}")

            fitted = compare_heads(
                self.train, self.val, self.graph, kinds=self.kinds, seeds=self.seeds, config=self.config,
                hidden_channels=self.hidden_channels, learn_edges=self.learn_edges, learn_p=self.learn_p,
                device=self.device, stream=self.stream, folder=folder, progress=report,
            )  # fmt: skip
            update(sum(epochs) * self.seeds, "")
            return fitted


def head_files(out: Path) -> list[Path]:
    """Returns the checkpoints and histories of an earlier run in ``out``."""
    name = re.compile(r"(mlgcn|linear)-seed\d+\.(pt|jsonl)")
    return [path for path in sorted(out.glob("*-seed*")) if name.fullmatch(path.name)]


def remove_heads(out: Path) -> None:
    """Removes the files of an earlier run, so that they are not mistaken for results of this run."""
    for path in head_files(out):
        path.unlink()


def unfinished_folder(out: Path) -> Path:
    """Returns the folder in ``out`` for the state of a run in progress."""
    return out / "unfinished"


def unfinished_epochs(out: Path, kinds: Sequence[str]) -> dict[str, int]:
    """Returns the last saved epoch of an interrupted run in ``out`` by kind of head; empty if there is no such run."""
    from mlgcn_pyg.training.heads.run import saved_epoch

    epochs = {kind: saved_epoch(unfinished_folder(out) / kind) for kind in kinds}
    return {kind: epoch for kind, epoch in epochs.items() if epoch is not None}


def remove_unfinished(out: Path, kinds: Sequence[str]) -> None:
    """Removes the state of interrupted runs of these kinds of heads."""
    for kind in kinds:
        shutil.rmtree(unfinished_folder(out) / kind, ignore_errors=True)
    with contextlib.suppress(OSError):  # absent, or it contains the state of a different kind
        unfinished_folder(out).rmdir()


def save_heads(out: Path, fitted: "Sequence[FittedHead]", config: HeadConfig, train: "FeatureCache") -> None:
    """Writes one checkpoint and one history (JSON lines) per head. A checkpoint records the source of its features.

    Thresholds in an existing checkpoint are kept if the head is the same. Otherwise they are dropped with a warning.
    """
    from mlgcn_pyg.checkpoints import save_head
    from mlgcn_pyg.training.history import history_line

    features = {name: train.meta.get(name) for name in PROVENANCE}
    for run in fitted:
        checkpoint = out / f"{run.kind}-seed{run.seed}.pt"
        record = asdict(config.known()) | {"seed": run.seed, "features": features}
        save_head(checkpoint, run.head, config=record, thresholds=_kept_thresholds(checkpoint, run.head))
        write_text(checkpoint.with_suffix(".jsonl"), "".join(history_line(epoch) for epoch in run.history.epochs))


def _kept_thresholds(path: Path, head: "nn.Module") -> "Tensor | None":
    """Returns the thresholds of an existing checkpoint if they were fitted to the same head, otherwise None."""
    from mlgcn_pyg.checkpoints import load_checkpoint

    try:
        earlier = load_checkpoint(path)
    except InputError:  # absent or damaged
        return None
    if earlier.thresholds is None:
        return None
    if tensor_digest(earlier.head.state_dict()) == tensor_digest(head.state_dict()):
        return earlier.thresholds
    console.note(
        f"Warning: the thresholds in {path} were fitted to a different head and are dropped. "
        "Run mlgcn thresholds again."
    )
    return None
