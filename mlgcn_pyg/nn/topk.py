"""The highest logits of many labels, in bounded memory."""

import torch
from torch import Tensor


def highest(
    features: Tensor, classifiers: Tensor, k: int, chunk: int, bias: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Returns the k highest logits (B, k) of each image and their labels (B, k).

    Args:
        features: (B, N).
        classifiers: (C, N).
        k: at most C.
        chunk: number of labels scored at a time. Logits (B, chunk) are stored.
        bias: (C,), or None.

    >>> highest(torch.tensor([[1.0]]), torch.tensor([[3.0], [5.0], [4.0]]), k=2, chunk=1)
    (tensor([[5., 4.]]), tensor([[1, 2]]))
    """
    top_logits = features[:, :0]
    top_labels = torch.empty(len(features), 0, dtype=torch.int64, device=features.device)
    for start in range(0, len(classifiers), chunk):
        logits = features @ classifiers[start : start + chunk].t()
        if bias is not None:
            logits = logits + bias[start : start + chunk]
        top = logits.topk(min(k, logits.size(1)), dim=1)
        labels = top.indices + start
        if start:
            logits, labels = torch.cat([top_logits, top.values], 1), torch.cat([top_labels, labels], 1)
            top = logits.topk(min(k, logits.size(1)), dim=1)
            labels = labels.gather(1, top.indices)
        top_logits, top_labels = top.values, labels
    return top_logits, top_labels
