"""Models on the Hugging Face Hub: names such as ``hub:me/photos`` or ``hub:me/photos@v1``, and their download.

The environment variables of :mod:`huggingface_hub` apply: ``HF_TOKEN``, ``HF_HOME``, ``HF_ENDPOINT``,
``HF_HUB_OFFLINE``.
"""

import re
from pathlib import Path
from typing import Any

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.pretrained import CARD, CONFIG, RESULTS, WEIGHTS, read_config

PREFIX = "hub:"
SITE = re.compile(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/([^/?#]+/[^/?#]+)")
OWNED = re.compile(r"[^/.~:\s][^/:]*/[^/:]+")  # OWNER/NAME, and no path such as ./x, /x, ~/x or C:/x
LOGIN = "log in with `hf auth login`, or set HF_TOKEN to a token with {access} access"
# errors of huggingface_hub whose first line does not say what is wrong; the classes differ between its versions
REASONS = {
    "EntryNotFoundError": "it has no model of mlgcn_pyg",
    "GatedRepoError": "its owner must grant access to it",
    "LocalEntryNotFoundError": "it is not in the local cache",
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


def folder_or_hub_name(argument: str, text: str | Path) -> str:
    """Returns ``hub:OWNER/NAME`` for ``OWNER/NAME``, and a name with ``hub:`` unchanged.

    Raises:
        InputError: about ``argument``, if the text is a path, or the address of a page.

    >>> folder_or_hub_name("path", "me/photos")
    'hub:me/photos'
    """
    if is_hub_name(text) or (isinstance(text, str) and OWNED.fullmatch(text)):
        return f"{PREFIX}{str(text).removeprefix(PREFIX)}"
    if match := SITE.match(str(text)):
        expected = f"a folder, or {PREFIX}OWNER/NAME"
        raise InputError(argument, expected, f"the address {text}", f'use "{PREFIX}{match[1]}"')
    raise InputError(argument, f"the folder of a model, or {PREFIX}OWNER/NAME", f"no folder {text}")


def no_connection() -> str | None:
    """Returns why the hub cannot be reached, or None if it answers.

    Without a network, huggingface_hub itself repeats its requests for half a minute and logs each of them.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        get_session().head(constants.ENDPOINT, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except Exception as error:  # the classes differ between versions of huggingface_hub
        return first_line(error)
    return None


def hub_folder(path: str | Path, revision: str | None = None, **options: Any) -> Path:
    """Returns the folder in the local cache with the files of a model, which are downloaded if they have changed.

    Without a network, the files in the cache are used.
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
    problem = None if options.get("local_files_only") else no_connection()
    if problem is not None and not options.get("force_download"):
        options["local_files_only"] = True
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
        why, fix = reason(error), f"check the name; for a private model, {LOGIN.format(access='read')}"
        if problem is not None:
            why, fix = f"it is not in the local cache, and the hub cannot be reached: {problem}", "check the network"
        raise InputError("path", "a model on the hub that can be read", f"{path} ({why})", fix) from error
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


def is_refused(error: Exception) -> bool:
    """Whether an error of huggingface_hub is about the token: there is none, or it does not suffice."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status in (401, 403) or type(error).__name__ == "LocalTokenNotFoundError"
