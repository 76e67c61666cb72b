"""
Your own table of labels
========================

This guide goes from a table with one row per image to a label graph, features, and a
comparison of heads with a verdict: does it help that labels are related, or is a linear
layer enough?
"""

# %%
# The table
# ---------
#
# Generated scenes stand in for your photographs. The table has one row per image, and
# the names of its labels in one column. Unknown labels are possible, too: then the
# table has one column per label, with the values 1, 0 and -1.

import tempfile
from pathlib import Path

import pandas as pd

from mlgcn_pyg.datasets import Scenes, TableDataset, eval_transform

folder = Path(tempfile.mkdtemp())
scenes = Scenes(folder, 450, image_size=48)
labels = scenes.label_names
names = [
    ";".join(labels[c] for c in row.nonzero().flatten()) for row in scenes.targets == 1
]
table = pd.DataFrame({"image": [f"{name}.jpg" for name in scenes.ids], "labels": names})
table["split"] = ["train"] * 300 + ["val"] * 150
table.to_csv(folder / "photos.csv", index=False)
table.head()

# %%
# A :class:`~mlgcn_pyg.datasets.TableDataset` reads it. A row with a missing file, an
# unknown value or a repeated image is named in an error. The two parts share the list
# of labels.

photographs = folder / "VOCdevkit" / "VOC2007" / "JPEGImages"
settings = {"label_names": labels, "transform": eval_transform(48)}
train_set, val_set = (
    TableDataset(folder / "photos.csv", photographs, split=split, **settings)
    for split in ("train", "val")
)
print(len(train_set), "training images and", len(val_set), "validation images")

# %%
# The label graph
# ---------------
#
# An edge i → j says that images with label i often have label j: :math:`P(L_j \mid L_i)
# \geq \tau`.

from mlgcn_pyg import LabelGraph

graph = LabelGraph.from_targets(train_set.targets, label_names=labels, tau=0.4)
print(graph.summary())

# %%
# Features
# --------
#
# A backbone computes the features of an image once, and heads are trained on the stored
# features. Use a backbone from torchvision or timm, ``Backbone("resnet101")``. This
# guide downloads nothing, so its backbone counts colours instead.

import torch

from mlgcn_pyg.features import extract_features


class Colours(torch.nn.Module):
    """The mean colour of 8 × 8 parts of an image."""

    num_features = 3 * 8 * 8

    def forward(self, images):
        return torch.nn.functional.adaptive_avg_pool2d(images, 8).flatten(1)


train = extract_features(Colours(), train_set, folder / "train.h5")
val = extract_features(Colours(), val_set, folder / "val.h5")

# %%
# The verdict
# -----------
#
# :func:`~mlgcn_pyg.experiments.compare_heads` trains a linear head, a sharing head and
# an ML-GCN head on the same features. It selects a head on folds of the training
# images, so that the validation images only report. Intervals and differences are over
# images: a difference whose interval contains 0 may be chance.

from mlgcn_pyg.experiments import compare_heads
from mlgcn_pyg.training import ExactConfig

comparison = compare_heads(
    train,
    val,
    graph,
    seeds=1,
    hidden_channels=(64,),
    exact=ExactConfig(folds=2),
    replicates=200,
)
comparison

# %%
# The mAP on the folds, which selected the head:

print(comparison.recommendation.kind, comparison.recommendation.mAP)

# %%
# The recommended head is saved with its labels, and predicts from features. A
# checkpoint that is made with ``mlgcn train-head`` also knows its backbone, and
# predicts from photographs.

from mlgcn_pyg.checkpoints import load_head, save_head

best = comparison.recommended
save_head(folder / "head.pt", best.head)
head = load_head(folder / "head.pt")
features, targets = val.load()
probabilities = head(features[:1, 0].float()).sigmoid()[0].tolist()
print(
    val.ids[0], {labels[c]: f"{p:.2f}" for c, p in enumerate(probabilities) if p > 0.5}
)

# %%
# The same on the command line
# ----------------------------
#
# .. code-block:: sh
#
#    mlgcn data inspect --dataset table --root photos --labels photos.csv
#    options="--dataset table --root photos --labels photos.csv"
#    mlgcn graph $options --split train --out g.pt
#    mlgcn extract $options --split train --graph g.pt --out train.h5
#    mlgcn extract $options --split val --graph g.pt --out val.h5
#    mlgcn train-head --train train.h5 --val val.h5 --graph g.pt --out runs --report
