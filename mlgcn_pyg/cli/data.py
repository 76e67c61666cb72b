"""``mlgcn data``: fetch and verify VOC 2007 and COCO 2014, inspect any data set."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from mlgcn_pyg.checks import check_choice, check_count
from mlgcn_pyg.cli import common, console
from mlgcn_pyg.cli.json_output import print_json
from mlgcn_pyg.errors import renamed_arguments

LISTED = 20  # labels or photographs that a person is shown; --json has all

Splits = Annotated[list[str] | None, typer.Option("--split", help="One split; repeatable. All of them without it.")]
Download = Annotated[
    bool, typer.Option("--download", help="First fetch what is missing; an interrupted run goes on where it stopped.")
]


def voc2007(
    root: Annotated[Path, typer.Option(help="Folder that holds VOCdevkit, or will.")],
    split: Splits = None,
    download: Download = False,
) -> None:
    """Verify VOC 2007 against its published counts; exit code 1 where something is missing or other."""
    from mlgcn_pyg.datasets import VOC2007, VOC_COUNTS
    from mlgcn_pyg.datasets.sources import missing_voc_archives

    splits = [check_choice("split", name, VOC_COUNTS) for name in split or VOC_COUNTS]
    if download:
        _fetch(root, missing_voc_archives(root, splits))
    _verify({name: (VOC2007(root, name), VOC_COUNTS[name]) for name in splits}, root)


def coco2014(
    root: Annotated[Path, typer.Option(help="Folder that holds annotations, train2014 and val2014, or will.")],
    split: Splits = None,
    download: Download = False,
) -> None:
    """Verify COCO 2014 against its published counts; exit code 1 where something is missing or other."""
    from mlgcn_pyg.datasets import COCO2014, COCO_COUNTS
    from mlgcn_pyg.datasets.sources import missing_coco_archives

    splits = [check_choice("split", name, COCO_COUNTS) for name in split or COCO_COUNTS]
    if download:
        _fetch(root, missing_coco_archives(root, splits))
    with console.err.status("reading annotations"):
        opened = {name: (COCO2014(root, name, keep_empty=True), COCO_COUNTS[name]) for name in splits}
    _verify(opened, root)


@common.opens_dataset
def inspect(
    open_data: Callable,
    decode: Annotated[bool, typer.Option(help="Decode every photograph to find broken ones.")] = True,
    num_workers: Annotated[int, typer.Option(help="Processes that decode images.")] = 0,
    rare: Annotated[int, typer.Option(help="Labels in fewer images than this are listed as rare.")] = 10,
    pairs: Annotated[int, typer.Option(help="How many pairs of labels to list.")] = 10,
    json: common.Json = False,
) -> None:
    """Count labels, list strong pairs, find broken files; exit code 1 where a photograph is missing or broken."""
    from mlgcn_pyg.datasets.inspection import label_statistics
    from mlgcn_pyg.datasets.published import missing_images

    check_count("num_workers", num_workers)
    check_count("pairs", pairs)
    with console.err.status("reading labels"):
        data = open_data()
        statistics = label_statistics(data, rare)
        strongest = _strongest_pairs(data, max(rare, 1), pairs)
    broken = _decode(data, num_workers) if decode else missing_images(data)
    if statistics.without_positives:
        named = ", ".join(statistics.without_positives)
        console.err.print(f"warning: labels without a positive: {named}", soft_wrap=True)
    if json:
        content = asdict(statistics) | {"strongest_pairs": strongest, "decoded": decode, "broken": broken}
        print_json(content)
    else:
        _show(statistics, strongest, broken, decode)
    if broken:
        raise typer.Exit(1)


def _fetch(root: Path, archives: Iterator) -> None:
    from mlgcn_pyg.datasets.download import download_and_extract

    with _byte_bars() as progress, renamed_arguments(folder="root"):
        kept = [download_and_extract(archive, root, progress) for archive in archives]
    if kept:
        size = sum(path.stat().st_size for path in kept) / 2**30
        names = ", ".join(path.name for path in kept)
        console.out.print(f"{names} ({size:.1f} GiB) may be removed from {root} now", soft_wrap=True)


@contextmanager
def _byte_bars() -> Iterator[Callable]:
    """Yields ``progress(what, bytes done, bytes in all)``, one bar on stderr for each ``what``."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    bars = {}
    with Progress(*columns, console=console.err) as shown:

        def progress(what: str, done: int, total: int | None) -> None:
            if what not in bars:
                bars[what] = shown.add_task(what, total=total)
            shown.update(bars[what], completed=done, total=total)

        yield progress


def _verify(splits: dict, root: Path) -> None:
    from mlgcn_pyg.datasets.published import counts_of, problems

    table, bad = Table(title=str(root)), {}
    for column in ("split", "images", "with labels", "labels present", "verdict"):
        table.add_column(column, justify="left" if column in ("split", "verdict") else "right")
    for name, (data, expected) in splits.items():
        found = problems(data, expected)
        table.add_row(name, *(f"{count:,}" for count in counts_of(data)), "as published" if not found else "not so")
        bad |= {name: found} if found else {}
    console.show_table(table)
    for name, found in bad.items():
        console.err.print(f"{name}: " + "; ".join(found), soft_wrap=True)
    if bad:
        raise typer.Exit(1)


def _decode(data, num_workers: int) -> dict[str, str]:
    """{id: why} of the photographs that cannot be read."""
    from mlgcn_pyg.features import broken_images

    with console.progress_bar("decoding", len(data)) as update:
        return {data.ids[row]: why for row, why in broken_images(data, num_workers, update).items()}


def _strongest_pairs(data, min_count: int, limit: int) -> list[dict]:
    """Pairs i → j with the largest P(L_j | L_i) where i is in at least ``min_count`` images."""
    import numpy as np

    from mlgcn_pyg.graph import CooccurrenceCounter

    counter = CooccurrenceCounter(data.num_labels).update(data.targets)
    together, probability = counter.pair_counts, counter.probabilities().tocoo()
    i, j = probability.coords
    counts = counter.label_counts.numpy()[i]
    order = np.lexsort((j, i, -counts, -probability.data))
    return [
        {
            "i": data.label_names[i[k]],
            "j": data.label_names[j[k]],
            "probability": float(probability.data[k]),
            "together": int(together[i[k], j[k]]),
            "images_of_i": int(counts[k]),
        }
        for k in order[counts[order] >= min_count][:limit]
    ]


def _show(statistics, strongest: list[dict], broken: dict[str, str], decode: bool) -> None:
    _say(
        f"{statistics.num_images:,} images, {statistics.num_labels:,} labels, {statistics.num_unknown:,} unknown marks"
    )
    spread = ", ".join(f"{k}: {n:,}" for k, n in statistics.images_by_labels.items())
    _say(f"labels per image {statistics.labels_per_image:.3f} (images by number of labels: {spread})")
    common_first = sorted(statistics.positives.items(), key=lambda item: -item[1])
    listed = ", ".join(f"{name} ({count:,})" for name, count in common_first[:LISTED] if count)
    _say(f"labels in most images: {listed or 'none'}")
    if statistics.rare:
        listed = ", ".join(f"{name} ({count})" for name, count in statistics.rare.items())
        _say(f"labels in fewer than {statistics.rare_below} images, the rarest first: {listed}")
    if strongest:
        _say("strongest pairs, i → j:")
        width = max(len(f"{pair['i']} → {pair['j']}") for pair in strongest)
        for pair in strongest:
            counts = f"{pair['together']:,} of {pair['images_of_i']:,} images"
            _say(f"  {pair['i'] + ' → ' + pair['j']:<{width}}  P = {pair['probability']:.3f}  ({counts})")
    if broken:
        _say(f"{len(broken):,} photographs {'broken or missing' if decode else 'missing'}:")
        for name, why in islice(broken.items(), LISTED):
            _say(f"  {name}: {why}")
        if len(broken) > LISTED:
            _say(f"  and {len(broken) - LISTED:,} more; --json lists all of them")
    else:
        _say("every photograph decodes" if decode else "every photograph is there (none was decoded)")


def _say(line: str) -> None:
    console.out.print(line, soft_wrap=True)
