"""The forms in which a backbone computes features: plain, or its faster inference form."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from mlgcn_pyg.distributed import Ranks
from mlgcn_pyg.features.precision import precision_of
from mlgcn_pyg.typing import FeatureExtractor

PLAIN, INFERENCE = "plain", "inference"


def form_of(meta: Mapping[str, Any]) -> str:
    """Returns the form that computed the features of a file. Earlier versions recorded none, and used the plain one.

    >>> form_of({})
    'plain'
    """
    return str(meta.get("form", PLAIN))


def backbone_forms(
    backbone: FeatureExtractor, image_size: Sequence[int] | None, device: torch.device, ranks: Ranks
) -> dict[str, FeatureExtractor]:
    """Returns the forms of a backbone on a device, by name; the one for new files comes last.

    The inference form exists if the backbone has a method ``inference_form``, if it returns a backbone in all
    processes, and if the size of the images is known.
    """
    backbone.to(device)
    make = getattr(backbone, "inference_form", None)
    form: FeatureExtractor | None = None
    if make is not None and image_size is not None:
        with precision_of(device, "float32"):
            form = make(tuple(image_size))
    if ranks.maximum(int(form is None)) or form is None:
        return {PLAIN: backbone}
    return {PLAIN: backbone, INFERENCE: form}
