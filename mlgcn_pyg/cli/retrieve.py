"""``mlgcn retrieve``: are the images with the most similar features images of the same labels? Numbers, and Fig. 7.

The JSON has these keys. Metrics are fractions, and undefined numbers are null.

* ``k``, ``images``: the number of neighbours, and of the images that they are searched among.
* ``features``: file of features or scores → ``mAP``, ``precision`` and ``nDCG`` at k, and ``queries``,
  ``without_labels`` and ``without_match``: the images that were queries, and those that were left out because they have
  no label, or share none with another image.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich import box
from rich.table import Table

from mlgcn_pyg.checks import check_positive
from mlgcn_pyg.cli import console, options
from mlgcn_pyg.cli.inputs import checkpoint_files, open_cache, open_checkpoint, short_names
from mlgcn_pyg.cli.json_output import print_json
from mlgcn_pyg.cli.options import COMPUTATION, DATA, MODEL, OUTPUT, option
from mlgcn_pyg.cli.outputs import check_inputs
from mlgcn_pyg.cli.values import pick_device
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.labels import check_same_labels

if TYPE_CHECKING:  # these load torch
    from torch import Tensor

    from mlgcn_pyg.evaluation import Retrieval
    from mlgcn_pyg.features import FeatureCache

ENDINGS = ("", ".jpg", ".jpeg", ".png")  # of photographs; some data sets name their images without one


def retrieve(
    cache: Annotated[
        list[Path], option("Feature file; repeatable, for features of the same images by different networks.", DATA)
    ],
    checkpoint: Annotated[
        list[Path] | None, option("A head, whose probabilities of the labels are features, too; repeatable.", MODEL)
    ] = None,
    k: Annotated[int, option("Number of neighbours of an image.", COMPUTATION)] = 10,
    queries: Annotated[
        int | None, option("Number of images to search for, evenly spaced.", COMPUTATION, show_default="all")
    ] = None,
    root: Annotated[
        Path | None, option("Folder of the photographs, whose names are the ids in --cache; for --out.", DATA)
    ] = None,
    show: Annotated[
        list[str] | None,
        option("Id of an image to draw as a query; repeatable.", OUTPUT, show_default="the first four queries"),
    ] = None,
    out: Annotated[
        Path | None, option("Draw queries and their neighbours to this file (.png, .svg or .pdf).", OUTPUT)
    ] = None,
    json: options.Json = False,
    device: options.Device = "auto",
) -> None:
    """Retrieve the images with the most similar features, count the labels that they share, and draw them (Fig. 7).

    Similarity is the cosine. All files have the same images, and each image is a query that the others answer.
    """
    _check_picture(root, show, out)
    from mlgcn_pyg.evaluation import retrieve as nearest_images

    caches = _open_caches(cache)
    first = next(iter(caches.values()))
    features = {name: one.features for name, one in caches.items()} | _scores(checkpoint or [], caches, device)
    drawn = _rows(first, show or [])
    found = {}
    for name, values in features.items():
        with console.status(f"comparing images by {name}"):
            found[name] = nearest_images(values, first.targets, k=k, queries=_queries(len(first), queries))
    if json:
        print_json({"k": k, "images": len(first), "features": {name: _content(one) for name, one in found.items()}})
    else:
        _show_metrics(found, k, len(first))
    if out is not None and root is not None:
        _draw(found, first, root, out, drawn)
        console.note(f"Wrote {out}")


def _check_picture(root: Path | None, show: Sequence[str] | None, out: Path | None) -> None:
    if out is not None and root is None:
        raise InputError("root", "the folder of the photographs, to draw them", "none")
    if out is None and (root is not None or show):
        raise InputError("out", "a file for the picture", "none")


def _open_caches(paths: Sequence[Path]) -> "dict[str, FeatureCache]":
    """Returns the caches by file, which have the same images and targets."""
    import torch

    caches = {str(path): open_cache(path) for path in paths}
    name, first = next(iter(caches.items()))
    for other, cache in caches.items():
        check_same_labels("cache", cache.label_names, first.label_names, name)
        if cache.ids != first.ids or not torch.equal(cache.targets, first.targets):
            raise InputError("cache", f"the images and targets of {name}, in the same order", f"others in {other}")
    return caches


def _scores(paths: Sequence[Path], caches: "Mapping[str, FeatureCache]", device: str) -> "dict[str, Tensor]":
    """Returns the probabilities (N, C) of each head, on the first cache with features of its kind."""
    files = checkpoint_files(paths)
    place = pick_device(device) if files else "cpu"
    return {name: _probabilities(file, list(caches.values()), place) for name, file in files.items()}


def _probabilities(file: Path, caches: "Sequence[FeatureCache]", device: str) -> "Tensor":
    from mlgcn_pyg.training import score

    loaded = open_checkpoint(file)
    width = loaded.head.num_features
    fitting = [cache for cache in caches if cache.num_features == width]
    for cache in fitting:
        try:
            loaded.check_provenance("cache", cache.meta)
        except InputError:
            if cache is fitting[-1]:
                raise
        else:
            return score(loaded.head, cache, device)[0].sigmoid()
    widths = ", ".join(str(cache.num_features) for cache in caches)
    raise InputError("checkpoint", f"a head on one of the caches, of width {widths}", f"width {width} in {file}")


def _rows(cache: "FeatureCache", ids: Sequence[str]) -> list[int]:
    """Returns the row numbers of images."""
    row = {name: number for number, name in enumerate(cache.ids)}
    for name in ids:
        if name not in row:
            raise InputError("show", f"ids of the images, such as {next(iter(row), '')!r}", repr(name))
    return [row[name] for name in ids]


def _queries(num_images: int, number: int | None) -> "Tensor | None":
    """Returns the row numbers of evenly spaced images; None for all."""
    import torch

    if number is None:
        return None
    if check_positive("queries", number) > num_images:
        raise InputError("queries", f"at most {num_images}, the images", number)
    return torch.arange(number) * num_images // number


def _content(found: "Retrieval") -> dict[str, Any]:
    left_out = {"without_labels": found.without_labels, "without_match": found.without_match}
    metrics = {"mAP": found.mAP, "precision": found.precision, "nDCG": found.nDCG}
    return metrics | {"queries": len(found.rows)} | left_out


def _show_metrics(found: "Mapping[str, Retrieval]", k: int, num_images: int) -> None:
    from mlgcn_pyg.report.tables import percent

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("features", no_wrap=True)
    for name in ("mAP", "precision", "nDCG"):
        table.add_column(f"{name}@{k}", justify="right", no_wrap=True)
    short = short_names(found)
    for name, one in found.items():
        metrics = (one.mAP, one.precision, one.nDCG)
        table.add_row(short[name], *(percent(value if len(one.rows) else None) for value in metrics))
    console.show_table(table)
    first = next(iter(found.values()))
    console.say(
        f"in per cent; {len(first.rows)} queries among {num_images} images "
        f"({first.without_labels} without a label and {first.without_match} that share none are left out)"
    )


def _draw(found: "Mapping[str, Retrieval]", cache: "FeatureCache", root: Path, out: Path, drawn: Sequence[int]) -> None:
    from mlgcn_pyg.report.retrieval_grid import plot_retrieval

    queries = next(iter(found.values())).rows.tolist()  # those of all: they depend on the targets only
    if not queries:
        raise InputError("out", "images that share a label, to draw them", "none")
    if missing := [row for row in drawn if row not in queries]:
        found_id = f"{cache.ids[missing[0]]!r}, which is none"
        raise InputError("show", "ids of queries that share a label with another image", found_id)
    paths = [_photograph(root, name) for name in cache.ids]
    check_inputs(paths, "root")
    short = short_names(found)
    named = {short[name]: one for name, one in found.items()}
    plot_retrieval(named, paths, cache.targets, cache.label_names, out, queries=list(drawn) or None)


def _photograph(root: Path, name: str) -> Path:
    """Returns the file of an image; without an ending where there is no such file."""
    files = [root / f"{name}{ending}" for ending in ENDINGS]
    return next((file for file in files if os.path.isfile(file)), files[0])
