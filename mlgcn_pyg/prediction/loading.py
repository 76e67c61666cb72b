"""``mlgcn_pyg.load``: a trained network from a file, a folder, or the Hugging Face Hub."""

from collections.abc import Sequence
from pathlib import Path

import torch

from mlgcn_pyg.prediction.opening import open_model
from mlgcn_pyg.prediction.predictor import Predictor


def load(
    path: str | Path,
    *,
    backbone: str | None = None,
    weights: str | Path | None = None,
    pool: str | None = None,
    image_size: int | Sequence[int] | None = None,
    device: str | torch.device = "cpu",
) -> Predictor:
    """Loads a trained network for prediction.

    The arguments are those of ``mlgcn predict``. A head that was trained on cached features requires the weights of the
    backbone that computed them. An argument may be omitted if the file records its value.

    Args:
        path: a whole model, a head, a linear export (``.safetensors``), the folder of a run, of which the recommended
            head or the last network is loaded, the folder of a saved model, or one on the Hugging Face Hub, such as
            ``"hub:me/photos"`` or ``"hub:me/photos@v1"`` (:class:`mlgcn_pyg.hub.HubModel`).
        backbone: for a head, the name of the backbone that computed its features.
        weights: for a head, the weights of that backbone: a file or ``"DEFAULT"``.
        pool: for a head, the pooling of that backbone; ``"max"`` if the file does not record it.
        image_size: for a head, side or (height, width) in pixels; 448 if the file does not record it.
        device: the device that the network runs on.

    Raises:
        InputError: if the file is not a checkpoint, a model on the hub cannot be read, or an argument is missing or
            contradicts it.
    """
    checkpoint = open_model(path, backbone=backbone, weights=weights, pool=pool, image_size=image_size)
    return Predictor(checkpoint, device)
