"""Fitting heads with a bar and keeping them: what ``train-head`` and ``demo`` share."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from mlgcn_pyg.cli import common
from mlgcn_pyg.files import write_text


def fit_with_bar(train, val, graph, kinds: Sequence[str], seeds: int, config, **options) -> list:
    """:func:`mlgcn_pyg.experiments.compare_heads` under a progress bar, one tick an epoch."""
    from mlgcn_pyg.experiments import compare_heads

    done = 0
    with common.progress_bar("training heads", len(kinds) * seeds * config.epochs) as update:

        def report(kind: str, seed: int, record: dict) -> None:
            nonlocal done
            done += 1
            update(done, f"{kind} seed {seed} loss {record['loss']:.4f} mAP {record['mAP']:.3f}")

        options |= {"kinds": kinds, "seeds": seeds, "config": config, "progress": report}
        return compare_heads(train, val, graph, **options)


def head_files(out: Path) -> list[Path]:
    """The checkpoints and histories that an earlier run left in ``out``."""
    ours = re.compile(r"(mlgcn|linear)-seed\d+\.(pt|jsonl)")
    return [path for path in sorted(out.glob("*-seed*")) if ours.fullmatch(path.name)]


def remove_heads(out: Path) -> None:
    """Takes away what an earlier run left, which would be taken for this one's."""
    for old in head_files(out):
        old.unlink()


def save_heads(out: Path, fitted, config) -> None:
    """One checkpoint and one history (JSON lines) per fitted head."""
    from mlgcn_pyg.nn import save_head

    for one in fitted:
        name = out / f"{one.kind}-seed{one.seed}"
        save_head(f"{name}.pt", one.head, config=asdict(config) | {"seed": one.seed})
        write_text(f"{name}.jsonl", "".join(common.to_json(record) for record in one.history.epochs))
