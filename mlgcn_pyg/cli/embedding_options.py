"""The options that describe label embeddings, declared once for all commands that read them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mlgcn_pyg.cli import console
from mlgcn_pyg.cli.options import DATA, choice, from_dataclass, option
from mlgcn_pyg.errors import Argument, InputError, renamed_arguments
from mlgcn_pyg.text import normal_form

if TYPE_CHECKING:  # these load torch
    from mlgcn_pyg.graph import LabelEmbeddings

SENTENCE = "sentence:"  # before the folder or the name of a sentence encoder
SOURCES = "Word vectors, label embeddings, a file of mlgcn embed, or sentence:ENCODER, a folder or a name on the hub."
ONLY_ENCODERS = f"{SENTENCE}ENCODER in --embeddings, since only encoders read prompts"
FORMATS = ("auto", "text", "binary", "npy", "pickle", "mlgcn")
OOV = ("error", "zero", "random")


@dataclass(frozen=True)
class EmbeddingOptions:
    """The options that describe label embeddings."""

    embeddings_format: Annotated[
        str,
        choice("auto, text (GloVe, word2vec, fastText .vec), binary (word2vec), npy, pickle or mlgcn (mlgcn embed).",
               DATA, FORMATS),
    ] = "auto"  # fmt: skip
    alias: Annotated[
        list[str] | None, option("Words of a label, such as 'tvmonitor=tv monitor'; repeatable.", DATA)
    ] = None
    alias_file: Annotated[
        Path | None,
        option("File of aliases: CSV with the columns label and words, or JSON. --alias takes precedence.",
               DATA),
    ] = None  # fmt: skip
    prompt: Annotated[
        list[str] | None,
        option("Text for a sentence encoder, such as 'a photo of a {}'; repeatable, for the mean over several.", DATA,
               show_default="{}"),
    ] = None  # fmt: skip
    oov: Annotated[str, choice("Vector of unknown words: error (stop), zero or random.", DATA, OOV)] = "error"
    seed: Annotated[int, option("Seed of --oov random.", DATA)] = 0
    embeddings_max_bytes: Annotated[
        int, option("Limit on the size of word vectors after decompression.", DATA, show_default="16 GiB")
    ] = 1 << 34

    def read(self, label_names: Sequence[str], source: str) -> "LabelEmbeddings":
        """Returns the embeddings of the labels from a file, or a sentence encoder."""
        from mlgcn_pyg.graph import ALIASES, read_aliases

        aliases = _parse_aliases(self.alias or [], label_names)
        listed: dict[str, str] = {}
        if self.alias_file is not None:
            with renamed_arguments(path="alias_file"):
                listed = read_aliases(self.alias_file)
        words = ALIASES | listed | aliases
        if source.startswith(SENTENCE):
            return self._encode(label_names, source.removeprefix(SENTENCE), words)
        return self._read_file(label_names, Path(source), words)

    def _encode(self, label_names: Sequence[str], encoder: str, aliases: dict[str, str]) -> "LabelEmbeddings":
        from mlgcn_pyg.graph import sentence_embeddings

        renamed = renamed_arguments(encoder="embeddings", prompts="prompt", aliases="alias")
        with console.progress_bar("encoding labels", len(label_names)) as update, renamed:
            return sentence_embeddings(
                label_names,
                encoder,
                prompts=self.prompt or ("{}",),
                aliases=aliases,
                progress=lambda done, _: update(done),
            )

    def _read_file(self, label_names: Sequence[str], path: Path, aliases: dict[str, str]) -> "LabelEmbeddings":
        """Returns the embeddings of a file. Words without a vector are listed on stderr."""
        from mlgcn_pyg.graph import label_embeddings

        renamed = renamed_arguments(path="embeddings", max_bytes="embeddings_max_bytes")
        with console.status(f"reading {path.name}"), renamed:
            result = label_embeddings(
                label_names,
                path,
                format=self.embeddings_format,
                aliases=aliases,
                oov=self.oov,
                seed=self.seed,
                max_bytes=self.embeddings_max_bytes,
            )
        if self.alias or self.alias_file or self.oov != "error":
            self._check_word_vectors(path)
        if words := result.source.get("oov_words"):
            labels = ", ".join(result.source["oov_labels"])
            console.note(f"Words without a vector ({result.source['oov']}): {', '.join(words)} in {labels}")
        return result

    def _check_word_vectors(self, path: Path) -> None:
        """Raises an InputError if the file contains label embeddings instead of word vectors."""
        from mlgcn_pyg.graph import READY_FORMATS, embeddings_format

        with renamed_arguments(path="embeddings"):
            format = embeddings_format(path) if self.embeddings_format == "auto" else self.embeddings_format
        if format in READY_FORMATS:
            raise InputError(
                "embeddings", "word vectors for --alias, --alias-file, --oov", f"label embeddings in {path}"
            )


EMBEDDINGS = from_dataclass(EmbeddingOptions)


def check_embedding_options(values: Mapping[str, Any]) -> None:
    """Checks the options of embeddings against their source, before data are read.

    Args:
        values: the values of the parameters of a command.

    Raises:
        InputError: if a prompt does not have ``{}`` once, an option does not apply to the source, or the source is the
            folder of a sentence encoder without ``sentence:``.
    """
    prompts = values.get("prompt") or ()
    for prompt in prompts:
        if prompt.count("{}") != 1:
            raise InputError("prompt", "texts with one {} for the label, such as 'a photo of a {}'", repr(prompt))
    given = values.get("embeddings")
    sources = given if isinstance(given, list) else [given] if given else []
    for source in sources:
        if str(source).startswith(SENTENCE):
            of_files = {"embeddings_format": "auto", "oov": "error"}
            if other := [name for name, default in of_files.items() if values.get(name, default) != default]:
                raise InputError(other[0], "a file of word vectors or embeddings", source)
        elif Path(source, "modules.json").is_file():
            fix = ("pass ", Argument("embeddings", f"{SENTENCE}{source}"))
            raise InputError("embeddings", "a file", f"the folder of a sentence encoder, {source}", fix)
        elif prompts:
            raise InputError("prompt", ONLY_ENCODERS, source)
    if prompts and not sources:
        raise InputError("prompt", ONLY_ENCODERS, "no --embeddings")


def _parse_aliases(pairs: Sequence[str], label_names: Sequence[str]) -> dict[str, str]:
    """Parses ``["tvmonitor=tv monitor"]`` into a dict. Raises an InputError for an unknown label."""
    from mlgcn_pyg.graph.spelling import nearest_spellings

    aliases: dict[str, str] = {}
    names = {*label_names, *(name.lower() for name in label_names)}
    for pair in pairs:
        name, sign, words = _split_alias(pair, names)
        if not (sign and name and words):
            raise InputError("alias", "label=words, such as 'tvmonitor=tv monitor'", repr(pair))
        if name not in names:
            near = nearest_spellings([name], label_names)[name]
            other = ("pass names of other labels in ", Argument("alias_file"))
            fix = f"did you mean {near[0]!r}?" if near else other
            raise InputError("alias", f"one of the {len(label_names)} labels", repr(name), fix)
        aliases[name] = words
    return aliases


def _split_alias(pair: str, names: Collection[str]) -> tuple[str, str, str]:
    """Returns label, ``=`` and words; if there are several ``=``, those of a label's name are no separators."""
    places = [place for place, character in enumerate(pair) if character == "="]
    of_labels = [place for place in places if normal_form(pair[:place]) in names]
    place = (of_labels or places or [len(pair)])[0]
    return normal_form(pair[:place]), pair[place : place + 1], normal_form(pair[place + 1 :])
