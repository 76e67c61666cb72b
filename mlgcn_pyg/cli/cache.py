"""``mlgcn cache info | verify | repair | head``: inspects and repairs feature files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from mlgcn_pyg.checks import check_positive
from mlgcn_pyg.cli import console, options
from mlgcn_pyg.cli.errors import CommandOptions, options_of
from mlgcn_pyg.cli.inputs import open_cache
from mlgcn_pyg.cli.json_output import print_json
from mlgcn_pyg.cli.processes import print_error
from mlgcn_pyg.errors import InputError, printable_line

if TYPE_CHECKING:
    from mlgcn_pyg.features.verification import Report

File = Annotated[Path, typer.Argument(metavar="FILE", help="A feature file (.h5).")]
Files = Annotated[str, typer.Argument(metavar="FILE", help="A feature file, or a quoted pattern such as 'train-*.h5'.")]


def info(path: Files, json: options.Json = False) -> None:
    """Show a file's header: sizes, labels and provenance. Features are not read."""
    from mlgcn_pyg.features import describe_cache

    header = describe_cache(path)
    if json:
        return print_json(header)
    table = Table(show_header=False, box=None)
    for name, value in header.items():
        for row, content in value.items() if isinstance(value, dict) else [(name, value)]:
            table.add_row(row, ", ".join(map(str, content)) if isinstance(content, list) else str(content))
    console.out.print(table)


def verify(context: typer.Context, path: Files, json: options.Json = False) -> None:
    """Read whole files and check them: checksums, NaN and Inf, missing batches, equal rows, and consistent parts.

    Exit code 0: good. 1: damaged, unfinished or inconsistent. 2: not a feature file, or a file that cannot be read.
    """
    from mlgcn_pyg.features.parts import matching_files, open_parts

    files, options = matching_files(path), options_of(context)
    reports = [_verify_file(file, options, show=not json) for file in files]
    unreadable = any("error" in report for report in reports)
    if len(files) > 1 and all(report["good"] for report in reports):
        try:
            open_parts(files)
        except InputError as error:
            reports.append(_failure(path, error, options))
    for report in reports:
        if "error" in report:
            print_error(report["error"])
    if json:
        print_json(reports)
    raise typer.Exit(2 if unreadable else int(not all(report["good"] for report in reports)))


def _verify_file(file: Path, options: CommandOptions, show: bool) -> dict[str, Any]:
    """Returns the report on one file. An error is part of the report, so that the other files are verified too."""
    from mlgcn_pyg.features.verification import verify

    try:
        report = _with_bar(verify, file)
    except (InputError, OSError) as error:
        return _failure(file, error, options)
    if show:
        console.say(_report_text(report))
    return report.as_dict()


def _failure(file: Path | str, error: InputError | OSError, options: CommandOptions) -> dict[str, Any]:
    fields = options.fields(error) if isinstance(error, InputError) else {"error": printable_line(error)}
    return {"file": str(file), "good": False} | fields


def repair(path: File, json: options.Json = False) -> None:
    """Mark damaged batches as missing. The same extract command then computes only those batches."""
    from mlgcn_pyg.features.verification import repair
    from mlgcn_pyg.files.atomic import behind_links, partial_path

    path = behind_links(path)
    report = _with_bar(repair, path)
    if json:
        return print_json(report.as_dict())
    console.say(_report_text(report))
    if not report.good:
        partial = path if path.exists() else partial_path(path)
        console.say(f"The unfinished file is {partial}. Run the same mlgcn extract command to complete it.")


def head(
    path: Files,
    rows: Annotated[int, options.option("Number of images.", options.OUTPUT, "--rows", "-n")] = 5,
    json: options.Json = False,
) -> None:
    """Show the first images: ids, labels, and the first values of their features (view 0)."""
    import numpy as np

    cache = open_cache(Path(path), option="path")
    features = np.asarray(cache.features[: check_positive("rows", rows)], np.float64)[:, 0]
    listed: list[dict[str, Any]] = []
    for k, row in enumerate(features):
        target = cache.targets[k].tolist()
        present = [name for name, value in zip(cache.label_names, target, strict=True) if value == 1]
        unknown = [name for name, value in zip(cache.label_names, target, strict=True) if value < 0]
        numbers = {"features": row[:6].round(4).tolist(), "norm": round(float(np.linalg.norm(row)), 4)}
        listed.append({"id": cache.ids[k], "labels": present, "unknown": unknown} | numbers)
    if json:
        return print_json(listed)
    table = Table("image", "labels", "unknown", f"features (of {cache.num_features})", "norm")
    for image in listed:
        values = " ".join(f"{value:.3f}" for value in image["features"]) + " …"
        labels = (", ".join(image[key]) for key in ("labels", "unknown"))
        table.add_row(image["id"], *labels, values, f"{image['norm']:.2f}")
    console.show_table(table)


def _with_bar(act: "Callable[..., Report]", path: Path) -> "Report":
    with console.progress_bar(path.name, None) as update:
        return act(path, progress=update)


def _report_text(report: "Report") -> str:
    """Returns a report as one line."""
    if report.good:
        text = "good" if report.checked else "no NaN or Inf; files of version 1 have no checksums to verify"
    else:
        parts = [
            (report.damaged, "damaged batches"),
            (report.unfinished, "unfinished batches"),
            (report.not_finite, "rows with NaN or Inf"),
        ]
        text = ", ".join(f"{len(numbers)} {name} ({_few(numbers)})" for numbers, name in parts if numbers)
    if report.repeated:
        text += f"; {len(report.repeated)} sets of images with equal features ({_few(report.repeated[0])})"
    return f"{report.path}: {report.contents.shape[0]} images, {text}"


def _few(values: Sequence[object]) -> str:
    return ", ".join(map(str, values[:5])) + (", …" if len(values) > 5 else "")
