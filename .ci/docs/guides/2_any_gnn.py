"""
Any GNN of PyG as the label encoder
===================================

ML-GCN computes the classifiers of all labels by graph convolutions over a label graph.
This guide puts other GNNs of PyTorch Geometric in their place: models by name, and a
module of your own.
"""

# %%
# Data
# ----
#
# The label statistics are those of generated scenes. A random map of the labels, with
# noise, stands in for the features of a backbone.

import numpy as np
import pandas as pd
import torch

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.datasets.scene_model import SCENE_LABELS, sample_labels
from mlgcn_pyg.nn import LabelGNNHead, LinearHead
from mlgcn_pyg.training import fit_head

targets = torch.from_numpy(sample_labels(800, np.random.default_rng(0))).to(torch.int8)
torch.manual_seed(0)
features = targets.float() @ torch.randn(16, 64) + 6 * torch.randn(800, 64)
train, val = (features[:300], targets[:300]), (features[300:], targets[300:])
graph = LabelGraph.from_targets(train[1], label_names=SCENE_LABELS)
print(graph.summary(num_strongest=5))

# %%
# GNNs by name
# ------------
#
# :class:`~mlgcn_pyg.nn.LabelGNNHead` has the interface of the other heads. The GNN maps
# the embeddings of the labels to codes G (C, N), and the head has a matrix V (N, D):
# the classifiers are G V.

head = LabelGNNHead(graph, num_features=64, gnn="gat", hidden_channels=32)
head

# %%
# A module of your own
# --------------------
#
# A module takes ``x`` and ``edge_index`` in the convention of PyG: messages go from
# ``edge_index[0]`` to ``edge_index[1]``. Without embeddings, ``x`` is the identity
# matrix. This one adds two kinds of neighbourhoods.

from torch_geometric.nn import GATv2Conv, SAGEConv


class TwoWays(torch.nn.Module):
    """Attention over neighbours, plus the maximum over neighbours."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.attention = GATv2Conv(in_channels, out_channels)
        self.largest = SAGEConv(in_channels, out_channels, aggr="max")

    def forward(self, x, edge_index):
        return self.attention(x, edge_index) + self.largest(x, edge_index)


own = LabelGNNHead(graph, num_features=64, gnn=TwoWays(16, 32))

# %%
# A comparison
# ------------
#
# All heads get the same images. The recipe of :func:`~mlgcn_pyg.training.fit_head`
# derives the learning rate from the head.

heads = {
    "linear": LinearHead(16, 64, SCENE_LABELS),
    "ML-GCN": MLGCNHead(graph, 64, hidden_channels=(32,)),
    "GCN": LabelGNNHead(graph, 64, "gcn", hidden_channels=32),
    "GraphSAGE": LabelGNNHead(graph, 64, "sage", hidden_channels=32),
    "GAT": head,
    "TwoWays": own,
}
results = {name: fit_head(h, train, val).last["mAP"] for name, h in heads.items()}
pd.DataFrame({"mAP": results}).round(3)

# %%
# The warnings are about the graph. A GCN or a GAT treats a label like its neighbours,
# so that two labels with the same neighbourhood, such as sun and cloud, have one
# classifier. GraphSAGE and ML-GCN have separate weights for the label itself.
#
# On these images, which are few and of one seed, small differences mean nothing:
# :func:`~mlgcn_pyg.experiments.compare_heads` and ``mlgcn train-head --gnn gat`` have
# intervals over images and seeds.
#
# Folding
# -------
#
# The classifiers do not depend on the image. For inference, the GNN is evaluated once
# and the head becomes a linear layer with the same logits.

linear = own.eval().to_linear()
difference = (linear(val[0]) - own(val[0])).abs().max().item()
print(linear, "\nlargest difference:", difference)

# %%
# Which neighbours contribute to a logit?
# ---------------------------------------
#
# The logit of a label is the sum of a term of the label itself and one term per edge,
# if the last layer of the GNN sums or averages messages.

terms = head.contributions(val[0][:1])
terms.frame(0, "boat").round(2)
