"""``mlgcn classifiers``: are classifiers of related labels similar? Numbers, and the picture of Fig. 8.

The JSON has these keys. Undefined numbers are null.

* ``labels``, ``neighbours``, ``permutations``: the number of labels, k of the purity, and the number of permutations.
* ``groups``: label → super-category or null; null without super-categories.
* ``relations``: ``"embeddings"`` and ``"co_occurrence"`` → the file; only those that are known.
* ``checkpoints``: file → ``{"purity", "embeddings", "co_occurrence"}``, each null or ``{"value", "expected", "p",
  "num_labels"}``: the statistic, its mean over permutations of the labels, its p value, and the labels that count.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich import box
from rich.table import Table

from mlgcn_pyg.checks import check_positive
from mlgcn_pyg.cli import console, options
from mlgcn_pyg.cli.embedding_options import EMBEDDINGS, SOURCES, EmbeddingOptions
from mlgcn_pyg.cli.inputs import checkpoint_files, open_checkpoint, short_names
from mlgcn_pyg.cli.json_output import print_json
from mlgcn_pyg.cli.label_groups import Groups, groups_of
from mlgcn_pyg.cli.label_relations import Relation, label_relations
from mlgcn_pyg.cli.options import COMPUTATION, DATA, MODEL, OUTPUT, choice, option, takes
from mlgcn_pyg.errors import renamed_arguments
from mlgcn_pyg.labels import check_same_labels

if TYPE_CHECKING:  # these load torch
    from torch import Tensor

    from mlgcn_pyg.evaluation import Agreement
    from mlgcn_pyg.nn.standardized_head import StandardizedHead

    Numbers = dict[str, Agreement | None]

METHODS = {"tsne": ("t-SNE",), "pca": ("PCA",), "both": ("t-SNE", "PCA")}
COMPARED = ("linear-seed0.pt", "mlgcn-seed0.pt")  # of a folder of train-head
TITLES = {"embeddings": "ρ embeddings", "co_occurrence": "ρ co-occurrence"}


@takes(how=EMBEDDINGS)
def classifiers(
    *,
    checkpoint: Annotated[
        list[Path],
        option("A head, a network, or a folder of train-head, of which linear-seed0.pt and mlgcn-seed0.pt are taken; "
               "repeatable.", MODEL),
    ],
    groups: Annotated[
        Path | None,
        option("Super-categories of the labels: CSV with the columns label and group.", DATA,
               show_default="those of COCO or VOC, for labels that they have"),
    ] = None,
    graph: Annotated[
        Path | None,
        option("Label graph with the probabilities P(j | i) of its edges; with --tau 0, it has those of all pairs.",
               DATA, show_default="that of the first checkpoint that has one"),
    ] = None,
    embeddings: Annotated[str | None, option(SOURCES, DATA, show_default="those of the graph")] = None,
    how: EmbeddingOptions,
    neighbours: Annotated[
        int, option("Nearest classifiers k of the purity; reduced to the number of other labels.", COMPUTATION)
    ] = 5,
    permutations: Annotated[int, option("Permutations of the labels for the p values.", COMPUTATION)] = 9999,
    method: Annotated[str, choice("Picture: tsne, pca or both.", OUTPUT, tuple(METHODS))] = "both",
    out: Annotated[Path | None, option("Draw the classifiers to this file (.png, .svg or .pdf).", OUTPUT)] = None,
    json: options.Json = False,
) -> None:  # fmt: skip
    """Tell whether classifiers of related labels are similar, and draw them as Fig. 8 of the paper.

    Purity is the share of the k nearest classifiers that have the same super-category. Rank correlations (Spearman's ρ)
    compare the cosines of classifiers with those of label embeddings, and with co-occurrence. Each is compared with
    random permutations of the labels.
    """
    check_positive("neighbours", neighbours)
    heads = _open_heads(checkpoint)
    names = next(iter(heads.values())).label_names
    kinds = groups_of(names, groups)
    relations = label_relations(heads, graph, embeddings, how)
    k = min(neighbours, max(_num_known(kinds) - 1, 1))
    vectors = {name: head.classifiers().detach() for name, head in heads.items()}
    with console.status("permuting the labels"), renamed_arguments(vectors="checkpoint"):
        rows = {name: _numbers(values, kinds, relations, k, permutations) for name, values in vectors.items()}
    if json:
        print_json(_content(rows, names, kinds, relations) | {"neighbours": k, "permutations": permutations})
    else:
        _show(rows, kinds, relations, k)
    if out is not None:
        _draw(vectors, names, kinds, out, k=k, methods=METHODS[method], permutations=permutations)
        console.note(f"Wrote {out}")


def _open_heads(paths: Sequence[Path]) -> "dict[str, StandardizedHead]":
    """Returns the heads by file, which have the same labels."""
    files = checkpoint_files(chain.from_iterable(map(_files, paths)))
    heads = {name: open_checkpoint(file).head for name, file in files.items()}
    first = next(iter(heads))
    for head in heads.values():
        check_same_labels("checkpoint", head.label_names, heads[first].label_names, first)
    return heads


def _files(path: Path) -> list[Path]:
    """Returns the heads of a folder of train-head that are compared, or the path."""
    return [path / name for name in COMPARED if (path / name).is_file()] or [path]


def _num_known(groups: Groups | None) -> int:
    return 0 if groups is None else len(groups) - groups.count(None)


def _numbers(
    vectors: "Tensor", groups: Groups | None, relations: Mapping[str, Relation], k: int, permutations: int
) -> "Numbers":
    """Returns ``"purity"`` and the rank correlations of one head."""
    from mlgcn_pyg.evaluation import neighbour_purity, rank_correlation

    found: Numbers = dict.fromkeys(("purity", *TITLES))
    if groups is not None and _num_known(groups) > 1:
        found["purity"] = neighbour_purity(vectors, groups, k=k, permutations=permutations)
    for name, relation in relations.items():
        found[name] = rank_correlation(vectors, relation.values, permutations=permutations)
    return found


def _content(
    rows: "Mapping[str, Numbers]", names: Sequence[str], groups: Groups | None, relations: Mapping[str, Relation]
) -> dict[str, Any]:
    return {
        "labels": len(names),
        "groups": None if groups is None else dict(zip(names, groups, strict=True)),
        "relations": {name: relation.file for name, relation in relations.items()},
        "checkpoints": {
            file: {name: None if one is None else asdict(one) for name, one in numbers.items()}
            for file, numbers in rows.items()
        },
    }


def _show(rows: "Mapping[str, Numbers]", groups: Groups | None, relations: Mapping[str, Relation], k: int) -> None:
    """Prints the numbers as a table, and what they are below it."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("head", no_wrap=True)
    for title in (f"purity@{k}", "by chance", "p", "ρ embeddings", "p", "ρ co-occurrence", "p"):
        table.add_column(title, justify="right", no_wrap=True)
    short = short_names(rows)
    for file, numbers in rows.items():
        correlations = (_correlation_cells(numbers[name]) for name in ("embeddings", "co_occurrence"))
        table.add_row(short[file], *_purity_cells(numbers["purity"]), *chain(*correlations))
    console.show_table(table)
    for line in _notes(groups, relations):
        console.say(line)


def _purity_cells(purity: "Agreement | None") -> list[str]:
    if purity is None or math.isnan(purity.value):
        return ["–", "–", "–"]
    return [f"{100 * purity.value:.1f} %", f"{100 * purity.expected:.1f} %", f"{purity.p:.2g}"]


def _correlation_cells(correlation: "Agreement | None") -> list[str]:
    if correlation is None or math.isnan(correlation.value):
        return ["–", "–"]
    return [f"{correlation.value:+.2f}", f"{correlation.p:.2g}"]


def _notes(groups: Groups | None, relations: Mapping[str, Relation]) -> list[str]:
    """Returns what the numbers of the table are."""
    if groups is None:
        lines = ["purity: unknown, since no label has a super-category; --groups names them"]
    else:
        kinds = {group for group in groups if group is not None}
        lines = [f"purity: {_num_known(groups)} of {len(groups)} labels in {len(kinds)} super-categories"]
    lines += [f"{TITLES[name]}: {relation.text}" for name, relation in relations.items()]
    return [*lines, "p: of as high a purity, or as strong a correlation, with the labels permuted"]


def _draw(
    vectors: "Mapping[str, Tensor]", names: Sequence[str], groups: Groups | None, out: Path, **settings: Any
) -> None:
    from mlgcn_pyg.report.classifier_plots import plot_classifiers

    short = short_names(vectors)
    shown = {short[file]: rows for file, rows in vectors.items()}
    with renamed_arguments(classifiers="checkpoint", label_names="checkpoint", path="out", plot="out"):
        plot_classifiers(shown, names, groups, out, **settings)
