"""Opens sentence encoders. The folder of an encoder is checked before anything in it is loaded, and runs no code.

The library would import classes that ``modules.json`` names, and unpickle weights that are not in safetensors. It also
creates random weights of any size for those that ``config.json`` describes and the file lacks.
"""

import json
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch

from mlgcn_pyg.checks import check_path
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.regular import existing_file

PREFIX = "sentence:"  # of encoders on the command line
ORGANIZATION = "sentence-transformers"  # of names without one
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
DOWNLOADED = ("*.json", "*.safetensors", "*.txt", "*.model")  # no pickles, no code
WITH_WEIGHTS, WITHOUT_WEIGHTS = ("Transformer", "StaticEmbedding", "Dense", "LayerNorm"), ("Pooling", "Normalize")
MODULE = re.compile(rf"sentence_transformers\.[\w.]+\.({'|'.join((*WITH_WEIGHTS, *WITHOUT_WEIGHTS))})")
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
TOKENIZERS = {"tokenizer.json", "vocab.txt", "vocab.json"}
ARGUMENTS = [f"{kind}_{name}" for kind in ("model", "tokenizer", "processor", "config") for name in ("args", "kwargs")]
HARMLESS = {"torch_dtype", "dtype", "add_pooling_layer", "padding_side", "model_max_length"}  # settings of a model
# eager attention: other kinds can be read from a hub
MODEL_SETTINGS = {"use_safetensors": True, "attn_implementation": "eager", "dtype": torch.float32}
LARGEST_JSON = 1 << 26  # bytes; tokenizers of many languages have half of it
LARGEST_NUMBER = 10**7  # in the settings of a module
MODEL = "SentenceTransformer"
READABLE = "a sentence encoder that can be loaded without running code of its folder"

Kind = TypeVar("Kind", dict[str, Any], list[Any])


def encoder_folder(encoder: str | Path) -> Path:
    """Returns the folder of an encoder, which is downloaded from the Hugging Face Hub if ``encoder`` is no folder.

    Raises:
        InputError: if there is neither such a folder nor such a name, or sentence-transformers is not installed.
    """
    _check_installed()
    folder = check_path("encoder", encoder)
    if folder.is_dir() and encoder != "":
        return folder
    if str(encoder).startswith(PREFIX):
        fix = f"pass {str(encoder).removeprefix(PREFIX)!r}"
        raise InputError("encoder", f"a folder or a name without {PREFIX!r}, which the command line has", encoder, fix)
    if isinstance(encoder, Path) or not HUB_NAME.fullmatch(encoder):
        raise InputError("encoder", "a folder, or a name on the Hugging Face Hub", f"no folder {encoder}")
    from huggingface_hub import snapshot_download

    name = encoder if "/" in encoder else f"{ORGANIZATION}/{encoder}"
    try:
        with quiet_libraries():
            return Path(snapshot_download(name, allow_patterns=[*DOWNLOADED]))
    except Exception as error:  # of the network, of the hub, of the disk
        expected = "a folder, or a name on the Hugging Face Hub, which can be reached"
        fix = "without a network, pass the folder of an encoder"
        raise InputError("encoder", expected, f"{encoder} ({first_line(error)})", fix) from error


def open_encoder(folder: Path, device: torch.device) -> Any:
    """Returns the ``SentenceTransformer`` of a folder, in float32.

    Raises:
        InputError: if the folder has no encoder, one that would run code or unpickle, or one that lacks weights.
    """
    modules = _modules(folder)
    try:
        with quiet_libraries(), warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")
            for kind, place in modules:
                _check_module(kind, place)
            from sentence_transformers import SentenceTransformer

            return SentenceTransformer(
                str(folder), device=str(device), local_files_only=True, model_kwargs=dict(MODEL_SETTINGS)
            )
    except InputError:
        raise
    except Exception as error:  # a damaged folder can raise any error
        raise InputError("encoder", READABLE, f"{folder} ({first_line(error)})") from error


def weight_files(folder: Path) -> list[Path]:
    """Returns the files of weights of an encoder."""
    places = {place for _, place in _modules(folder)}
    return sorted(file for place in places for file in place.glob("*.safetensors"))


def _check_installed() -> None:
    try:
        with quiet_libraries():
            import sentence_transformers  # noqa: F401
    except ImportError as error:
        expected, fix = "sentence-transformers to be installed", "pip install 'mlgcn_pyg[text]'"
        raise InputError("encoder", expected, first_line(error), fix) from error


def _modules(folder: Path) -> list[tuple[str, Path]]:
    """Returns the class and the folder of each module."""
    settings = folder / "config_sentence_transformers.json"
    if settings.exists() and (kind := _json(settings, dict).get("model_type", MODEL)) != MODEL:
        raise InputError("encoder", "an encoder of sentences", f"a {kind} in {folder}")
    if not (folder / "modules.json").exists():
        raise InputError("encoder", "an encoder that sentence-transformers has saved", f"no modules.json in {folder}")
    found = []
    for module in _json(folder / "modules.json", list):
        name, path = (str(module.get(key)) for key in ("type", "path")) if isinstance(module, dict) else ("", "")
        known, place = MODULE.fullmatch(name), folder / path
        if known is None or not place.resolve().is_relative_to(folder.resolve()):
            raise InputError("encoder", READABLE, f"the module {name!r} in {folder / path}")
        found.append((known[1], place))
    if not found:
        raise InputError("encoder", "at least one module", f"none in {folder / 'modules.json'}")
    return found


def _check_module(kind: str, place: Path) -> None:
    """Checks the weights and the settings of a module."""
    if kind in WITH_WEIGHTS and not any((place / name).is_file() for name in (WEIGHTS, INDEX)):
        fix = "save the encoder again with sentence-transformers"
        raise InputError("encoder", f"weights in safetensors ({WEIGHTS})", f"none in {place}", fix)
    for file in place.glob("*"):  # no pipe, at which reading would wait
        if file.suffix in (".json", ".safetensors", ".txt"):
            existing_file("encoder", file)
    if kind == "Transformer":
        _check_transformer(place)
    elif (place / "config.json").exists():
        _check_sizes(_json(place / "config.json", dict), place)


def _check_sizes(settings: dict[str, Any], place: Path) -> None:
    """Checks that a module needs no more memory than its weights have."""
    largest = max((value for value in settings.values() if isinstance(value, int)), default=0)
    area = int(settings.get("in_features", 0)) * int(settings.get("out_features", 0))
    size = sum(file.stat().st_size for file in place.glob("*.safetensors"))
    if largest > LARGEST_NUMBER or area > size:
        raise InputError("encoder", f"the sizes of the weights in {place}", f"{largest:,} in config.json")


def _check_transformer(place: Path) -> None:
    """Checks that a transformer has all its weights in its files, on the meta device, which needs no memory."""
    from sentence_transformers.sentence_transformer.modules import Transformer

    if (place / "adapter_config.json").exists():
        raise InputError("encoder", "an encoder without an adapter", f"adapter_config.json in {place}")
    if not any(file.name in TOKENIZERS or file.suffix == ".model" for file in place.iterdir()):  # else, all are unknown
        raise InputError("encoder", "the words that the encoder knows (tokenizer.json)", f"none in {place}")
    for file in place.glob("sentence_*.json"):
        _check_arguments(_json(file, dict), file)
    _check_depth(place)
    settings = MODEL_SETTINGS | {"device_map": "meta"}
    shared = {"trust_remote_code": False, "local_files_only": True}
    model = type(Transformer.load(str(place), model_kwargs=dict(settings), **shared).auto_model)
    report = model.from_pretrained(place, output_loading_info=True, **settings, **shared)[1]
    if missing := [key for key in sorted(report["missing_keys"]) if not key.startswith("pooler.")]:
        raise InputError("encoder", "all weights of the encoder", f"none for {missing[0]} in {place}")


def _check_arguments(settings: dict[str, Any], file: Path) -> None:
    """Checks that a module passes no arguments to its model that could load code."""
    given = {key for name in ARGUMENTS for key in settings.get(name) or ()}
    if given - HARMLESS:
        raise InputError("encoder", READABLE, f"the arguments {', '.join(sorted(given - HARMLESS))} in {file}")


def _check_depth(place: Path) -> None:
    """Checks that there is a tensor for each layer: layers are created one by one, which takes long."""
    from safetensors import safe_open

    tensors = 0
    for file in place.glob("*.safetensors"):
        with safe_open(file, "pt") as opened:
            tensors += len(opened.keys())
    for key, value in _settings(_json(place / "config.json", dict)):
        if "layer" in key and isinstance(value, int) and value > tensors:
            raise InputError("encoder", "a weight for each layer", f"{key} = {value:,} in {place / 'config.json'}")


def _settings(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields the settings of a model, and those of its parts."""
    for key, value in config.items():
        yield from _settings(value) if isinstance(value, dict) else [(key, value)]


def _json(path: Path, kind: type[Kind]) -> Kind:
    """Returns the content of a JSON file, a list or an object."""
    size = existing_file("encoder", path).stat().st_size
    if size > LARGEST_JSON:
        raise InputError("encoder", f"at most {LARGEST_JSON:,} bytes of JSON", f"{size:,} in {path}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError("encoder", "valid JSON", f"{path} ({first_line(error)})") from error
    if not isinstance(content, kind):
        raise InputError("encoder", f"a JSON {kind.__name__}", f"other content in {path}")
    return content


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Hides the messages and progress bars of transformers, sentence-transformers and huggingface_hub."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from transformers.utils import logging as bars

    level = logging.root.manager.disable
    hub_shows, shows = not are_progress_bars_disabled(), bars.is_progress_bar_enabled()
    logging.disable()
    bars.disable_progress_bar()  # and that of the hub
    try:
        yield
    finally:
        logging.disable(level)
        if shows:
            bars.enable_progress_bar()
        (enable_progress_bars if hub_shows else disable_progress_bars)()
