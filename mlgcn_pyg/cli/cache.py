"""``mlgcn cache info | verify | repair | head``: looking after feature files."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from mlgcn_pyg.checks import check_positive
from mlgcn_pyg.cli import common

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
        return typer.echo(common.to_json(told, indent=2), nl=False)
    table = Table(show_header=False, box=None)
    for name, value in told.items():
        rows = value.items() if isinstance(value, dict) else [(name, value)]
        for row, content in rows:
            table.add_row(row, ", ".join(map(str, content)) if isinstance(content, list) else str(content))
    common.out.print(table)


@cache.command()
@common.clean_errors
def verify(path: Files, json: Json = False) -> None:
    """Read files whole: checksums, NaN and Inf, completeness, repeated rows. Exit code 1 where something is wrong."""
    from mlgcn_pyg.features.parts import matching_files
    from mlgcn_pyg.features.verify import verify as check

    files = matching_files(path)
    reports = [_with_bar(check, file) for file in files]
    if json:
        typer.echo(common.to_json([report.as_dict() for report in reports], indent=2), nl=False)
    else:
        for report in reports:
            common.out.print(_told(report), soft_wrap=True)
    if not all(report.good for report in reports):
        raise typer.Exit(1)


@cache.command()
@common.clean_errors
def repair(path: File, json: Json = False) -> None:
    """Mark damaged rows for recomputation; running the same extract again then computes them and no others."""
    from mlgcn_pyg.features.verify import repair as mend

    report = _with_bar(mend, path)
    if json:
        return typer.echo(common.to_json(report.as_dict(), indent=2), nl=False)
    common.out.print(_told(report), soft_wrap=True)
    if not report.good and not path.exists():
        common.out.print(f"now {path}.partial: run the same mlgcn extract again to finish it", soft_wrap=True)


@cache.command()
@common.clean_errors
def head(
    path: Files, rows: Annotated[int, typer.Option("-n", "--rows", help="How many images.")] = 5, json: Json = False
) -> None:
    """The first images: ids, labels and a few numbers of their features (view 0)."""
    import numpy as np

    from mlgcn_pyg.features import FeatureCache

    data = FeatureCache(path)
    features = np.asarray(data.features[: check_positive("rows", rows)], np.float32)[:, 0]
    listed = []
    for k, row in enumerate(features):
        target = data.targets[k].tolist()
        present = [name for name, value in zip(data.label_names, target, strict=True) if value == 1]
        unknown = [name for name, value in zip(data.label_names, target, strict=True) if value < 0]
        numbers = {"features": row[:6].round(4).tolist(), "norm": round(float(np.linalg.norm(row)), 4)}
        listed.append({"id": data.ids[k], "labels": present, "unknown": unknown} | numbers)
    if json:
        return typer.echo(common.to_json(listed, indent=2), nl=False)
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
