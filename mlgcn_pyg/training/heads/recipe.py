r"""The values of settings that a :class:`~mlgcn_pyg.training.HeadConfig` does not give.

The recipe ``"auto"`` has one rule for all heads. Their classifiers are W_cls = SV with S = I in a linear head, S = Â in
a sharing head, and S = ÂH in an ML-GCN head, where H are the activations of the labels before the last layer. In a head
with a GNN of PyG, S is the output of the GNN, whose parameters are the inner layers. For C labels, N images and
momentum m,

.. math::
    \text{lr} = \frac{1.5 \, (1 - m)}{L}, \qquad
    L = \frac{\lambda_1(E[\tilde{x} \tilde{x}^\top]) \, \lambda_1(S S^\top)}{4 C} + \text{weight decay}, \qquad
    \text{weight decay} = \frac{1}{C} \cdot \frac{E \|\tilde{x}\|^2}{4 N} \cdot \frac{\|S\|_F^2}{C}

* L bounds the curvature of the mean loss over labels and of its penalty. SGD is stable below 2 (1 + m) / L. The rate
  follows a cosine to 0.
* The weight decay applies to V only. It is a Gaussian prior on the classifiers under which the logits have a standard
  deviation of 2. With standardised features and S = I, it is the penalty λ/2 ‖V‖² on the loss that is summed over
  labels, with λ = D/(4N). With a given learning rate, it is at most 1.5 (1 − m) / lr.
* The number of steps is 300, or that of 12 epochs if this is more. A batch has N/10 images, at least 32 and at most
  256, or N/80 images if this is more.
* A head with a GNN of PyG is trained by AdamW with the weight decay 0.01 of V (N, D) and the learning rate
  :math:`0.0001 \sqrt{1024 \cdot 1280 / (N D)}`. S Sᵀ of a GNN has small eigenvalues, whose directions SGD at a stable
  rate does not learn in this number of steps (:mod:`~mlgcn_pyg.training.heads.start_gnn`).
* The inner layers start as in :func:`~mlgcn_pyg.training.heads.start.start_weights`, V at 0, and the bias at the
  log-odds. The inner layers have the learning rate lr/1000: if they learn faster, S Sᵀ becomes ill-conditioned.

Measured on coco30k (18 labels, MobileNetV2, max pooling; a two-layer head of width 1024 with 50-dimensional GloVe
embeddings; mAP in per cent on the 5,000 validation images, which chose the values above; one seed; seeds differ by
0.2). The rows were measured while the recipe was developed, with λ = 300/N; those of the inner layers differ from the
first row in the schedule too:

=============================================================  ==========  ============  =============
change                                                         300 images  2,000 images  20,000 images
=============================================================  ==========  ============  =============
none                                                           48.2        57.4          63.9
exact linear head, its best λ of four                          48.0        57.0          –
lr/100 in the inner layers                                     46.9        55.0          63.7
lr/10 in the inner layers                                      46.0        51.0          63.2
random inner layers, embeddings as they are                    30.7        40.5          –
random inner layers, centred embeddings of norm 1              41.1        53.0          –
random inner layers, whitened embeddings                       46.2        56.4          63.7
weight decay on all layers, whitened embeddings                34.1        54.3          –
λ twice as large                                               47.6        57.1          63.8
a third of the learning rate                                   48.1        56.3          –
AdamW, lr 0.0001 (best of three)                               47.6        56.8          –
=============================================================  ==========  ============  =============

``benchmarks/recipe.py`` measures the recipe on the test images.
"""

import math
from typing import Any

from mlgcn_pyg.nn import LabelGNNHead
from mlgcn_pyg.training.config import PAPER, HeadConfig, HeadSettings
from mlgcn_pyg.training.heads.spectra import Spectra
from mlgcn_pyg.typing import Head

STABLE = 1.5  # times 1 − m: the learning rate in units of 1/L; the limit is 2 (1 + m)
PRIOR_STD = 2.0  # of a logit
INNER_LR = 1e-3  # the learning rate of the inner layers of ML-GCN, in units of that of the last layer
STEPS, EPOCHS = 300, 12  # the least numbers of steps and of epochs
ADAMW_LR = 1e-4  # the steps of AdamW do not depend on the scale of the gradient
ADAMW_SIZE = 1024 * 1280  # entries of V with which it was selected
ADAMW_DECAY = 0.01  # PyTorch's default; AdamW's decay is not a penalty on the loss


def complete(config: HeadConfig, head: Head, num_images: int, spectra: Spectra) -> HeadSettings:
    """Returns the settings of a config, completed by its recipe.

    Args:
        config: the config.
        head: the head to train, with its statistics and initial weights.
        num_images: the number of training images.
        spectra: the spectra of the features and of the head; used for lr and weight_decay only.
    """
    return config.filled(PAPER if config.recipe == "paper" else _auto(config, head, num_images, spectra))


def num_epochs(config: HeadConfig, num_images: int) -> int:
    """Returns the number of epochs of a config, which does not depend on the head.

    >>> [num_epochs(HeadConfig(), n) for n in (1, 300, 2_000, 82_081)]
    [300, 30, 30, 12]
    >>> num_epochs(HeadConfig(epochs=3), 100), num_epochs(HeadConfig(recipe="paper"), 100)
    (3, 100)
    """
    if config.epochs is not None:
        return config.epochs
    if config.recipe == "paper":
        return HeadSettings().epochs
    steps_per_epoch = -(-num_images // batch_size(config, num_images))
    return max(EPOCHS, -(-STEPS // steps_per_epoch))


def batch_size(config: HeadConfig, num_images: int) -> int:
    """Returns the number of images per step. It depends on the number of images, so that they fill whole batches.

    The cost of a step of ML-GCN hardly depends on it.
    """
    if config.batch_size is not None:
        return config.batch_size
    most = max(32, min(256, num_images // 10), num_images // 80)
    steps_per_epoch = -(-num_images // most)
    return -(-num_images // steps_per_epoch)


def _auto(config: HeadConfig, head: Head, num_images: int, spectra: Spectra) -> dict[str, Any]:
    optimizer = config.optimizer or ("adamw" if isinstance(head, LabelGNNHead) else "sgd")
    values = {
        "epochs": num_epochs(config, num_images),
        "batch_size": batch_size(config, num_images),
        "optimizer": optimizer,
        "schedule": "cosine",
    }
    if optimizer == "adamw":
        return values | {"lr": adamw_lr(head), "weight_decay": ADAMW_DECAY}
    decay = _decay(config, head.num_labels, num_images, spectra)
    return values | {"lr": stable_lr(config, head.num_labels, spectra, decay), "weight_decay": decay}


def adamw_lr(head: Head) -> float:
    """Returns the learning rate of AdamW.

    A step of AdamW changes each entry of V (N, D) by at most about the learning rate. A logit is a sum of N · D terms,
    one for each entry, and such sums grow with the root of their number.

    >>> from mlgcn_pyg import LabelGraph
    >>> graph = LabelGraph.from_targets([[1, 0], [0, 1]])
    >>> adamw_lr(LabelGNNHead(graph, num_features=1280, hidden_channels=1024))
    0.0001
    >>> adamw_lr(LabelGNNHead(graph, num_features=1280, hidden_channels=64))
    0.0004
    """
    if not isinstance(head, LabelGNNHead):
        return ADAMW_LR
    return _three_digits(ADAMW_LR * math.sqrt(ADAMW_SIZE / head.weight.numel()))


def _decay(config: HeadConfig, num_labels: int, num_images: int, spectra: Spectra) -> float:
    if config.weight_decay is not None:
        return config.weight_decay
    penalty = spectra.features.norm * spectra.labels.norm / (PRIOR_STD**2 * num_images * num_labels)
    most = math.inf if config.lr is None else STABLE * (1 - config.momentum) / config.lr
    return _three_digits(min(penalty, most))


def stable_lr(config: HeadConfig, num_labels: int, spectra: Spectra, decay: float) -> float:
    """Returns the learning rate of SGD.

    A weight w of present labels multiplies the curvature of the loss by at most w.

    >>> from mlgcn_pyg.training.heads.spectra import Spectrum
    >>> spectra = Spectra(features=Spectrum(83.0, 1280.0), labels=Spectrum(1.0, 1.0))
    >>> stable_lr(HeadConfig(), 20, spectra, decay=0.0)  # 0.15 · 80 / 83
    0.145
    >>> stable_lr(HeadConfig(pos_weight=10.0), 20, spectra, decay=0.0)
    0.0145
    """
    weights = config.pos_weight if isinstance(config.pos_weight, tuple) else (config.pos_weight or 1.0,)
    # λ₁ λ₁ of the bias is 1; that of constant features is 0
    curvature = max(spectra.features.largest * spectra.labels.largest, 1.0) * max(1.0, *weights) / (4 * num_labels)
    return _three_digits(STABLE * (1 - config.momentum) / (curvature + decay))


def _three_digits(value: float) -> float:
    """Rounds to three digits, so that the result does not depend on the rounding errors of the machine."""
    return float(f"{value:.2e}")
