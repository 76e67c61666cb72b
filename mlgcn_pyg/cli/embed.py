"""``mlgcn embed``: label names to label embeddings, read once from files of any size."""

from pathlib import Path
from typing import Annotated

import typer

from mlgcn_pyg.checks import check_label_names
from mlgcn_pyg.cli import common, console
from mlgcn_pyg.errors import InputError, first_line, renamed_arguments
from mlgcn_pyg.files import existing_file

Alias = Annotated[
    list[str] | None, typer.Option(help="What a label's name means in words, e.g. 'tvmonitor=tv monitor'; repeatable.")
]
AliasFile = Annotated[
    Path | None,
    typer.Option(help="The same for many labels: CSV with columns label,words, or JSON {label: words}; --alias wins."),
]
Format = Annotated[
    str,
    typer.Option(
        "--embeddings-format",
        help="auto, text (GloVe, word2vec, fastText .vec), binary (word2vec), npy, pickle or mlgcn (mlgcn embed).",
    ),
]
Oov = Annotated[str, typer.Option(help="Words that have no vector: error, zero or random.")]
Seed = Annotated[int, typer.Option(help="Seed of --oov random.")]


def embed(
    embeddings: Annotated[Path, typer.Option(help="Word vectors (see --embeddings-format), or ready rows.")],
    out: Annotated[Path, typer.Option(help="File for the label embeddings (.pt); mlgcn graph --embeddings takes it.")],
    names: Annotated[Path | None, typer.Option(help="Text file of label names, one a line, without --dataset.")] = None,
    embeddings_format: Format = "auto",
    alias: Alias = None,
    alias_file: AliasFile = None,
    oov: Oov = "error",
    seed: Seed = 0,
    dataset: Annotated[str | None, typer.Option(help="Take the labels of this data set, as mlgcn graph does.")] = None,
    root: Annotated[Path, typer.Option(help="Its folder.")] = Path(),
    split: common.Split = None,
    labels: common.Labels = None,
    image_column: common.ImageColumn = "image",
    labels_column: common.LabelsColumn = None,
    separator: common.Separator = ";",
) -> None:
    """Make label embeddings once and keep them with what they were made of."""
    if (names is None) == (dataset is None):
        found = "neither" if names is None else "both"
        raise InputError("names", "--names, a text file of label names, or --dataset", found)
    common.check_result("out", out, embeddings, names, alias_file, labels)
    if names is not None:
        label_names = read_names(names)
    else:
        label_names = common.open_dataset(
            dataset, root, split, labels, image_column, labels_column, separator
        ).label_names
    made = read_embeddings(label_names, embeddings, embeddings_format, alias, alias_file, oov, seed)
    made.save(out)
    console.out.print(f"{len(made.label_names)} labels, {made.x.size(1)} numbers each", soft_wrap=True)
    console.out.print(f"wrote {out}", soft_wrap=True)


def read_embeddings(label_names, path: Path, format: str, alias, alias_file: Path | None, oov: str, seed: int):
    """The label embeddings that the options describe; says which labels had no vector of their own."""
    from mlgcn_pyg.graph import ALIASES, READY_FORMATS, embeddings_format, label_embeddings, read_aliases

    given = _aliases(alias or [], label_names)
    with renamed_arguments(path="alias_file"):
        aliases = ALIASES | ({} if alias_file is None else read_aliases(alias_file)) | given
    with renamed_arguments(path="embeddings"), console.err.status(f"reading {path.name}"):
        made = label_embeddings(label_names, path, format=format, aliases=aliases, oov=oov, seed=seed)
    if (given or alias_file or oov != "error") and (
        embeddings_format(path) if format == "auto" else format
    ) in READY_FORMATS:
        found = "ready embeddings, whose words are no longer known"
        raise InputError("embeddings", "word vectors beside --alias, --alias-file or --oov", f"{path}, {found}")
    if words := made.source.get("oov_words"):
        short = ", ".join(made.source["oov_labels"])
        console.err.print(f"without a vector ({made.source['oov']}): {', '.join(words)}; in {short}", soft_wrap=True)
    return made


def _aliases(pairs: list[str], label_names) -> dict[str, str]:
    """``["tvmonitor=tv monitor"]`` as a table; a name that is no label's is a slip of the pen."""
    from mlgcn_pyg.graph.spelling import nearest_spellings

    table, names = {}, {*label_names, *(name.lower() for name in label_names)}
    for pair in pairs:
        name, sign, words = pair.partition("=")
        if not (sign and name.strip() and words.strip()):
            raise InputError("alias", "label=words, e.g. 'tvmonitor=tv monitor'", repr(pair))
        if name.strip() not in names:
            near = nearest_spellings([name.strip()], label_names)[name.strip()]
            fix = f"perhaps it is {near[0]!r}" if near else "names for other labels too may stand in an --alias-file"
            raise InputError("alias", f"one of the {len(label_names)} labels", repr(name.strip()), fix)
        table[name.strip()] = words.strip()
    return table


def read_names(path: Path) -> tuple[str, ...]:
    """Label names of a text file, one a line; empty lines are none."""
    try:
        lines = existing_file("names", path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError("names", "a text file in UTF-8", f"{path} ({first_line(error)})") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise InputError("names", "label names, one a line", f"none in {path}")
    return check_label_names(names, len(names))
