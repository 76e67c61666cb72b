"""A trained network that predicts the labels of images, as on the command line."""

import copy
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from mlgcn_pyg.checkpoints import Checkpoint, fold_model
from mlgcn_pyg.checks import all_finite, check_count, check_positive
from mlgcn_pyg.errors import Argument, Fix, InputError, renamed_arguments, warn_of_input
from mlgcn_pyg.labels import label_rows
from mlgcn_pyg.nn import Backbone, StandardizedHead
from mlgcn_pyg.prediction.explanation import Explanation, explain_image
from mlgcn_pyg.prediction.opening import open_model
from mlgcn_pyg.prediction.photographs import Batch, photograph_batches
from mlgcn_pyg.prediction.predictions import Prediction, Predictions
from mlgcn_pyg.prediction.sources import ImageSource, list_images
from mlgcn_pyg.prediction.thresholds import Thresholds, decision_thresholds, labels_above
from mlgcn_pyg.tensor_checks import check_device


class Predictor:
    """Predicts the labels of images with a trained network.

    A label is predicted if its probability, the sigmoid of its logit, is above a threshold: an argument of
    :meth:`predict` if given, else the label's threshold in the checkpoint
    (:func:`mlgcn_pyg.checkpoints.store_thresholds`), else 0.5. With ``top_k`` alone, exactly the k most probable labels
    are predicted.

    ``images`` of all methods are a file, a folder that is searched for images at any depth, a Pillow image, an array
    (height, width, 3) uint8, a tensor (3, height, width), uint8 or in [0, 1], a stack of these arrays or tensors, or a
    sequence of files and folders or of images. A file that is listed twice is used once. Images are not normalised.

    Args:
        checkpoint: a whole model with its image size (:func:`mlgcn_pyg.prediction.open_model`), or the file of one.
        device: the device that the network runs on.

    Raises:
        InputError: if the checkpoint has no backbone or no image size.

    >>> import numpy as np
    >>> from mlgcn_pyg.nn import Backbone, LinearHead
    >>> head = LinearHead(2, num_features=512, label_names=["cat", "dog"])
    >>> predictor = Predictor(Checkpoint(head, Backbone("squeezenet1_1"), image_size=64))
    >>> images = np.zeros((3, 40, 60, 3), np.uint8)
    >>> len(predictor.predict(images)), predictor.logits(images).shape, predictor.features(images).shape
    (3, torch.Size([3, 2]), torch.Size([3, 512]))
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

    @property
    def head(self) -> StandardizedHead:
        """The head with its label graph, for :meth:`~mlgcn_pyg.nn.StandardizedHead.contributions`."""
        return self.checkpoint.head

    def predict(
        self,
        images: ImageSource | Sequence[ImageSource],
        *,
        top_k: int | None = None,
        threshold: float | None = None,
        thresholds: Thresholds | None = None,
        batch_size: int = 16,
        num_workers: int = 0,
    ) -> Predictions:
        """Returns one :class:`Prediction` per image, in order.

        Args:
            images: see above.
            top_k: maximum number of labels per image. The most probable labels are kept.
            threshold: a probability in [0, 1] for all labels; 0 predicts every label and 1 none.
            thresholds: (C,) logits, as :func:`mlgcn_pyg.evaluation.fit_thresholds` returns them, or a dict of
                probabilities of some labels, such as ``{"dog": 0.9}``.
            batch_size: images per forward pass.
            num_workers: processes that decode images; 0 decodes in the current process.

        Raises:
            InputError: if an argument is invalid, a file or folder does not exist, the logits are not finite, or a
                batch does not fit into the memory of the device. For an image that cannot be decoded, the prediction
                contains the error.
        """
        batches = self.predict_batches(
            list_images(images), top_k=top_k, threshold=threshold, thresholds=thresholds,
            batch_size=batch_size, num_workers=num_workers,
        )  # fmt: skip
        return Predictions(prediction for batch in batches for prediction in batch)

    def predict_batches(
        self,
        images: Sequence[Path | Image.Image],
        *,
        top_k: int | None = None,
        threshold: float | None = None,
        thresholds: Thresholds | None = None,
        batch_size: int = 16,
        num_workers: int = 0,
    ) -> Iterator[list[Prediction]]:
        """Returns an iterator over the predictions of each batch, for any number of images in bounded memory.

        A batch is decoded when the iterator reaches it. Arguments are checked immediately.

        Args:
            images: files (:func:`find_images`) or Pillow images.
            top_k: see :meth:`predict`.
            threshold: see :meth:`predict`.
            thresholds: see :meth:`predict`.
            batch_size: images per forward pass and per list.
            num_workers: see :meth:`predict`.

        Raises:
            InputError: see :meth:`predict`.
        """
        cuts = decision_thresholds(self.checkpoint, top_k=top_k, threshold=threshold, thresholds=thresholds)
        batches = self._batches(images, batch_size, num_workers)
        return (self._predictions(batch, cuts, top_k) for batch in batches)

    def logits(
        self, images: ImageSource | Sequence[ImageSource], *, batch_size: int = 16, num_workers: int = 0
    ) -> Tensor:
        """Returns the logits (N, C) of images, on the CPU. The row of an image that could not be read is NaN.

        Args:
            images: see above.
            batch_size: images per forward pass.
            num_workers: processes that decode images; 0 decodes in the current process.

        Raises:
            InputError: see :meth:`predict`.

        Warns:
            InputWarning: if images could not be read; the first is named.
        """
        return self._rows(images, self.network, len(self.label_names), batch_size, num_workers)

    def features(
        self, images: ImageSource | Sequence[ImageSource], *, batch_size: int = 16, num_workers: int = 0
    ) -> Tensor:
        """Returns the pooled features (N, D) of images, on the CPU. The row of an image that could not be read is NaN.

        The arguments and errors are those of :meth:`logits`.
        """
        return self._rows(images, self.network[0], self.checkpoint.head.num_features, batch_size, num_workers)

    def explain(
        self,
        images: ImageSource | Sequence[ImageSource],
        *,
        labels: Sequence[str] | None = None,
        top_k: int = 3,
        batch_size: int = 16,
        num_workers: int = 0,
    ) -> list[Explanation]:
        """Returns the terms of the logits of each image: which labels and which parts of the image raise or lower them.

        Each logit is an exact sum (:class:`LabelExplanation`). It is computed in float64, and differs from that of
        :meth:`logits` by rounding. ``print(explanation)`` shows the terms, and
        :func:`mlgcn_pyg.report.overlays.plot_explanation` draws them.

        Args:
            images: see above.
            labels: the names of the labels to explain; default: the ``top_k`` most probable labels of each image.
            top_k: the number of labels to explain if ``labels`` is not given.
            batch_size: images per forward pass.
            num_workers: processes that decode images; 0 decodes in the current process.

        Raises:
            InputError: if a label is unknown (the message lists similar names), or see :meth:`predict`.
        """
        check_positive("top_k", top_k)
        rows = None if labels is None else label_rows("labels", labels, self.label_names)
        head = copy.deepcopy(self.checkpoint.head).to("cpu", torch.float64)
        batches = self._batches(list_images(images), batch_size, num_workers)
        return [one for batch in batches for one in self._explanations(batch, head, rows, top_k)]

    def _explanations(
        self, batch: Batch, head: StandardizedHead, rows: Sequence[int] | None, top_k: int
    ) -> Iterator[Explanation]:
        backbone = self.network[0]
        extract = backbone.maps if isinstance(backbone, Backbone) else backbone
        outputs = iter(self._run(extract, batch.pixels, head.num_features).cpu().double())
        pool = getattr(backbone, "pool", "max")
        for image, error in zip(batch.images, batch.errors, strict=True):
            if error is None:
                yield Explanation(image, explain_image(head, next(outputs), pool, rows, top_k))
            else:
                yield Explanation(image, error=error)

    def __repr__(self) -> str:
        backbone = getattr(self.checkpoint.backbone, "name", type(self.checkpoint.backbone).__name__)
        height, width = self.image_size
        return f"Predictor({len(self.label_names)} labels, {backbone}, {height} × {width} pixels, {self.device})"

    def _batches(self, images: Sequence[Path | Image.Image], batch_size: int, num_workers: int) -> Iterator[Batch]:
        check_positive("batch_size", batch_size)
        check_count("num_workers", num_workers)
        pinned = self.device.type == "cuda"
        return photograph_batches(images, self.image_size, batch_size, num_workers, pin_memory=pinned)

    def _predictions(self, batch: Batch, thresholds: Tensor, top_k: int | None) -> list[Prediction]:
        logits = self._run(self.network, batch.pixels, len(self.label_names)).cpu().double()
        if not all_finite(logits):
            raise InputError("checkpoint", "finite logits", "NaN or Inf")
        labels = iter(labels_above(logits, thresholds, top_k, self.label_names))
        return [
            Prediction(image, next(labels)) if error is None else Prediction(image, error=error)
            for image, error in zip(batch.images, batch.errors, strict=True)
        ]

    def _rows(
        self,
        images: ImageSource | Sequence[ImageSource],
        network: Callable[[Tensor], Tensor],
        width: int,
        batch_size: int,
        num_workers: int,
    ) -> Tensor:
        """Returns the outputs (N, width) of a network for images; NaN for those that could not be read."""
        rows, unread = [torch.empty(0, width)], []
        for batch in self._batches(list_images(images), batch_size, num_workers):
            values = torch.full((len(batch.errors), width), torch.nan)
            values[[error is None for error in batch.errors]] = self._run(network, batch.pixels, width).cpu()
            rows.append(values)
            unread += [error for error in batch.errors if error is not None]
        if unread:
            warn_of_input(f"{len(unread)} images could not be read, and their rows are NaN; the first: {unread[0]}")
        return torch.cat(rows)

    @torch.inference_mode()
    def _run(self, network: Callable[[Tensor], Tensor], pixels: Tensor, width: int) -> Tensor:
        """Returns the outputs of a network for normalised images; (0, width) if there are no images."""
        if not len(pixels):  # not every backbone accepts an empty batch
            return torch.empty(0, width)
        try:
            return network(pixels.to(self.device, non_blocking=True))
        except torch.OutOfMemoryError as error:
            fix: Fix = ["pass a smaller ", Argument("batch_size")]
            raise InputError("batch_size", "a batch that fits into device memory", len(pixels), fix) from error
