"""Fitting heads with a bar and keeping them: what ``train-head`` and ``demo`` share."""

import contextlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from mlgcn_pyg.cli import console
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files import tensor_digest, write_text


def fit_with_bar(train, val, graph, kinds: Sequence[str], seeds: int, config, **options) -> list:
    """:func:`mlgcn_pyg.experiments.compare_heads` under a progress bar, one tick an epoch."""
    from mlgcn_pyg.experiments import compare_heads

    epochs = len(kinds) * seeds * config.epochs
    with console.progress_bar("training heads", epochs) as update:

        def report(kind: str, seed: int, record: dict) -> None:
            # one seed follows another within an epoch; epochs of an earlier, interrupted run count as done
            done = (kinds.index(kind) * config.epochs + record["epoch"] - 1) * seeds + seed + 1
            score = f" mAP {record['mAP']:.3f}" if "mAP" in record else ""
            update(done, f"{kind} seed {seed} loss {record['loss']:.4f}{score}")

        options |= {"kinds": kinds, "seeds": seeds, "config": config, "progress": report}
        fitted = compare_heads(train, val, graph, **options)
        update(epochs, "")
        return fitted


def head_files(out: Path) -> list[Path]:
    """The checkpoints and histories that an earlier run left in ``out``."""
    ours = re.compile(r"(mlgcn|linear)-seed\d+\.(pt|jsonl)")
    return [path for path in sorted(out.glob("*-seed*")) if ours.fullmatch(path.name)]


def remove_heads(out: Path) -> None:
    """Takes away what an earlier run left, which would be taken for this one's."""
    for old in head_files(out):
        old.unlink()


def unfinished_run(out: Path) -> Path:
    """The folder in ``out`` of a run that was interrupted, or is under way."""
    return out / "unfinished"


def describe_unfinished(out: Path, kinds: Sequence[str]) -> str:
    """How far an interrupted run in ``out`` has come, in words; empty where there is none."""
    from mlgcn_pyg.training.run_folder import read_state

    states = {kind: read_state(unfinished_run(out) / kind) for kind in kinds}
    return ", ".join(f"{kind} in epoch {state['epoch']}" for kind, state in states.items() if state)


def remove_unfinished(out: Path, kinds: Sequence[str]) -> None:
    """Takes away the runs of these kinds, once their results are written or not wanted."""
    for kind in kinds:
        shutil.rmtree(unfinished_run(out) / kind, ignore_errors=True)
    with contextlib.suppress(OSError):  # absent, or another kind's run is in it
        unfinished_run(out).rmdir()


FEATURES = ("backbone", "weights_sha256", "pool", "image_size", "transform")


def save_heads(out: Path, fitted, config, train) -> None:
    """One checkpoint and one history (JSON lines) per fitted head; it says what the features under it are.

    Thresholds that were fitted to the same head stay in its checkpoint; those of another one are gone, and told of.
    """
    from mlgcn_pyg.checkpoints import save_head
    from mlgcn_pyg.training.history import json_line

    features = {name: train.meta.get(name) for name in FEATURES}
    for one in fitted:
        name = out / f"{one.kind}-seed{one.seed}"
        told = asdict(config) | {"seed": one.seed, "features": features}
        save_head(f"{name}.pt", one.head, config=told, thresholds=_earlier_thresholds(Path(f"{name}.pt"), one.head))
        write_text(f"{name}.jsonl", "".join(json_line(record) for record in one.history.epochs))


def _earlier_thresholds(path: Path, head):
    """Thresholds of a checkpoint that this head is about to replace, if they are its own."""
    from mlgcn_pyg.checkpoints import load_checkpoint

    try:
        earlier = load_checkpoint(path)
    except InputError:  # none there, or a damaged one
        return None
    if earlier.thresholds is None:
        return None
    if tensor_digest(earlier.head.state_dict()) == tensor_digest(head.state_dict()):
        return earlier.thresholds
    told = f"warning: the thresholds in {path} were another head's and are gone: run mlgcn thresholds again"
    console.err.print(told, soft_wrap=True)
    return None
