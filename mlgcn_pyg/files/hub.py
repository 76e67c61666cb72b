"""Models on the Hugging Face Hub: names such as ``hub:me/photos`` or ``hub:me/photos@v1``, and their download.

The environment variables of :mod:`huggingface_hub` apply: ``HF_TOKEN``, ``HF_HOME``, ``HF_ENDPOINT``,
``HF_HUB_OFFLINE``.
"""

from pathlib import Path
from typing import Any

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.pretrained import CARD, CONFIG, RESULTS, WEIGHTS, read_config

PREFIX = "hub:"
# errors of huggingface_hub whose first line does not say what is wrong; the classes differ between its versions
REASONS = {
    "EntryNotFoundError": "it has no model of mlgcn_pyg",
    "GatedRepoError": "its owner must grant access to it",
    "LocalEntryNotFoundError": "the network cannot be reached, and it is not in the local cache",
    "RemoteEntryNotFoundError": "it has no model of mlgcn_pyg",
    "RepositoryNotFoundError": "there is no such repository, or this account may not read it",
    "RevisionNotFoundError": "there is no such revision",
}


def is_hub_name(path: str | Path) -> bool:
    """Whether a path is the name of a model on the hub.

    >>> is_hub_name("hub:me/photos"), is_hub_name("photos/hub:me")
    (True, False)
    """
    return Path(path).as_posix().startswith(PREFIX)


def hub_folder(path: str | Path, revision: str | None = None, **options: Any) -> Path:
    """Returns the folder in the local cache with the files of a model, which are downloaded if they have changed.

    ``config.json`` comes first, so that the weights of a model of other software are not downloaded.

    Args:
        path: ``hub:OWNER/NAME`` or ``hub:OWNER/NAME@REVISION``.
        revision: a branch, tag or commit; default: that in ``path``, or ``main``.
        options: ``token``, ``cache_dir``, ``force_download`` and ``local_files_only`` of
            :func:`huggingface_hub.hf_hub_download`.

    Raises:
        InputError: about the argument ``path``, if there is no such model, it cannot be reached, or it is one of other
            software.
    """
    name, _, named = Path(path).as_posix().removeprefix(PREFIX).partition("@")
    if not name:
        raise InputError("path", f"{PREFIX}OWNER/NAME", repr(str(path)))
    try:
        folder = _download(name, CONFIG, revision or named or None, options)
        read_config(folder)
        # the folder is named after the commit, which stays the same if others push in the meantime
        _download(name, WEIGHTS, folder.name, options)
        for file in (RESULTS, CARD):
            _download(name, file, folder.name, options, required=False)
    except InputError:
        raise
    except Exception as error:  # of the network, the server, the name or the disk
        fix = "check the name and the network; a private model requires `hf auth login` or HF_TOKEN"
        raise InputError("path", "a model on the hub that can be read", f"{path} ({reason(error)})", fix) from error
    return folder


def _download(name: str, file: str, revision: str | None, options: dict[str, Any], *, required: bool = True) -> Path:
    """Downloads a file and returns its folder. A file that does not exist is an error if it is required."""
    from huggingface_hub import hf_hub_download  # slow to import
    from huggingface_hub.utils import EntryNotFoundError

    try:
        return Path(hf_hub_download(name, file, revision=revision, **options)).parent
    except EntryNotFoundError:
        if required:
            raise
        return Path()


def reason(error: Exception) -> str:
    """Returns what an error of huggingface_hub says, on one line."""
    return REASONS.get(type(error).__name__) or first_line(error)
