"""``mlgcn embed``: writes the embeddings of label names to a file."""

from pathlib import Path
from typing import Annotated

from mlgcn_pyg.cli import console
from mlgcn_pyg.cli.dataset_options import (
    KINDS,
    Annotations,
    DatasetOptions,
    ImageColumn,
    Labels,
    LabelsColumn,
    Separator,
    Split,
)
from mlgcn_pyg.cli.embedding_options import EMBEDDINGS, SOURCES, EmbeddingOptions
from mlgcn_pyg.cli.label_names import read_label_names
from mlgcn_pyg.cli.options import DATA, OUTPUT, choice, option, takes
from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.text import described_groups


@takes(how=EMBEDDINGS)
def embed(
    *,
    embeddings: Annotated[str, option(SOURCES, DATA)],
    how: EmbeddingOptions,
    names: Annotated[Path | None, option("Text file of label names, one per line.", DATA)] = None,
    dataset: Annotated[
        str | None, choice("Use the labels of a data set instead: voc2007, coco2014, coco or table.", DATA, KINDS)
    ] = None,
    root: Annotated[Path, option("Folder of the data set, as in mlgcn graph.", DATA)] = Path(),
    split: Split = None,
    labels: Labels = None,
    image_column: ImageColumn = "image",
    labels_column: LabelsColumn = None,
    separator: Separator = ";",
    annotations: Annotations = None,
    out: Annotated[Path, option("Output file (.pt) for mlgcn graph --embeddings.", OUTPUT)],
) -> None:
    """Write label embeddings and a record of their source."""
    if names is not None and dataset is None:
        label_names = read_label_names(names)
    elif dataset is not None and names is None:
        options = DatasetOptions(
            dataset, root, split, labels, image_column, labels_column, separator, annotations=annotations
        )
        label_names = tuple(options.open().label_names)
    else:
        fix = ("give ", Argument("names"), " or ", Argument("dataset"))
        raise InputError("names", "one source of label names", "two" if names is not None else "none", fix)
    from mlgcn_pyg.graph.twins import equal_embeddings

    result = how.read(label_names, embeddings)
    result.save(out)
    console.say(f"{len(result.label_names)} labels, {result.x.size(1)} numbers each")
    console.say(f"Wrote {out}")
    if equal := equal_embeddings(result.label_names, result.x):
        console.note(f"Warning: these labels have equal embeddings: {described_groups(equal)}")
