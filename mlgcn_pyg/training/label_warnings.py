"""Warns of heads whose labels cannot all be learned."""

from collections.abc import Iterable

from mlgcn_pyg.errors import warn_of_input
from mlgcn_pyg.nn import LabelGNNHead, MLGCNHead, SharingHead


def warn_of_labels(heads: Iterable[object]) -> None:
    """Warns of heads on a label graph that give several labels one classifier, or a label the logit 0 for every image.

    Args:
        heads: heads of any kind. Heads that learn their edges are passed over: they may learn to tell labels apart.
    """
    fixed = [
        head for head in heads if isinstance(head, MLGCNHead | SharingHead | LabelGNNHead) and head.learned is None
    ]
    for sentence in dict.fromkeys(text for head in fixed for text in head.indistinct_labels().sentences()):
        warn_of_input(sentence)
