"""``mlgcn data``: downloads and verifies VOC 2007 and COCO 2014, and inspects any data set."""

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from mlgcn_pyg.checks import check_choice, check_count
from mlgcn_pyg.cli import console, options
from mlgcn_pyg.cli.dataset_options import DATASET, DatasetOptions
from mlgcn_pyg.cli.json_output import print_json
from mlgcn_pyg.cli.options import DATA, OUTPUT, option, takes
from mlgcn_pyg.errors import renamed_arguments
from mlgcn_pyg.text import described_groups

if TYPE_CHECKING:  # these load torch
    from mlgcn_pyg.datasets import COCO2014, VOC2007
    from mlgcn_pyg.datasets.inspection import LabelStatistics
    from mlgcn_pyg.datasets.published import Counts
    from mlgcn_pyg.typing import LabeledDataset

PAIRS_AT_A_TIME = 1 << 22  # counts of pairs in memory, at about 45 bytes each
LISTED = 20  # maximum number of labels or images in printed text; --json lists all

Splits = Annotated[list[str] | None, option("A split; repeatable.", DATA, "--split", show_default="all")]
Download = Annotated[bool, option("Download missing files first. An interrupted download resumes.", DATA, "--download")]


def voc2007(
    root: Annotated[Path, option("Folder of VOCdevkit; created by --download.", DATA)],
    split: Splits = None,
    download: Download = False,
) -> None:
    """Compare VOC 2007 with its published counts. Exit code 1: something is missing or different."""
    from mlgcn_pyg.datasets import VOC2007, VOC_COUNTS
    from mlgcn_pyg.datasets.sources import missing_voc_archives

    splits = [check_choice("split", name, VOC_COUNTS) for name in split or VOC_COUNTS]
    if download:
        _fetch(root, missing_voc_archives(root, splits))
    _verify({name: (VOC2007(root, name), VOC_COUNTS[name]) for name in splits}, root)


def coco2014(
    root: Annotated[Path, option("Folder of annotations, train2014 and val2014; created by --download.", DATA)],
    split: Splits = None,
    download: Download = False,
) -> None:
    """Compare COCO 2014 with its published counts. Exit code 1: something is missing or different."""
    from mlgcn_pyg.datasets import COCO2014, COCO_COUNTS
    from mlgcn_pyg.datasets.sources import missing_coco_archives

    splits = [check_choice("split", name, COCO_COUNTS) for name in split or COCO_COUNTS]
    if download:
        _fetch(root, missing_coco_archives(root, splits))
    with console.status("reading annotations"):
        opened = {name: (COCO2014(root, name, keep_empty=True), COCO_COUNTS[name]) for name in splits}
    _verify(opened, root)


@takes(data=DATASET)
def inspect(
    data: DatasetOptions,
    decode: Annotated[bool, option("Decode every image to find broken ones.", DATA)] = True,
    num_workers: options.NumWorkers = 0,
    rare: Annotated[int, option("List labels in fewer images than this as rare.", OUTPUT)] = 10,
    pairs: Annotated[int, option("Number of label pairs to list.", OUTPUT)] = 10,
    json: options.Json = False,
) -> None:
    """Count labels, list strong pairs and find broken files. Exit code 1: an image is missing or broken."""
    from mlgcn_pyg.datasets.inspection import label_statistics
    from mlgcn_pyg.datasets.published import missing_images

    check_count("num_workers", num_workers)
    check_count("pairs", pairs)
    with console.status("reading labels"):
        opened = data.open()
        statistics = label_statistics(opened, rare)
        strongest = _strongest_pairs(opened, max(rare, 1), pairs)
    broken = _decode(opened, num_workers) if decode else missing_images(opened)
    if statistics.without_positives:
        console.note(f"Warning: no image has {', '.join(statistics.without_positives)}")
    if json:
        print_json(asdict(statistics) | {"strongest_pairs": strongest, "decoded": decode, "broken": broken})
    else:
        _show_statistics(statistics)
        _show_pairs(strongest)
        _show_broken(broken, decode)
    if broken:
        raise typer.Exit(1)
    if not json:
        console.say(f"Next: {_next(data)}")


def _next(data: DatasetOptions) -> str:
    """Returns the command that follows: a table without splits is divided first."""
    if data.labels is not None and data.split is None:
        return f"mlgcn data split {shlex.quote(str(data.labels))} --val 0.15 --test 0.15"
    source = ["--dataset", data.dataset, "--root", str(data.root)]
    source += ["--labels", str(data.labels)] if data.labels is not None else []
    source += ["--split", data.split] if data.split is not None else []
    return f"mlgcn graph {shlex.join(source)} --out graph.pt"


def _fetch(root: Path, archives: Iterator[Any]) -> None:
    from mlgcn_pyg.datasets.download import download_and_extract

    with _byte_bars() as progress, renamed_arguments(folder="root"):
        kept = [download_and_extract(archive, root, progress) for archive in archives]
    if kept:
        size = sum(path.stat().st_size for path in kept) / 2**30
        console.say(f"You may remove {', '.join(path.name for path in kept)} ({size:.1f} GiB) from {root}")


@contextmanager
def _byte_bars() -> Iterator[Callable[[str, int, int | None], None]]:
    """Yields ``progress(title, bytes done, total bytes)``, with one bar on stderr for each title."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    bars: dict[str, TaskID] = {}
    with Progress(*columns, console=console.err) as shown:

        def progress(title: str, done: int, total: int | None) -> None:
            if title not in bars:
                bars[title] = shown.add_task(title, total=total)
            shown.update(bars[title], completed=done, total=total)

        yield progress


def _verify(splits: "Mapping[str, tuple[VOC2007 | COCO2014, Counts]]", root: Path) -> None:
    from mlgcn_pyg.datasets.published import counts_of, problems

    table = Table(title=str(root))
    differing: dict[str, list[str]] = {}
    for column in ("split", "images", "with labels", "labels present", "verdict"):
        table.add_column(column, justify="left" if column in ("split", "verdict") else "right")
    for name, (data, expected) in splits.items():
        differences = problems(data, expected)
        counts = (f"{count:,}" for count in counts_of(data))
        table.add_row(name, *counts, "different" if differences else "as published")
        if differences:
            differing[name] = differences
    console.show_table(table)
    for name, differences in differing.items():
        console.note(f"{name}: " + "; ".join(differences))
    if differing:
        raise typer.Exit(1)


def _decode(data: "LabeledDataset", num_workers: int) -> dict[str, str]:
    """Returns {id: reason} of the images that cannot be read."""
    from mlgcn_pyg.features import broken_images

    with console.progress_bar("decoding", len(data)) as update:
        return {data.ids[row]: reason for row, reason in broken_images(data, num_workers, update).items()}


def _strongest_pairs(data: "LabeledDataset", min_count: int, limit: int) -> list[dict[str, Any]]:
    """Returns the pairs i → j with the largest P(L_j | L_i), for labels i of at least ``min_count`` images."""
    import numpy as np

    from mlgcn_pyg.graph import CooccurrenceCounter, EdgeRule

    counter = CooccurrenceCounter(len(data.label_names)).update(data.targets)
    if not limit or not bool((counter.label_counts >= min_count).any()):
        return []
    # of each i only the strongest pairs are kept, since all pairs of many labels may not fit into memory
    pairs = EdgeRule(tau=0, min_count=1, top_k=limit)
    edge_index, probability = counter.edges(pairs, max_entries=PAIRS_AT_A_TIME)
    (i, j), prob = edge_index.numpy(), probability.numpy()
    counts = counter.label_counts.numpy()[i]
    order = np.lexsort((j, i, -counts, -prob))
    return [
        {
            "i": data.label_names[i[k]],
            "j": data.label_names[j[k]],
            "probability": float(prob[k]),
            "together": int(((data.targets[:, i[k]] == 1) & (data.targets[:, j[k]] == 1)).sum()),
            "images_of_i": int(counts[k]),
        }
        for k in order[counts[order] >= min_count][:limit]
    ]


def _show_statistics(statistics: "LabelStatistics") -> None:
    s = statistics
    console.say(f"{s.num_images:,} images, {s.num_labels:,} labels, {s.num_unknown:,} unknown targets")
    spread = ", ".join(f"{k}: {n:,}" for k, n in s.images_by_labels.items())
    console.say(f"Labels per image: {s.labels_per_image:.3f} (images by number of labels: {spread})")
    by_count = sorted(s.positives.items(), key=lambda item: -item[1])
    listed = ", ".join(f"{name} ({count:,})" for name, count in by_count[:LISTED] if count)
    console.say(f"Most frequent labels: {listed or 'none'}")
    if s.rare:
        listed = ", ".join(f"{name} ({count})" for name, count in islice(s.rare.items(), LISTED))
        more = f" and {len(s.rare) - LISTED:,} more" if len(s.rare) > LISTED else ""
        console.say(f"Labels in fewer than {s.rare_below} images, rarest first: {listed}{more}")
    if s.look_alike:
        console.say(f"Labels that differ only in case, spacing or Unicode form: {described_groups(s.look_alike)}")
    if s.same_targets:
        console.say(f"Labels with equal targets in every image: {described_groups(s.same_targets)}")


def _show_pairs(strongest: list[dict[str, Any]]) -> None:
    if not strongest:
        return
    console.say("Strongest pairs, i → j:")
    width = max(len(f"{pair['i']} → {pair['j']}") for pair in strongest)
    for pair in strongest:
        counts = f"{pair['together']:,} of {pair['images_of_i']:,} images"
        console.say(f"  {pair['i'] + ' → ' + pair['j']:<{width}}  P = {pair['probability']:.3f}  ({counts})")


def _show_broken(broken: dict[str, str], decoded: bool) -> None:
    if not broken:
        console.say("All images can be decoded" if decoded else "All images exist (none was decoded)")
        return
    console.say(f"{len(broken):,} images are {'broken or missing' if decoded else 'missing'}:")
    for name, reason in islice(broken.items(), LISTED):
        console.say(f"  {name}: {reason}")
    if len(broken) > LISTED:
        console.say(f"  and {len(broken) - LISTED:,} more; --json lists all of them")
