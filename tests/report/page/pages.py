"""Contents of pages for tests: random targets with likely labels, heads that are mostly right, and their graph."""

import io
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.evaluation import Difference, Interval, table1_row
from mlgcn_pyg.evaluation.average_precision import average_precision
from mlgcn_pyg.report.page import (
    BrokenExpectation,
    Case,
    Confusion,
    Fact,
    HeadContent,
    PageContent,
    StudyContent,
    Thumbnail,
)

TAU = 0.4


def made_targets(num_images: int, num_labels: int, seed: int = 0) -> Tensor:
    """Returns targets (N, C) in which each label often comes with an earlier one, and the first with many."""
    generator = torch.Generator().manual_seed(seed)
    rare = 0.35 / (1 + torch.arange(num_labels)) ** 0.7
    targets = torch.rand(num_images, num_labels, generator=generator) < rare
    for c in range(num_labels - 1, 0, -1):
        implied = [0] if c % 3 == 0 else [int(c * 0.6), c // 2]
        for j in implied:
            chance = 0.25 + 0.6 * float(torch.rand(1, generator=generator))
            targets[:, j] |= targets[:, c] & (torch.rand(num_images, generator=generator) < chance)
    return targets.to(torch.int8)


def made_head(
    name: str, targets: Tensor, skill: float, *, seed: int = 0, graph: LabelGraph | None = None
) -> HeadContent:
    """Returns a head whose logits are ``skill`` higher for present labels, with noise."""
    generator = torch.Generator().manual_seed(seed)
    logits = skill * (targets.float() - 0.6) * 2 + torch.randn(targets.shape, generator=generator)
    ap = average_precision(logits, targets)
    error = 0.3 / (targets == 1).sum(0).clamp(min=1).double().sqrt()
    limits = [Interval(v, v - e, min(v + e, 1.0)) for v, e in zip(ap.tolist(), error.tolist(), strict=True)]
    mean = float(ap.nanmean())
    history = [{"epoch": k, "lr": 0.1, "loss": 0.5 / k + 0.1, "mAP": mean * (1 - 0.5 / k)} for k in range(1, 13)]
    row = table1_row(logits, targets, [str(c) for c in range(targets.size(1))])
    interval = Interval(mean, mean - 0.011, mean + 0.012)
    return HeadContent(name, logits, row, interval, limits, history=history if graph is not None else (), graph=graph)


def made_graph(targets: Tensor, names: Sequence[str], tau: float = 0.2) -> LabelGraph:
    """Returns the graph of all edges from ``tau`` on."""
    return LabelGraph.from_targets(targets, label_names=names, tau=tau)


def learned(graph: LabelGraph, seed: int = 0) -> LabelGraph:
    """Returns a copy at :data:`TAU` whose weights are not those of Eq. 8."""
    graph = graph.reweighted(tau=max(TAU, graph.tau))
    noise = torch.randn(graph.edge_weight.shape, generator=torch.Generator().manual_seed(seed))
    graph.edge_weight = graph.edge_weight * torch.exp(0.5 * noise)
    return graph


def made_content(
    num_labels: int,
    num_images: int,
    names: Sequence[str] | None = None,
    *,
    seed: int = 0,
    targets: Tensor | None = None,
    pictures: int = 0,
) -> PageContent:
    """Returns a page with all sections, with the targets of ``seed`` unless others are given."""
    targets = made_targets(num_images, num_labels, seed) if targets is None else targets
    names = names or [f"label {c}" for c in range(num_labels)]
    graph = made_graph(targets, names)
    linear = made_head("linear", targets, 1.0, seed=1)
    mlgcn = made_head("mlgcn", targets, 1.1, seed=2, graph=learned(graph))
    change = Difference(0.011, -0.002, 0.025, 0.95)
    more = {"difference": change, "recommended": True, "calibrated": 0.7 * mlgcn.logits, "num_seeds": 3}
    mlgcn = HeadContent(**{**vars(mlgcn), **more})
    return PageContent(
        title=f"Heads for {num_labels} labels",
        verdict=["Recommended: the mlgcn head.", "It is not clearly better than the linear head on these images."],
        images="test.h5",
        label_names=names,
        targets=targets,
        heads=[linear, mlgcn],
        reference="linear",
        graph=graph,
        tau=TAU,
        confusions=[Confusion(names[k], names[k - 1], 9 - k) for k in range(1, min(num_labels, 9))],
        broken=[BrokenExpectation(names[-1], names[0], 0.93, 14, 0.12, made_thumbnails(min(pictures, 3)))],
        mistakes=made_cases(names, pictures or 6, pictured=pictures > 0),
        suspects=made_cases(names, 4, pictured=pictures > 0),
        study=StudyContent(["No contender is better."], points={"t-SNE of mlgcn": torch.randn(num_labels, 2)}),
        commands=["mlgcn train-head --train train.h5 --val val.h5 --out runs/heads", "mlgcn report runs/heads"],
        facts=[Fact("mlgcn_pyg", "0.1.0"), Fact("test.h5", "sha256 " + "0123456789abcdef" * 4)],
    )


def made_thumbnails(count: int) -> list[Thumbnail]:
    """Returns pictures of 160 pixels; the last of several could not be read."""
    found = []
    for k in range(count):
        generator = torch.Generator().manual_seed(k)
        small = (torch.rand(5, 7, 3, generator=generator) * 255).byte().numpy()
        buffer = io.BytesIO()
        Image.fromarray(small).resize((160, 120), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=70)
        found.append(Thumbnail(f"{k:06d}.jpg", None if k and k == count - 1 else buffer.getvalue()))
    return found


def made_cases(names: Sequence[str], count: int, *, pictured: bool) -> list[Case]:
    """Returns mistakes of all kinds."""
    thumbnails = made_thumbnails(count) if pictured else [Thumbnail(f"{k:06d}.jpg") for k in range(count)]
    cases = []
    for k, thumbnail in enumerate(thumbnails):
        name, other = names[k % len(names)], names[(k + 1) % len(names)]
        p = 0.98 if k % 2 else 0.03
        shown = [(other, 1, 0.9), (name, 1 - k % 2, p)]
        cases.append(
            Case(thumbnail, name, 1 - k % 2, p, 0.4 if k % 3 else None, f"{name} is often seen with {other}.", shown)
        )
    return cases
