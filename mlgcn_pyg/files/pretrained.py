"""The folder of a model as on the Hugging Face Hub: ``config.json``, ``model.safetensors``, and files to read.

``config.json`` is a JSON object:

===============  =================================================================================
``format``       ``mlgcn_pyg.pretrained``
``version``      1; readers MUST refuse other versions
``mlgcn_pyg``    the version of the package that wrote it
``sha256``       a digest of the tensors and of ``content``
``content``      a checkpoint without its tensors (:mod:`mlgcn_pyg.files.tensor_tree`)
===============  =================================================================================

``model.safetensors`` has the tensors.
"""

import json
from pathlib import Path
from typing import Any

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.regular import open_file

CONFIG, WEIGHTS, CARD, RESULTS = "config.json", "model.safetensors", "README.md", "metrics.json"
PRETRAINED = (CONFIG, WEIGHTS, CARD, RESULTS)  # the last two may be absent
FORMAT = "mlgcn_pyg.pretrained"
LARGEST = 32 << 20  # bytes of config.json, which become at most 0.5 GB of Python objects
MOST_CONTAINERS = 1 << 20
EXPECTED = "a model written by save_pretrained"
UNEDITED = f"save the model again; {CONFIG} and {WEIGHTS} must not be edited by hand"


def is_pretrained(folder: Path) -> bool:
    """Whether a folder is that of a model, possibly a damaged one."""
    return (folder / CONFIG).is_file()


def read_config(folder: Path) -> dict[str, Any]:
    """Returns the content of ``config.json`` after checking its size, format and version.

    Raises:
        InputError: about the argument ``path``, if the file is missing, too large, damaged, or that of other software.
    """
    path = folder / CONFIG
    with open_file("path", path) as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST or data.count(b"[") + data.count(b"{") > MOST_CONTAINERS:
        raise InputError("path", EXPECTED, f"{path} of more than {LARGEST >> 20} MiB or {MOST_CONTAINERS} lists")
    try:
        config = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError("path", EXPECTED, f"{path} ({first_line(error)})") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise InputError("path", EXPECTED, f"{path} of other software")
    version = config.get("version")
    if isinstance(version, int) and version > 1:
        raise InputError("path", "format version 1", f"{version} in {path}", "use a newer mlgcn_pyg")
    if version != 1:
        raise InputError("path", "format version 1", f"{version or 'none'} in {path}", UNEDITED)
    return config
