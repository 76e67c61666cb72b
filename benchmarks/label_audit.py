"""Measures how many wrong labels are among the first that ``mlgcn check-labels`` lists.

    python benchmarks/label_audit.py [--quick] [--data coco30k/train.h5] [--l2 0.0225]

Given labels are flipped at random: 2 % of all ("both"), of the present ones ("removed") or of the absent ones
("added"). The ranking is judged by its first 2 %, which contain 2 % of the flips by chance. It is computed without a
graph, with the graph of the paper's τ = 0.4 and with all pairs of labels (τ = 0), which are mined from the given
labels, flips included, and from the other labels of the image alone. Labels of the data that are wrong before the
flips count as errors of the ranking. ``--data`` is a feature file; by default, the data are generated.
"""

import tempfile
import warnings
from pathlib import Path

import harness
import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.evaluation import expected_labels, suspicion
from mlgcn_pyg.experiments.label_audit import held_out_logits
from mlgcn_pyg.features import FeatureCache

SHARE, SEEDS = 0.02, (0, 1, 2, 3, 4)
CASES = {"both": (0, 1), "removed": (1,), "added": (0,)}  # the given values that are flipped
RANKINGS = ("no graph", "τ = 0.4", "all pairs", "other labels only")


def generated(images: int) -> tuple[Tensor, Tensor]:
    """Returns features and targets of labels that occur together in pairs."""
    g = torch.Generator().manual_seed(0)
    scene = torch.rand(images, 4, generator=g) < 0.3
    targets = scene.repeat_interleave(2, 1) & (torch.rand(images, 8, generator=g) < 0.9)
    x = targets.float() @ torch.randn(8, 32, generator=g) + 1.5 * torch.randn(images, 32, generator=g)
    return x, targets.to(torch.int8)


def flipped(targets: Tensor, values: tuple[int, ...], seed: int) -> Tensor:
    """Returns (N, C) bool: 2 % of the entries with one of ``values``, drawn at random."""
    able = np.flatnonzero(np.isin(targets.numpy(), values))
    drawn = np.random.default_rng(seed).choice(able, round(SHARE * len(able)), replace=False)
    flips = torch.zeros(targets.numel(), dtype=torch.bool)
    flips[torch.from_numpy(drawn)] = True
    return flips.view(targets.shape)


def rankings(given: Tensor, logits: Tensor) -> dict[str, Tensor]:
    """Returns the scores (N, C) of each ranking."""
    paper, pairs = (LabelGraph.from_targets(given, tau=tau) for tau in (0.4, 0.0))
    expected = expected_labels(given, pairs)
    scores = [suspicion(logits, given, graph) for graph in (None, paper, pairs)]
    return dict(zip(RANKINGS, [*scores, torch.where(given == 1, 1 - expected, expected)], strict=True))


def measure(x: Tensor, targets: Tensor, case: str, seed: int, l2: float | None) -> list[dict]:
    """Flips labels and returns a row of results for each ranking."""
    flips = flipped(targets, CASES[case], seed)
    given = torch.where(flips, 1 - targets, targets)
    with tempfile.TemporaryDirectory() as folder:
        names = [str(c) for c in range(targets.size(1))]
        cache = FeatureCache.from_arrays(Path(folder, "flipped.h5"), x, given, names)
        logits = held_out_logits(cache, seed=seed, l2=l2)
    first = round(SHARE * targets.numel())
    rows = []
    for name, scores in rankings(given, logits).items():
        top = torch.zeros(targets.numel(), dtype=torch.bool)
        top[scores.nan_to_num(-1).flatten().topk(first).indices] = True
        found = top.view(targets.shape) & flips
        removed, added = flips & (targets == 1), flips & (targets == 0)
        rows.append({
            "case": case, "status": "ok", "seed": seed, "ranking": name, "images": len(targets),
            "labels": targets.size(1), "flips": int(flips.sum()), "first": first, "found": int(found.sum()),
            "recall": f"{float(found.sum() / flips.sum()):.4f}", "removed": int(removed.sum()),
            "removed_found": int((found & removed).sum()), "added": int(added.sum()),
            "added_found": int((found & added).sum()),
        })  # fmt: skip
    return rows


def plot(path: Path) -> None:
    """Plots the share of the flips that each ranking found."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    last = {(r["case"], r["ranking"], r["seed"]): 100 * float(r["recall"]) for r in harness.read(path)}
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    cases = [case for case in CASES if any(key[0] == case for key in last)]
    for k, ranking in enumerate(RANKINGS):
        values = [[v for (c, r, _), v in last.items() if (c, r) == (case, ranking)] for case in cases]
        axes.bar([n + 0.2 * k - 0.3 for n in range(len(cases))], [np.mean(v) for v in values], 0.18, label=ranking)
    axes.axhline(100 * SHARE, color="#888888", linewidth=0.8)
    axes.annotate("chance", (len(cases) - 0.5, 100 * SHARE), ha="right", va="bottom", color="#666666")
    titles = {"both": "2 % of all labels", "removed": "2 % of the present", "added": "2 % of the absent"}
    axes.set(ylabel="flips in the first 2 %, in per cent", xticks=range(len(cases)), ylim=(0, 100))
    axes.set_xticklabels([titles[case] for case in cases])
    axes.legend(frameon=False, ncols=2)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path.with_suffix(".png"), dpi=130)


def main() -> None:
    parser = harness.options(__doc__)
    parser.add_argument("--data", type=Path, default=None, help="a feature file")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="seeds of the draws of the flips")
    parser.add_argument("--l2", type=float, default=None, help="λ; default: selected for each draw")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES), help="labels that are flipped")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    path = Path(args.out or harness.results_file("label_audit", "cpu", args.quick))
    print(harness.device_name("cpu"))
    if args.data is None:
        x, targets = generated(400 if args.quick else 4000)
    else:
        features, targets = FeatureCache(args.data).load()
        x = features[:, 0]
    for seed in SEEDS[:1] if args.quick else args.seeds:
        for case in ("both",) if args.quick else args.cases:
            harness.append(path, measure(x, targets, case, seed, args.l2))
    plot(path)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
