"""``mlgcn explain``: which labels and which parts of a photograph raise or lower the logit of a label.

The JSON is a list with one object per image: ``image``, and ``error`` or ``labels``. The latter is a list of objects
with ``label``, ``probability``, ``logit`` and its terms: ``own``, ``neighbours`` (a list of objects with ``label`` and
``contribution``) and ``bias``.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlgcn_pyg.checks import check_positive
from mlgcn_pyg.cli import console, options
from mlgcn_pyg.cli.json_output import print_json
from mlgcn_pyg.cli.options import OUTPUT, option, takes
from mlgcn_pyg.cli.outputs import check_inputs
from mlgcn_pyg.cli.predictions import printable
from mlgcn_pyg.cli.values import pick_device
from mlgcn_pyg.cli.whole_model import WHOLE_MODEL, ModelOptions
from mlgcn_pyg.errors import InputError, renamed_arguments

if TYPE_CHECKING:  # this loads torch
    from mlgcn_pyg.prediction import Explanation, Predictor

BATCH = 8  # photographs that are explained at once
MOST_DRAWN = 20  # photographs in a picture


@takes(model=WHOLE_MODEL)
def explain(
    model: ModelOptions,
    images: Annotated[
        list[Path],
        typer.Argument(help="Images, and folders that are searched for images. Links to folders are not followed."),
    ],
    label: Annotated[
        list[str] | None, option("A label to explain; repeatable.", OUTPUT, show_default="the most probable ones")
    ] = None,
    top_k: Annotated[int, option("Without --label: explain the k most probable labels.", OUTPUT)] = 3,
    out: Annotated[
        Path | None, option("Draw photographs, maps and terms to this file (.png, .svg or .pdf).", OUTPUT)
    ] = None,
    json: options.Json = False,
    device: options.Device = "auto",
) -> None:
    """Explain predictions: the exact terms of a logit, and the parts of the image that it comes from.

    A logit is the sum of the label's own term, one term per neighbour in the label graph, and a bias. Exit code 1: some
    images could not be read.
    """
    check_positive("top_k", top_k)
    if out is not None:
        _check_plot(out)
    from mlgcn_pyg.prediction import Predictor, find_images

    paths = find_images(images)
    check_inputs(paths, "images")
    if out is not None and len(paths) > MOST_DRAWN:
        raise InputError("out", f"at most {MOST_DRAWN} images in a picture", len(paths))
    predictor = Predictor(model.open(), pick_device(device))
    found: list[Explanation] = []
    with renamed_arguments(labels="label"):
        for explanation in _explanations(predictor, paths, label, top_k):
            found.append(explanation)
            if not json:
                console.say(f"{printable(str(explanation.image))}\n{_indented(str(explanation))}")
    if json:
        print_json([_content(one) for one in found])
    broken = sum(one.error is not None for one in found)
    if out is None:
        console.note("To draw the parts of the images that the logits come from, add --out explain.png")
    elif broken < len(found):
        _draw(found, out)
    if broken:
        console.note(f"{broken} of {len(found)} images could not be read")
        raise typer.Exit(1)


def _check_plot(out: Path) -> None:
    from mlgcn_pyg.report.figures import check_libraries

    with renamed_arguments(path="out", plot="out"):
        check_libraries(out)


def _explanations(
    predictor: "Predictor", paths: Sequence[Path], labels: list[str] | None, top_k: int
) -> "Iterator[Explanation]":
    for start in range(0, len(paths), BATCH):
        yield from predictor.explain(paths[start : start + BATCH], labels=labels or None, top_k=top_k)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _content(explanation: "Explanation") -> dict[str, Any]:
    if explanation.error is not None:
        return {"image": str(explanation.image), "error": explanation.error}
    labels = [
        {
            "label": one.label,
            "probability": one.probability,
            "logit": one.logit,
            "own": one.own,
            "neighbours": [{"label": name, "contribution": value} for name, value in one.neighbours],
            "bias": one.bias,
        }
        for one in explanation.labels
    ]
    return {"image": str(explanation.image), "labels": labels}


def _draw(explanations: "Sequence[Explanation]", out: Path) -> None:
    from mlgcn_pyg.report.overlays import plot_explanation

    with console.status("drawing"), renamed_arguments(path="out"):
        plot_explanation(explanations, out)
    console.note(f"Wrote {out}")
