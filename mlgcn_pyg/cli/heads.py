"""Fits heads with a progress bar and writes them, for ``train-head`` and ``demo``."""

import contextlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlgcn_pyg.cli import console
from mlgcn_pyg.cli.fit_progress import FitProgress
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.atomic import tensor_digest, write_text
from mlgcn_pyg.files.runs import RECOMMENDED
from mlgcn_pyg.training.config import HeadConfig
from mlgcn_pyg.training.exact_config import ExactConfig

if TYPE_CHECKING:  # these load torch
    from torch import Tensor, nn

    from mlgcn_pyg.experiments import FittedHead, HeadComparison
    from mlgcn_pyg.features import FeatureCache
    from mlgcn_pyg.graph import LabelGraph
    from mlgcn_pyg.training.trackers import Trackers

# fields of the features' provenance that the checkpoint of a head records
PROVENANCE = ("backbone", "weights_sha256", "pool", "image_size", "transform")
GNNS = ("gcn", "sage", "gat", "gatv2", "gin")  # those of mlgcn_pyg.nn.label_gnn, which loads torch
CHOSEN = ("l2", "alpha", "selection_mAP")  # what the exact solver selected, in the last record of a history


@dataclass(frozen=True)
class HeadRuns:
    """The heads that one command fits on the same features; see :func:`~mlgcn_pyg.experiments.compare_heads`."""

    train: "FeatureCache"
    val: "FeatureCache"
    graph: "LabelGraph | None"
    kinds: tuple[str, ...]
    seeds: int
    config: HeadConfig
    device: str
    test: "FeatureCache | None" = None
    exact: ExactConfig = field(default_factory=ExactConfig)
    sharing_graph: "LabelGraph | None" = None
    hidden_channels: tuple[int, ...] = (1024,)
    learn_edges: bool = False
    learn_p: bool = False
    replicates: int = 1000
    stream: bool | None = None
    trackers: "Trackers | None" = None

    @property
    def reported(self) -> "FeatureCache":
        """The images that the results are reported on."""
        return self.val if self.test is None else self.test

    @property
    def num_folds(self) -> int:
        """The number of folds of the training images."""
        return min(self.exact.num_folds(len(self.train)), len(self.train))

    @property
    def exact_kinds(self) -> tuple[str, ...]:
        """The kinds of heads that are fitted by the exact solver."""
        from mlgcn_pyg.experiments.setup import solves_exactly

        return tuple(kind for kind in self.kinds if solves_exactly(kind, self.config))

    def fit(self, folder: Path | None = None) -> "HeadComparison":
        """Fits and compares the heads under progress bars.

        Args:
            folder: the folder for the state of an interrupted run.
        """
        from mlgcn_pyg.experiments import compare_heads
        from mlgcn_pyg.training.heads.recipe import num_epochs

        epochs = {kind: num_epochs(self.config, len(self.train)) for kind in self.kinds}
        with FitProgress(epochs, self.seeds, self.num_folds) as progress:
            return compare_heads(
                self.train, self.val, self.graph, test=self.test, kinds=self.kinds, seeds=self.seeds,
                config=self.config, exact=self.exact, sharing_graph=self.sharing_graph,
                hidden_channels=self.hidden_channels, learn_edges=self.learn_edges, learn_p=self.learn_p,
                replicates=self.replicates, device=self.device, stream=self.stream, folder=folder, progress=progress,
                log_with=self.trackers,
            )  # fmt: skip


def head_files(out: Path) -> list[Path]:
    """Returns the checkpoints and histories of an earlier run in ``out``."""
    kinds = "|".join(("mlgcn", "linear", "sharing", *GNNS))
    name = re.compile(rf"({kinds})-seed\d+\.(pt|jsonl)")
    return [path for path in sorted(out.glob("*-seed*")) if name.fullmatch(path.name)]


def remove_heads(out: Path) -> None:
    """Removes the files of an earlier run, so that they are not mistaken for results of this run."""
    for path in (*head_files(out), out / RECOMMENDED):
        path.unlink(missing_ok=True)


def unfinished_folder(out: Path) -> Path:
    """Returns the folder in ``out`` for the state of a run in progress."""
    return out / "unfinished"


def unfinished_positions(out: Path, kinds: Sequence[str], exact_kinds: Sequence[str]) -> dict[str, str]:
    """Returns the last saved position of an interrupted run in ``out`` by kind of head; empty if there is none."""
    from mlgcn_pyg.training.heads.exact.run import EXACT_STATE
    from mlgcn_pyg.training.heads.run import HEADS_STATE
    from mlgcn_pyg.training.run_folder import read_run_state

    positions = {}
    for kind in kinds:
        format, unit = (EXACT_STATE, "value of λ") if kind in exact_kinds else (HEADS_STATE, "epoch")
        if (state := read_run_state(unfinished_folder(out) / kind, format)) is not None:
            positions[kind] = f"{unit} {state['epoch']}"
    return positions


def remove_unfinished(out: Path, kinds: Sequence[str]) -> None:
    """Removes the state of interrupted runs of these kinds of heads."""
    folder = unfinished_folder(out)
    for kind in kinds:
        for path in (folder / kind, *folder.glob(f"{kind}-fold*")):
            shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):  # absent, or it contains the state of a different kind
        folder.rmdir()


def save_heads(out: Path, fitted: "Sequence[FittedHead]", train: "FeatureCache") -> None:
    """Writes one checkpoint and one history (JSON lines) per head. A checkpoint records the source of its features.

    Thresholds in an existing checkpoint are kept if the head is the same. Otherwise they are dropped with a warning.
    """
    from mlgcn_pyg.training.history import history_line

    for run in fitted:
        checkpoint = out / f"{run.kind}-seed{run.seed}.pt"
        _save(checkpoint, run, train)
        write_text(checkpoint.with_suffix(".jsonl"), "".join(history_line(epoch) for epoch in run.history.epochs))


def save_recommended(out: Path, run: "FittedHead | None", train: "FeatureCache") -> None:
    """Writes the recommended head, or removes that of an earlier run if there is none."""
    if run is None:
        (out / RECOMMENDED).unlink(missing_ok=True)
    else:
        _save(out / RECOMMENDED, run, train)


def _save(path: Path, run: "FittedHead", train: "FeatureCache") -> None:
    from mlgcn_pyg.checkpoints import save_head

    features = {name: train.meta.get(name) for name in PROVENANCE}
    record = _settings(run) | {"seed": run.seed, "features": features}
    save_head(path, run.head, config=record, thresholds=_kept_thresholds(path, run.head))  # type: ignore[arg-type]


def _settings(run: "FittedHead") -> dict[str, Any]:
    """Returns the settings of a head, and what the exact solver selected."""
    if isinstance(run.config, HeadConfig):
        return asdict(run.config.known())
    chosen = {name: run.history.last[name] for name in CHOSEN if name in run.history.last}
    return asdict(run.config) | {"solver": "exact"} | chosen


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
