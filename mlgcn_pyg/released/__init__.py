"""Reads the files that the authors of ML-GCN published.

* Label counts, ``coco_adj.pkl`` and ``voc_adj.pkl``: a pickle of ``{"nums": N (C,), "adj": M (C, C)}`` with the
  numbers of images that have each label and each pair of labels. Read by :func:`read_released_counts` and
  :meth:`LabelGraph.from_released <mlgcn_pyg.LabelGraph.from_released>`.
* Label embeddings, ``coco_glove_word2vec.pkl`` and ``voc_glove_word2vec.pkl``: a pickle of an array (C, 300). Read by
  :func:`~mlgcn_pyg.graph.label_embeddings`.
* Checkpoints, ``coco_checkpoint.pth.tar`` and ``voc_checkpoint.pth.tar``: the weights of a network and its re-weighted
  matrix A (C, C). Read by :func:`load_released`.

In all files, the rows are the labels in alphabetical order; their names are not stored. Pickles can run code when they
are read with ``pickle.load``. The functions of this package accept only arrays, tensors and plain values, and run no
code in the files.
"""

from typing import TYPE_CHECKING

from mlgcn_pyg.lazy import lazy_names
from mlgcn_pyg.released.pickles import ReleasedCounts, read_array_pickle, read_released_counts

if TYPE_CHECKING:
    from mlgcn_pyg.released.network import load_released

__all__ = ["ReleasedCounts", "load_released", "read_array_pickle", "read_released_counts"]

# released.network imports the graph, which imports released.pickles
__getattr__, __dir__ = lazy_names(__name__, {"load_released": "mlgcn_pyg.released.network"})
