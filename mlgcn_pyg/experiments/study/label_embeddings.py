"""The label embeddings of a study: those of most contenders, and further ones that are compared with them."""

import re
from collections.abc import Mapping

from torch import Tensor

from mlgcn_pyg.checks import check_finite
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.experiments.study.contenders import EMBEDDINGS
from mlgcn_pyg.values import shown

NAME = re.compile(r"[\w.+-]+")
Embeddings = Tensor | Mapping[str, Tensor] | None


def named_embeddings(embeddings: Embeddings, num_labels: int) -> dict[str, Tensor]:
    """Returns label embeddings by name, in order; one matrix has the name ``"given"``, and None gives an empty dict.

    Raises:
        InputError: if one does not have a row of finite numbers per label; if a name has other characters than
            letters, digits, ``_``, ``.``, ``+`` and ``-``, or two names differ in these characters or in case only.
    """
    if embeddings is None:
        return {}
    found = dict(embeddings) if isinstance(embeddings, Mapping) else {EMBEDDINGS[0]: embeddings}
    forms: dict[str, str] = {}
    for name, x in found.items():
        if not isinstance(x, Tensor) or x.dim() != 2 or len(x) != num_labels or not x.size(1):
            shape = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else shown(x)
            raise InputError("embeddings", f"shape ({num_labels}, F)", shape)
        check_finite("embeddings", x)
        if not NAME.fullmatch(name) or (isinstance(embeddings, Mapping) and name in EMBEDDINGS):
            raise InputError(
                "embeddings", f"names of letters and digits, other than {', '.join(EMBEDDINGS)}", repr(name)
            )
        # the names of files of runs have no other characters
        if (other := forms.setdefault(re.sub(r"[^\w.]", "_", name).casefold(), name)) != name:
            raise InputError("embeddings", "names that differ in letters or digits", f"{other!r} and {name!r}")
    return found
