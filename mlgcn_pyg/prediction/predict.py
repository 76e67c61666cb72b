"""Predicts labels with a network and decision thresholds, and returns one prediction per image."""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from mlgcn_pyg.checkpoints import Checkpoint, fold_model
from mlgcn_pyg.checks import all_finite, check_count, check_number, check_positive
from mlgcn_pyg.errors import Argument, Fix, InputError, renamed_arguments
from mlgcn_pyg.prediction.opening import open_model
from mlgcn_pyg.prediction.photographs import Batch, find_images, photograph_batches
from mlgcn_pyg.tensor_checks import check_device
from mlgcn_pyg.values import shown

ImageSource = str | Path | Image.Image


@dataclass(frozen=True)
class Prediction:
    """The labels predicted for one image.

    Attributes:
        image: the file, or the Pillow image that was passed.
        labels: pairs (name, probability), the most probable label first. Empty if the image could not be read.
        error: the reason why the image could not be read, or None.
    """

    image: Path | Image.Image
    labels: Sequence[tuple[str, float]] = ()
    error: str | None = None


class Predictor:
    """Predicts the labels of images with a trained network.

    A label is predicted if its probability, the sigmoid of its logit, is above a threshold: the argument ``threshold``
    of :meth:`predict` if given, else the label's threshold in the checkpoint
    (:func:`mlgcn_pyg.checkpoints.store_thresholds`), else 0.5. With ``top_k`` and without ``threshold``, exactly the k
    most probable labels are predicted.

    Args:
        checkpoint: a whole model with its image size (:func:`mlgcn_pyg.prediction.open_model`), or the file of one.
        device: the device that the network runs on.

    Raises:
        InputError: if the checkpoint has no backbone or no image size.

    >>> import tempfile
    >>> from mlgcn_pyg.nn import Backbone, LinearHead
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("a.png", "b.png"):
    ...     Image.new("RGB", (64, 64), "green").save(folder / name)
    >>> head = LinearHead(2, num_features=512, label_names=["cat", "dog"])
    >>> predictor = Predictor(Checkpoint(head, Backbone("squeezenet1_1"), image_size=64))
    >>> [(prediction.image.name, len(prediction.labels)) for prediction in predictor.predict(folder, top_k=1)]
    [('a.png', 1), ('b.png', 1)]
    """

    def __init__(self, checkpoint: Checkpoint | str | Path, device: str | torch.device = "cpu"):
        self.device = check_device("device", device)
        with renamed_arguments(path="checkpoint", backbone="checkpoint"):
            if not isinstance(checkpoint, Checkpoint):
                checkpoint = open_model(checkpoint)
            network = fold_model(checkpoint.model, checkpoint.image_size)
        if checkpoint.image_size is None:
            raise InputError("checkpoint", "a model with an image size", "none", "set it with dataclasses.replace")
        self.checkpoint = checkpoint
        self.image_size = checkpoint.image_size
        self.network = network.float().to(self.device)

    @property
    def label_names(self) -> tuple[str, ...]:
        """The C label names."""
        return self.checkpoint.label_names

    def predict(
        self,
        images: ImageSource | Sequence[ImageSource],
        *,
        top_k: int | None = None,
        threshold: float | None = None,
        batch_size: int = 16,
        num_workers: int = 0,
    ) -> Iterator[Prediction]:
        """Returns an iterator over one :class:`Prediction` per image, in order. Arguments are checked immediately.

        Args:
            images: a file, a folder that is searched for images at any depth, a Pillow image, or a sequence of files
                and folders or of Pillow images. A file that is listed twice is predicted once.
            top_k: maximum number of labels per image. The most probable labels are kept.
            threshold: a probability in [0, 1]; 0 predicts every label and 1 none.
            batch_size: images per forward pass.
            num_workers: processes that decode images; 0 decodes in the current process.

        Raises:
            InputError: if an argument is invalid, a file or folder does not exist, the logits are not finite, or a
                batch does not fit into the memory of the device. For an image that cannot be decoded, the prediction
                contains the error.
        """
        batches = self.predict_batches(
            _listed(images), top_k=top_k, threshold=threshold, batch_size=batch_size, num_workers=num_workers
        )
        return (prediction for batch in batches for prediction in batch)

    def predict_batches(
        self,
        images: Sequence[Path | Image.Image],
        *,
        top_k: int | None = None,
        threshold: float | None = None,
        batch_size: int = 16,
        num_workers: int = 0,
    ) -> Iterator[list[Prediction]]:
        """Returns an iterator over the predictions of each batch. A batch is decoded when the iterator reaches it.

        Args:
            images: files (:func:`find_images`) or Pillow images.
            top_k: see :meth:`predict`.
            threshold: see :meth:`predict`.
            batch_size: images per forward pass and per list.
            num_workers: see :meth:`predict`.

        Raises:
            InputError: see :meth:`predict`.
        """
        check_positive("batch_size", batch_size)
        check_count("num_workers", num_workers)
        thresholds = decision_thresholds(self.checkpoint, top_k=top_k, threshold=threshold)
        batches = photograph_batches(
            images, self.image_size, batch_size, num_workers, pin_memory=self.device.type == "cuda"
        )
        return (self._predictions(batch, thresholds, top_k) for batch in batches)

    def _predictions(self, batch: Batch, thresholds: Tensor, top_k: int | None) -> list[Prediction]:
        logits = self._logits(batch.pixels).cpu().double()
        if not all_finite(logits):
            raise InputError("checkpoint", "finite logits", "NaN or Inf")
        labels = iter(_labels_above(logits, thresholds, top_k, self.label_names))
        return [
            Prediction(image, next(labels)) if error is None else Prediction(image, error=error)
            for image, error in zip(batch.images, batch.errors, strict=True)
        ]

    @torch.inference_mode()
    def _logits(self, pixels: Tensor) -> Tensor:
        if not len(pixels):  # not every backbone accepts an empty batch
            return torch.empty(0, len(self.label_names))
        try:
            return self.network(pixels.to(self.device, non_blocking=True))
        except torch.OutOfMemoryError as error:
            fix: Fix = ["pass a smaller ", Argument("batch_size")]
            raise InputError("batch_size", "a batch that fits into device memory", len(pixels), fix) from error


def decision_thresholds(checkpoint: Checkpoint, *, top_k: int | None = None, threshold: float | None = None) -> Tensor:
    """Returns the logits (C,) float64 above which labels are predicted.

    Args:
        checkpoint: its thresholds are used if neither of the other arguments is given.
        top_k: if given without ``threshold``, all thresholds are −∞.
        threshold: a probability in [0, 1]; 0 predicts every label and 1 none.

    >>> from mlgcn_pyg.nn import LinearHead
    >>> decision_thresholds(Checkpoint(LinearHead(2, 8)), threshold=0.5)
    tensor([0., 0.], dtype=torch.float64)
    """
    if top_k is not None:
        check_positive("top_k", top_k)
    if threshold is not None:
        t = check_number("threshold", threshold, 0, 1)
        logit = -math.inf if t == 0 else math.inf if t == 1 else math.log(t) - math.log1p(-t)
    elif top_k is not None:
        logit = -math.inf
    elif checkpoint.thresholds is not None:
        return checkpoint.thresholds
    else:
        logit = 0.0
    return torch.full((len(checkpoint.label_names),), logit, dtype=torch.float64)


def _listed(images: ImageSource | Sequence[ImageSource]) -> Sequence[Path | Image.Image]:
    """Returns files and images as one flat list."""
    if isinstance(images, str | os.PathLike | Image.Image):
        images = [images]
    if not isinstance(images, Iterable) or getattr(images, "shape", None) == ():
        raise InputError("images", "files, folders or Pillow images", shown(images))
    sources = list(images)
    for source in sources:
        if not isinstance(source, str | os.PathLike | Image.Image):
            raise InputError("images", "files, folders or Pillow images", type(source).__name__)
    opened = [source for source in sources if isinstance(source, Image.Image)]
    files = [Path(source) for source in sources if not isinstance(source, Image.Image)]
    if opened and files:
        raise InputError("images", "either files and folders, or Pillow images", "both")
    return opened or find_images(files)


def _labels_above(
    logits: Tensor, thresholds: Tensor, top_k: int | None, names: Sequence[str]
) -> list[list[tuple[str, float]]]:
    """Returns at most ``top_k`` labels above the thresholds for each row of ``logits`` (B, C), most probable first.

    Labels with equal probability are in label order.
    """
    predicted = logits > thresholds
    order = logits.masked_fill(~predicted, -math.inf).sort(dim=1, descending=True, stable=True).indices
    counts = predicted.sum(dim=1).clamp(max=top_k or len(names)).tolist()
    probabilities = logits.sigmoid()
    return [
        [(names[k], probabilities[row, k].item()) for k in order[row, :count].tolist()]
        for row, count in enumerate(counts)
    ]
