"""Every file format that the package reads: how to write a small file, and how it is read."""

import gzip
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from safetensors.torch import save_file

from mlgcn_pyg import MLGCN, LabelGraph, MLGCNHead
from mlgcn_pyg.checkpoints import load_checkpoint, save_head, save_linear, save_model
from mlgcn_pyg.cli.label_names import read_label_names
from mlgcn_pyg.datasets import COCO, VOC2007, TableDataset
from mlgcn_pyg.datasets.archives import extract
from mlgcn_pyg.datasets.images import read_image
from mlgcn_pyg.features import FeatureCache, verify
from mlgcn_pyg.graph import LabelEmbeddings, label_embeddings
from mlgcn_pyg.graph.words import read_aliases
from mlgcn_pyg.nn import Backbone, LinearHead, SharingHead
from mlgcn_pyg.nn.backbones.weights import read_state
from mlgcn_pyg.released.checkpoint import read_released_state
from mlgcn_pyg.released.pickles import read_array_pickle, read_released_counts
from mlgcn_pyg.training.run_folder import RunFolder, StateFormat

NAMES = ("cat", "dog", "person")
TARGETS = torch.tensor([[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]], dtype=torch.int8)
STATE = StateFormat("test", "a test", frozenset({"epoch", "step"}))


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        name: the name of the file, whose ending readers look at.
        write: writes the file.
        read: reads the file and returns what it read.
        has_digest: whether damaged content must never be read as different content.
    """

    name: str
    write: Callable[[Path], Any]
    read: Callable[[Path], Any]
    has_digest: bool = False


def graph() -> LabelGraph:
    return LabelGraph.from_targets(TARGETS, label_names=NAMES, x=torch.arange(12.0).view(3, 4), tau=0.3)


def kernel_graph() -> LabelGraph:
    x = torch.arange(12.0).view(3, 4).cos()
    return LabelGraph.from_targets(TARGETS, label_names=NAMES, x=x, weighting="kernel")


def write_cache(path: Path) -> None:
    ids = [f"image {k}" for k in range(4)]
    FeatureCache.from_arrays(path, torch.arange(32.0).view(4, 8), TARGETS, NAMES, ids=ids, meta={"backbone": "x"})


def read_cache(path: Path) -> Any:
    cache, report = FeatureCache(path), verify(path)
    features, targets = cache.load()
    return None if not report.good else (cache.label_names, cache.ids, cache.meta, features, targets)


def write_model(path: Path) -> None:
    backbone = Backbone("squeezenet1_1")
    save_model(path, MLGCN(backbone, LinearHead(3, backbone.num_features, NAMES)), image_size=64)


def read_checkpoint(path: Path) -> Any:
    found = load_checkpoint(path)
    backbone = None if found.backbone is None else found.backbone.state_dict()
    return found.label_names, found.head.state_dict(), backbone, found.image_size, found.thresholds, found.config


def read_graph(path: Path) -> Any:
    return LabelGraph.load(path).state()


def read_embeddings(path: Path) -> Any:
    found = LabelEmbeddings.load(path)
    return found.label_names, found.x, found.source


def write_state(path: Path) -> None:
    content = {"epoch": 2, "step": 3, "weights": torch.arange(50.0), "history": [{"loss": 0.5}]}
    RunFolder(path.parent, STATE, {"lr": 0.1}, 0).save_state(content)


def write_vectors(path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = [" ".join([word, *(f"{n:.4f}" for n in rng.normal(size=6))]) for word in (*NAMES, *map(str, range(20)))]
    text = "\n".join(lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def write_word2vec(path: Path) -> None:
    rows = b"".join(name.encode() + b" " + np.arange(5, dtype="<f4").tobytes() + b"\n" for name in NAMES)
    path.write_bytes(b"3 5\n" + rows)


def write_pickle(path: Path) -> None:
    counts = {"nums": np.array([3, 3, 3]), "adj": np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0]])}
    path.write_bytes(pickle.dumps(counts, protocol=2))


def write_photographs(folder: Path) -> None:
    for name in "abcd":
        Image.new("RGB", (8, 8)).save(folder / f"{name}.jpg")


def write_table(path: Path) -> None:
    write_photographs(path.parent)
    names = [f"{name}.jpg" for name in "abcd"]
    labels = [";".join(np.array(NAMES)[row.bool().numpy()]) for row in TARGETS]
    table = pd.DataFrame({"image": names, "labels": labels, "split": "train"})
    if path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")


def read_table(path: Path) -> Any:
    data = TableDataset(path, path.parent)
    return data.ids, data.targets, data.label_names


def write_coco(path: Path) -> None:
    write_photographs(path.parent)
    images = [{"id": k, "file_name": f"{name}.jpg"} for k, name in enumerate("abcd")]
    categories = [{"id": 10 * c, "name": name} for c, name in enumerate(NAMES)]
    boxes = [{"id": k, "image_id": n, "category_id": 10 * c} for k, (n, c) in enumerate(TARGETS.nonzero().tolist())]
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": categories}))


def read_coco(path: Path) -> Any:
    data = COCO(path, path.parent)
    return data.ids, data.targets, data.label_names


def write_voc(path: Path) -> None:
    """``path`` is an annotation, the only one, of a data set around it."""
    folder = path.parents[1]
    for name in ("ImageSets/Main", "JPEGImages", "Annotations"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "ImageSets/Main/train.txt").write_text("a\n")
    Image.new("RGB", (8, 8)).save(folder / "JPEGImages/a.jpg")
    objects = "".join(f"<object><name>{name}</name><difficult>0</difficult></object>" for name in NAMES)
    path.write_text(f"<annotation><filename>a.jpg</filename>{objects}</annotation>")


def write_label_file(path: Path) -> None:
    """``path`` is the label file of cats."""
    folder = path.parents[2]
    (folder / "JPEGImages").mkdir()
    for name in "ab":
        Image.new("RGB", (8, 8)).save(folder / f"JPEGImages/{name}.jpg")
    (path.parent / "labels.txt").write_text("cat\n")
    path.write_text("a  1\nb -1\n")


def read_voc(path: Path) -> Any:
    data = VOC2007(path.parents[1], "train")
    return data.ids, data.targets


def write_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("VOC/a.txt", "VOC/b.txt"):
            archive.writestr(name, name * 20)


def write_tar(path: Path) -> None:
    (path.parent / "in").mkdir()
    for name in ("a.txt", "b.txt"):
        (path.parent / "in" / name).write_text(name * 20)
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as archive:
        archive.add(path.parent / "in", "VOC")


def read_archive(path: Path) -> Any:
    folder = path.parent / "out"
    folder.mkdir(exist_ok=True)
    return extract(path, folder)


FORMATS = {
    "feature file": Format("f.h5", write_cache, read_cache, has_digest=True),
    "label graph": Format("g.pt", lambda path: graph().save(path), read_graph, has_digest=True),
    "label embeddings": Format(
        "e.pt", lambda path: LabelEmbeddings(NAMES, torch.eye(3)).save(path), read_embeddings, has_digest=True
    ),
    "head": Format(
        "h.pt", lambda path: save_head(path, MLGCNHead(graph(), 8, (4,)), config={"lr": 0.1}), read_checkpoint, True
    ),
    "sharing head": Format("h.pt", lambda path: save_head(path, SharingHead(kernel_graph(), 8)), read_checkpoint, True),
    "network": Format("m.pt", write_model, read_checkpoint, has_digest=True),
    "state of a run": Format(
        "state.pt", write_state, lambda path: RunFolder(path.parent, STATE, {"lr": 0.1}, 0).read_state(), True
    ),
    "linear export": Format(
        "l.safetensors", lambda path: save_linear(path, LinearHead(3, 8, NAMES)), read_checkpoint, has_digest=True
    ),
    "weights": Format("w.pth", lambda path: torch.save({"model": LinearHead(3, 8).state_dict()}, path), read_state),
    "old weights": Format(
        "o.pth",
        lambda path: torch.save(LinearHead(3, 8).state_dict(), path, _use_new_zipfile_serialization=False),
        read_state,
    ),
    "safetensors weights": Format(
        "s.safetensors", lambda path: save_file(LinearHead(3, 8).state_dict(), path), read_state
    ),
    "released checkpoint": Format(
        "r.tar", lambda path: torch.save({"state_dict": {"module.A": torch.eye(3)}, "best": np.float64(1)}, path),
        read_released_state,
    ),
    "released counts": Format("c.pkl", write_pickle, read_released_counts),
    "old pickle": Format(
        "p.pkl", lambda path: path.write_bytes(pickle.dumps(np.eye(3).tolist(), 0)), read_array_pickle
    ),
    "pickled embeddings": Format(
        "x.pkl",
        lambda path: path.write_bytes(pickle.dumps(np.eye(3), 5)),
        lambda path: label_embeddings(NAMES, path).x,
    ),
    "embeddings matrix": Format(
        "x.npy", lambda path: np.save(path, np.eye(3)), lambda path: label_embeddings(NAMES, path).x
    ),
    "word vectors": Format("v.txt", write_vectors, lambda path: label_embeddings(NAMES, path).x),
    "compressed word vectors": Format("v.txt.gz", write_vectors, lambda path: label_embeddings(NAMES, path).x),
    "word2vec": Format("v.bin", write_word2vec, lambda path: label_embeddings(NAMES, path).x),
    "aliases": Format("a.json", lambda path: path.write_text('{"cat": "house cat", "dog": "dog"}'), read_aliases),
    "alias table": Format("a.csv", lambda path: path.write_text("label,words\ncat,house cat\ndog,dog\n"), read_aliases),
    "CSV table": Format("t.csv", write_table, read_table),
    "TSV table": Format("t.tsv", write_table, read_table),
    "Parquet table": Format("t.parquet", write_table, read_table),
    "COCO annotations": Format("instances.json", write_coco, read_coco),
    "VOC annotations": Format("VOC2007/Annotations/a.xml", write_voc, read_voc),
    "VOC label file": Format(
        "VOC2007/ImageSets/Main/cat_train.txt",
        write_label_file,
        lambda path: VOC2007(path.parents[2], "train").targets,
    ),
    "label names": Format("names.txt", lambda path: path.write_text("cat\ndog\n"), read_label_names),
    "zip archive": Format("a.zip", write_zip, read_archive),
    "tar archive": Format("a.tar", write_tar, read_archive),
    "compressed tar archive": Format("a.tgz", write_tar, read_archive),
    "photograph": Format(
        "i.png", lambda path: Image.new("RGB", (40, 30), (9, 99, 199)).save(path), lambda path: read_image(path).size
    ),
}  # fmt: skip
