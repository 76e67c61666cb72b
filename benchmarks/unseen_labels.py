"""Measures how well heads predict labels that have no training images.

    python benchmarks/unseen_labels.py [--quick] [--train train.h5 --test test.h5 --glove FILE --encoder FOLDER]
                                       [--images 20000] [--pairings 0 1 2]

A pairing divides the labels into pairs at random. For each pair, ML-GCN heads are trained on the other labels, whose
targets also define the label graph, and the pair is added by ``MLGCNHead.with_graph``. Training images that show the
pair are kept without these targets. The other methods combine exact linear classifiers of the known labels. Nothing is
selected on test images: the threshold of the edges is the paper's τ, the number of labels in ConSE that of its paper,
and the embeddings of heads with random inner layers were centred and normalised after a look at validation images.
Data are feature files; by default, they are generated. Results are written after each pair, and a run with the same
file continues there.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import harness
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy.stats import rankdata, t
from torch import Tensor

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.evaluation.average_precision import average_precision, mean_average_precision
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.graph import edges_from_similarity, label_embeddings, sentence_embeddings
from mlgcn_pyg.nn import LinearHead
from mlgcn_pyg.training import ExactConfig, HeadConfig, fit_head

TAU, CONSE_LABELS = 0.4, 10
METRICS = ["AP", "chance", "AUROC", "rank", "probability", "known_mAP"]
CASE = ["images", "embeddings", "head", "unseen"]


@dataclass(frozen=True, eq=False)
class Data:
    """Features x (n, D) and targets y (n, C) of training images, those of test images, and the labels."""

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor
    names: list[str]

    def pairs(self, pairing: int) -> list[list[int]]:
        """Returns disjoint pairs of labels, drawn at random; with an odd number of labels, one is in no pair."""
        order = np.random.default_rng(pairing).permutation(len(self.names)).tolist()
        return [order[k : k + 2] for k in range(0, len(order) - 1, 2)]


@dataclass(frozen=True, eq=False)
class Split:
    """The labels that are left out, and the embeddings (C, F) of all labels."""

    data: Data
    unseen: list[int]
    embeddings: Tensor

    @property
    def known(self) -> list[int]:
        return [c for c in range(len(self.data.names)) if c not in self.unseen]

    def names(self, labels: list[int]) -> list[str]:
        return [self.data.names[c] for c in labels]

    def directions(self) -> Tensor:
        """Returns the embeddings minus the mean of the known labels, with norm 1."""
        return F.normalize(self.embeddings - self.embeddings[self.known].mean(0))


def train(split: Split, x: Tensor, random_start: bool, seed: int, config: HeadConfig) -> MLGCNHead:
    """Returns an ML-GCN head of the known labels, whose embeddings are rows of ``x``."""
    targets = split.data.y[:, split.known]
    graph = LabelGraph.from_targets(targets, label_names=split.names(split.known), x=x[split.known], tau=TAU)
    torch.manual_seed(seed)
    head = MLGCNHead(graph, split.data.x.size(1))
    if random_start:  # a head with statistics keeps its weights
        std, mean = torch.std_mean(split.data.x, dim=0)
        head.set_statistics(mean, std)
        head.set_bias((targets == 1).double().mean(0).logit(eps=1e-4))
        torch.nn.init.zeros_(head.layers[-1].weight)
    fit_head(head, (split.data.x, targets), config=config)
    return head.eval()


@torch.no_grad()
def added(head: MLGCNHead, split: Split, x: Tensor, seed: int) -> Iterator[tuple[str, Tensor]]:
    """Yields the logits (N, C) of the known labels and the unseen ones, in this order, for each way to add them."""
    own, known = x[split.unseen], x[split.known]
    noise = torch.randn(own.shape, generator=torch.Generator().manual_seed(seed))
    new = split.names(split.unseen)
    edges = edges_from_similarity(split.embeddings, split.data.names, threshold=TAU)
    alone = head.base_graph().with_labels(new, own)
    graphs = {
        "no edges": alone,
        "similar edges": alone.with_edges(edges[edges.source.isin(new)]),
        "swapped embeddings": head.base_graph().with_labels(new, own.flip(0)),
        "random embeddings": head.base_graph().with_labels(new, known.mean(0) + known.std(0) * noise),
    }
    for name, graph in graphs.items():
        yield name, head.with_graph(graph)(split.data.test_x)


def combinations(split: Split) -> dict[str, Tensor]:
    """Returns coefficients (2, known labels), with which the classifiers of known labels are added.

    Averages are those of T. Mensink et al., COSTA, 2014, with similarities of embeddings in place of co-occurrences.
    Least squares is a linear map from embeddings to classifiers, as in B. Romera-Paredes and P. Torr, An embarrassingly
    simple approach to zero-shot learning, 2015.
    """
    directions = split.directions()
    cosine = directions[split.unseen] @ directions[split.known].t()
    positive = cosine.clamp(min=1e-6)
    x = split.embeddings.double()
    return {
        "nearest label": F.one_hot(cosine.argmax(1), len(split.known)).float(),
        "average of labels": positive / positive.sum(1, keepdim=True),
        "least squares": (x[split.unseen] @ torch.linalg.pinv(x[split.known])).float(),
    }


def conse(split: Split, logits: Tensor) -> Tensor:
    """Returns scores (N, 2): cosines with the mean embedding of the most probable known labels of an image.

    See M. Norouzi et al., `Zero-Shot Learning by Convex Combination of Semantic Embeddings
    <https://arxiv.org/abs/1312.5650>`_ (ConSE), 2014.
    """
    top = logits.sigmoid().topk(min(CONSE_LABELS, logits.size(1)))
    weights = torch.zeros_like(logits).scatter(1, top.indices, top.values)
    means = weights / weights.sum(1, keepdim=True) @ split.embeddings[split.known]
    return F.normalize(means) @ F.normalize(split.embeddings[split.unseen]).t()


@torch.no_grad()
def of_classifiers(linear: LinearHead, split: Split) -> Iterator[tuple[str, Tensor]]:
    """Yields logits of the methods that use linear classifiers, as :func:`added`; ConSE has scores of the pair only."""
    logits = linear(split.data.test_x)
    known = logits[:, split.known]
    for name, c in combinations(split).items():
        yield name, torch.cat([known, known @ c.t()], 1)  # the logits are linear in the classifiers and biases
    yield "ConSE", conse(split, known)
    yield "supervised", logits[:, [*split.known, *split.unseen]]


def all_logits(linear: LinearHead, split: Split, seed: int, config: HeadConfig) -> Iterator[tuple[str, str, Tensor]]:
    """Yields the head, the way in which labels are added, and the logits."""
    for name, logits in of_classifiers(linear, split):
        yield name, "", logits
    starts = (("ML-GCN", False, split.embeddings), ("ML-GCN, random inner layers", True, split.directions()))
    for name, random_start, x in starts:
        head = train(split, x, random_start, seed, config)
        for way, logits in added(head, split, x, seed):
            yield name, way, logits


def auroc(scores: Tensor, positive: Tensor) -> float:
    """Returns the probability that a positive image has a higher score than another; ties count one half."""
    ranks, n = rankdata(scores.numpy())[positive.numpy()], int(positive.sum())
    return float((ranks.sum() - n * (n + 1) / 2) / (n * (len(scores) - n)))


def quality(logits: Tensor, column: int, target: Tensor) -> dict:
    """Returns the metrics of one label: its scores are a column of the logits."""
    scores, positive = logits[:, column], target == 1
    shown = logits[positive]
    return {
        "AP": average_precision(scores[:, None], target[:, None]).item(), "chance": positive.double().mean().item(),
        "AUROC": auroc(scores, positive),
        "rank": 1 + (shown > shown[:, [column]]).sum(1).double().mean().item(),
        "probability": scores.sigmoid().mean().item(),
    }  # fmt: skip


def measure(linear: LinearHead, split: Split, pairing: int, name: str, config: HeadConfig) -> list[dict]:
    """Returns a row for each method and label of a pair."""
    rows, targets = [], split.data.test_y
    for head, way, logits in all_logits(linear, split, pairing, config):
        complete = logits.size(1) > 2
        known = mean_average_precision(logits[:, :-2], targets[:, split.known]) if complete else float("nan")
        for column, label in zip((-2, -1), split.unseen, strict=True):
            key = {"status": "ok", "images": len(split.data.x), "pairing": pairing, "label": split.data.names[label]}
            case = {"embeddings": name, "head": head, "unseen": way}
            values = quality(logits, column, targets[:, label]) | {"known_mAP": known}
            if not complete:  # scores that cannot be compared with logits
                values |= {"rank": float("nan"), "probability": float("nan")}
            rows.append(key | case | {metric: f"{value:.4f}" for metric, value in values.items()})
    return rows


def table(path: Path) -> pd.DataFrame:
    """Returns the rows of a CSV file; texts may be empty, and numbers NaN."""
    return pd.read_csv(path).fillna({"unseen": ""})


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the mean metrics of each case over labels, with half the widths of 95 % t intervals over labels."""
    labels = rows.groupby([*CASE, "label"], sort=False)[METRICS].mean()
    labels["AP / chance"] = np.log(labels["AP"] / labels["chance"])
    labels["probability / chance"] = labels.pop("probability") / labels["chance"]
    nearest = labels.xs(("nearest label", ""), level=("head", "unseen"))["AUROC"]
    labels["difference"] = labels["AUROC"] - nearest.reindex(labels.index.droplevel(["head", "unseen"])).to_numpy()
    groups = labels.groupby(CASE, sort=False)
    mean, count = groups.mean(), groups.size()
    half = groups.std().mul(t.ppf(0.975, count - 1) / np.sqrt(count), axis=0)
    out = pd.DataFrame({"labels": count, "AP": 100 * mean["AP"], "AP ±": 100 * half["AP"]})
    for name, sign in (("low", -1), ("", 0), ("high", 1)):
        out[f"AP / chance {name}".strip()] = np.exp(mean["AP / chance"] + sign * half["AP / chance"])
    for name, column in (("AUROC", "AUROC"), ("AUROC − nearest", "difference")):
        out[name], out[f"{name} ±"] = mean[column], half[column]
    out["known mAP"] = 100 * mean["known_mAP"]
    return out.join(mean[["rank", "probability / chance"]]).round(3)


def plot(path: Path) -> None:
    """Plots the AUROC of each label, for the largest number of images."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = table(path)
    rows = rows[rows.images == rows.images.max()]
    rows["case"] = rows["head"] + rows.unseen.where(rows.unseen == "", ", " + rows.unseen)
    cases, kinds = list(dict.fromkeys(rows.case)), list(dict.fromkeys(rows.embeddings))
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for k, kind in enumerate(kinds):
        own = rows[rows.embeddings == kind].groupby(["case", "label"], sort=False).AUROC.mean()
        for place, case in enumerate(cases):
            y = place + 0.25 * (k - (len(kinds) - 1) / 2)
            axes.scatter(own[case], [y] * len(own[case]), color=f"C{k}", alpha=0.4, s=12)
            axes.scatter([own[case].mean()], [y], marker="|", s=160, color=f"C{k}", label=kind if not place else None)
    axes.axvline(0.5, color="#888888", linewidth=0.8)
    axes.set(xlabel="AUROC of labels without training images", yticks=range(len(cases)), yticklabels=cases)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper right", ncols=len(kinds), frameon=False)
    figure.savefig(path.with_suffix(".png"), dpi=130)


def generated() -> tuple[Data, dict[str, Tensor]]:
    """Returns data of labels whose classifiers are linear functions of their embeddings."""
    g = torch.Generator().manual_seed(0)
    embeddings = torch.randn(12, 4, generator=g)
    x = torch.randn(2400, 32, generator=g)
    targets = (x @ (embeddings @ torch.randn(4, 32, generator=g)).t() > 8).to(torch.int8)
    names = [f"label {c}" for c in range(12)]
    return Data(x[:400], targets[:400], x[400:], targets[400:], names), {"generated": embeddings}


def photographs(args) -> tuple[Data, dict[str, Tensor]]:
    """Returns the data of feature files, and the embeddings of their labels."""
    (x, y), (test_x, test_y) = (FeatureCache(path).load() for path in (args.train, args.test))
    names, n = list(FeatureCache(args.train).label_names), args.images
    embeddings = {}
    if args.glove:
        embeddings["GloVe"] = label_embeddings(names, args.glove).x
    if args.encoder:
        embeddings["sentence encoder"] = sentence_embeddings(names, args.encoder).x
    return Data(x[:n, 0].float(), y[:n], test_x[:, 0].float(), test_y, names), embeddings


def main() -> None:
    parser = harness.options(__doc__)
    for name in ("--train", "--test", "--glove", "--encoder"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--images", type=int, default=None, help="number of training images; default: all")
    parser.add_argument("--pairings", type=int, nargs="+", default=[0], help="numbers of the pairings")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    path = Path(args.out or harness.results_file("unseen_labels", "cpu", args.quick))
    data, embeddings = photographs(args) if args.train else generated()
    keys = ("images", "pairing", "embeddings", "label")
    done = {tuple(row[key] for key in keys) for row in harness.read(path)} if path.exists() else set()
    linear = LinearHead(len(data.names), data.x.size(1), data.names)
    fit_head(linear, (data.x, data.y), config=ExactConfig(folds=1))  # labels do not depend on each other at a fixed λ
    config = HeadConfig(epochs=30) if args.quick else HeadConfig()
    for pairing in args.pairings:
        for unseen in data.pairs(pairing)[: 1 if args.quick else None]:
            for name, x in embeddings.items():
                if (str(len(data.x)), str(pairing), name, data.names[unseen[0]]) not in done:
                    harness.append(path, measure(linear, Split(data, unseen, x), pairing, name, config))
                    print(pairing, name, *(data.names[c] for c in unseen), flush=True)
    print(summary(table(path)).to_string())
    plot(path)


if __name__ == "__main__":
    main()
