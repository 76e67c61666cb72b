"""``mlgcn cache info | verify | repair | head``: looking after feature files."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from mlgcn_pyg.checks import check_positive
from mlgcn_pyg.cli import common
from mlgcn_pyg.cli.endings import tell
from mlgcn_pyg.errors import InputError, printable_line

cache = typer.Typer(help="Look at feature files, check them, have damaged rows computed again.", no_args_is_help=True)
File = Annotated[Path, typer.Argument(help="A feature file (.h5).")]
Files = Annotated[str, typer.Argument(help="A feature file, or a quoted pattern such as 'train-*.h5'.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


@cache.command()
@common.clean_errors
def info(path: Files, json: Json = False) -> None:
    """What a file says of itself; its features are not read."""
    from mlgcn_pyg.features.verify import describe

    told = describe(path)
    if json:
        return common.print_json(told)
    table = Table(show_header=False, box=None)
    for name, value in told.items():
        rows = value.items() if isinstance(value, dict) else [(name, value)]
        for row, content in rows:
            table.add_row(row, ", ".join(map(str, content)) if isinstance(content, list) else str(content))
    common.out.print(table)


@cache.command()
@common.clean_errors
def verify(path: Files, json: Json = False) -> None:
    """Read files whole: checksums, NaN and Inf, completeness, repeated rows, and whether they make one cache.

    Exit code 0: good, 1: something is wrong, 2: something is no feature file or cannot be read.
    """
    from mlgcn_pyg.features.parts import matching_files, open_parts

    files = matching_files(path)
    told = [_checked(file, say=not json) for file in files]
    unread = any("error" in one for one in told)
    if len(files) > 1 and all(one["good"] for one in told):
        try:
            open_parts(files)
        except InputError as error:
            told.append(_refused(path, error))
    for one in told:
        if "error" in one:
            tell(one["error"])
    if json:
        common.print_json(told)
    raise typer.Exit(2 if unread else int(not all(one["good"] for one in told)))


def _checked(file: Path, say: bool) -> dict:
    """What there is to tell of one file; the others are looked at whatever it is."""
    from mlgcn_pyg.features.verify import verify as check

    try:
        report = _with_bar(check, file)
    except (InputError, OSError) as error:
        return _refused(file, error)
    if say:
        common.out.print(_told(report), soft_wrap=True)
    return report.as_dict()


def _refused(file: Path | str, error: Exception) -> dict:
    return {"file": str(file), "good": False, "error": printable_line(error)}


@cache.command()
@common.clean_errors
def repair(path: File, json: Json = False) -> None:
    """Mark damaged rows for recomputation; running the same extract again then computes them and no others."""
    from mlgcn_pyg.features.verify import repair as mend
    from mlgcn_pyg.files import behind_links, partial_path

    path = behind_links(path)
    report = _with_bar(mend, path)
    if json:
        return common.print_json(report.as_dict())
    common.out.print(_told(report), soft_wrap=True)
    if not report.good:
        partial = path if path.exists() else partial_path(path)
        common.out.print(f"now {partial}: run the same mlgcn extract again to finish it", soft_wrap=True)


@cache.command()
@common.clean_errors
def head(
    path: Files, rows: Annotated[int, typer.Option("-n", "--rows", help="How many images.")] = 5, json: Json = False
) -> None:
    """The first images: ids, labels and a few numbers of their features (view 0)."""
    import numpy as np

    from mlgcn_pyg.features import FeatureCache

    data = FeatureCache(path)
    features = np.asarray(data.features[: check_positive("rows", rows)], np.float64)[:, 0]
    listed = []
    for k, row in enumerate(features):
        target = data.targets[k].tolist()
        present = [name for name, value in zip(data.label_names, target, strict=True) if value == 1]
        unknown = [name for name, value in zip(data.label_names, target, strict=True) if value < 0]
        numbers = {"features": row[:6].round(4).tolist(), "norm": round(float(np.linalg.norm(row)), 4)}
        listed.append({"id": data.ids[k], "labels": present, "unknown": unknown} | numbers)
    if json:
        return common.print_json(listed)
    table = Table("image", "labels", "unknown", f"features (of {data.num_features})", "norm")
    for row in listed:
        numbers = " ".join(f"{value:.3f}" for value in row["features"]) + " …"
        table.add_row(row["id"], ", ".join(row["labels"]), ", ".join(row["unknown"]), numbers, f"{row['norm']:.2f}")
    common.show_table(table)


def _with_bar(act, path: Path):
    with common.progress_bar(path.name, None) as update:
        return act(path, progress=update)


def _told(report) -> str:
    if report.good:
        told = "good" if report.checked else "no NaN or Inf, but version 1 has no checksums to check"
    else:
        parts = [
            (report.damaged, "damaged batches"),
            (report.unfinished, "unfinished batches"),
            (report.not_finite, "rows with NaN or Inf"),
        ]
        told = ", ".join(f"{len(found)} {what} ({_few(found)})" for found, what in parts if found)
    if report.repeated:
        told += f"; {len(report.repeated)} sets of images with equal features ({_few(report.repeated[0])})"
    return f"{report.path}: {report.contents.shape[0]} images, {told}"


def _few(values: list) -> str:
    return ", ".join(map(str, values[:5])) + (", …" if len(values) > 5 else "")
