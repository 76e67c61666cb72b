"""Trivial errors are reported before torch is loaded, which takes seconds."""

import subprocess
import sys

SCRIPT = """
import sys
from typer.testing import CliRunner
from mlgcn_pyg.cli.main import app
for line in sys.stdin.read().splitlines():
    words, expected = line.split(" -> ")
    result = CliRunner().invoke(app, words.split())
    assert result.exit_code == 2 and expected in result.stderr and result.stderr.count("\\n") == 1, result.output
    assert "torch" not in sys.modules, words
"""
TABLE = """
graph --dataset table --root . --labels t.csv --out g.pt --tau 1.4 -> --tau: expected a number in [0, 1]
graph --dataset table --root . --labels t.csv --out g.pt --p -1 -> --p: expected a number in [0, 1]
graph --dataset table --root . --labels t.csv --out g.pt --weighting x -> --weighting: expected one of paper
graph --dataset table --root . --labels t.csv --out g.pt --top-k 0 -> --top-k: expected an integer
graph --dataset tables --root . --labels t.csv --out g.pt -> --dataset: expected one of voc2007
graph --dataset table --root . --labels no.csv --out g.pt -> --labels: expected a file that exists, found no file no.csv
graph --dataset table --root . --labels t.csv --out g.xyz -> --out: expected a name that ends in .pt
graph --dataset table --root no --labels t.csv --out g.pt -> --root: expected a folder that exists
embed --embeddings no.txt --names t.csv --out e.pt -> --embeddings: expected a file that exists
embed --embeddings e --names t.csv --out e.pt -> --embeddings: expected a file, found the folder of a sentence encoder
embed --embeddings sentence:e --names t.csv --prompt dog --out e.pt -> --prompt: expected texts with one {}
graph --dataset table --root . --labels t.csv --out g.pt --embeddings t.csv --prompt a{} -> --prompt: expected sentence:
graph --dataset table --root . --labels t.csv --out g.pt --prompt a{} -> --prompt: expected sentence:ENCODER in
graph --dataset table --root . --labels t.csv --out g.pt --embeddings sentence:e --oov zero -> --oov: expected a file of
graph --dataset table --root . --labels t.csv --out g.pt --embeddings no.txt -> --embeddings: expected a file that
study --features t.csv --out s --embeddings sentence:e --embeddings-format text -> --embeddings-format: expected a file
study --features t.csv --out s --embeddings no.txt -> --embeddings: expected a file that exists
train-head --train t.csv --val t.csv --out runs --gnn gatt -> did you mean 'gat'?
embed --embeddings t.csv --names t.csv --oov x --out e.pt -> --oov: expected one of error, zero, random
extract --dataset table --root . --labels t.csv --out f.h5 --dtype int8 -> --dtype: expected one of float16
extract --dataset table --root . --labels t.csv --out f.h5 --image-size big -> --image-size: expected a side
extract --dataset table --root . --labels t.csv --out f.h5 --views 0 -> --views: expected an integer
train-head --train no.h5 --val t.csv --out runs -> --train: expected a file that exists
train-head --train t.csv --val t.csv --out runs --lr -1 -> --lr: expected
train-head --train t.csv --val t.csv --out runs --hidden wide --head linear -> --hidden: expected widths
train-head --train t.csv --val t.csv --out runs --head linear --head tree -> --head: expected one of all, linear
train-head --train t.csv --val t.csv --test no.h5 --out runs -> --test: expected a file that exists
train --dataset table --root . --labels t.csv --out runs --epochs 0 -> --epochs: expected
train --dataset table --root . --labels t.csv --out runs --precision x -> --precision: expected one of
evaluate --checkpoint no.pt --cache t.csv -> --checkpoint: expected a file that exists
evaluate --checkpoint t.csv --cache no.h5 --out m.json -> --cache: expected a file that exists
report no -> RUN: expected a folder that exists, found no folder no
report t.csv -> RUN: expected a folder that exists, found the file t.csv
report . --cache no.h5 -> --cache: expected a file that exists
report . --study no -> --study: expected a folder that exists
report . --out r.pdf -> --out: expected a name that ends in .html
classifiers --checkpoint no.pt -> --checkpoint: expected a file that exists
classifiers --checkpoint t.csv --neighbours 0 -> --neighbours: expected an integer
classifiers --checkpoint t.csv --method umap -> --method: expected one of tsne, pca, both
classifiers --checkpoint t.csv --out c.txt -> --out: expected a name that ends in .png
classifiers --checkpoint t.csv --groups no.csv -> --groups: expected a file that exists
retrieve --cache no.h5 -> --cache: expected a file that exists
retrieve --cache t.csv --k 0 -> --k: expected an integer
retrieve --cache t.csv --queries -1 -> --queries: expected an integer
retrieve --cache t.csv --root no -> --root: expected a folder that exists
retrieve --cache t.csv --root . -> --out: expected a file for the picture
retrieve --cache t.csv --out r.png -> --root: expected the folder of the photographs
thresholds --checkpoint no.pt --cache t.csv -> --checkpoint: expected a file that exists
thresholds --checkpoint t.csv --cache t.csv --precision 0 -> --precision: expected a number in (0, 1]
calibrate --checkpoint no.pt --cache t.csv --out c.pt -> --checkpoint: expected a file that exists
calibrate --checkpoint t.csv --cache t.csv --out c.pt --method x -> --method: expected one of platt, temperature
check-labels --cache no.h5 -> --cache: expected a file that exists
check-labels --cache t.csv --folds 1 -> --folds: expected an integer ≥ 2
check-labels --cache t.csv --top 0 -> --top: expected an integer
check-labels --cache t.csv --head mlgcn -> --head: expected one of linear, sharing
check-labels --cache t.csv --out s.txt -> --out: expected a name that ends in .csv
predict no.jpg --checkpoint t.csv -> IMAGES: expected files and folders that exist
predict t.csv --checkpoint no.pt -> --checkpoint: expected a file that exists
predict t.csv --checkpoint t.csv --threshold 2 -> --threshold: expected a number in [0, 1]
predict t.csv --checkpoint t.csv --batch-size 0 -> --batch-size: expected an integer
predict t.csv --checkpoint t.csv --out x.json -> --out: expected a name that ends in .txt
explain no.jpg --checkpoint t.csv -> IMAGES: expected files and folders that exist
explain t.csv --checkpoint t.csv --top-k 0 -> --top-k: expected an integer
explain t.csv --checkpoint t.csv --out x.jpg -> --out: expected a name that ends in .png
export --checkpoint no.pt --out x.onnx -> --checkpoint: expected a file that exists
export --checkpoint t.csv --out x.onnx --format torch -> --out: expected a name that ends in .pt2
import-released --checkpoint no.tar --embeddings t.csv --out new -> --checkpoint: expected a file that exists
data inspect --dataset table --root . --labels no.csv -> --labels: expected a file that exists
data split no.csv --val 0.1 -> TABLE: expected a file that exists, found no file no.csv
cache info no.h5 -> FILE: expected a file that exists
extract --dataset table --root . --labels t.csv --out f.h5 --weights no.pth -> --weights: expected a file that
cache repair no.h5 -> FILE: expected a file that exists
"""


def test_trivial_errors_need_no_torch(tmp_path):
    (tmp_path / "t.csv").write_text("image,labels\na.png,cat\n")
    (tmp_path / "e").mkdir()
    (tmp_path / "e/modules.json").write_text("[]")
    words = {"input": TABLE.strip(), "cwd": tmp_path, "capture_output": True, "text": True}
    done = subprocess.run([sys.executable, "-c", SCRIPT], **words)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e", "t.csv"]
