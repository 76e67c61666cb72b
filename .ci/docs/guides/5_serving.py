"""
Serving a network
=================

This guide exports a network to ONNX and starts the web server that comes with it. The
server requires neither torch nor this package, and its logits are those of the network
in this package.
"""

# %%
# A network
# ---------
#
# Any checkpoint of a whole network can be exported. To save time, the weights of this
# one are random.

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import torch

from mlgcn_pyg import MLGCN, LabelGraph, MLGCNHead
from mlgcn_pyg.checkpoints import export_onnx, load_checkpoint, save_model, write_server
from mlgcn_pyg.datasets import Scenes
from mlgcn_pyg.nn import Backbone
from mlgcn_pyg.prediction import Predictor

folder = Path(tempfile.mkdtemp())
scenes = Scenes(folder, 40, image_size=96)
torch.manual_seed(0)
backbone = Backbone("squeezenet1_1", weights=None)
graph = LabelGraph.from_targets(scenes.targets, label_names=scenes.label_names)
model = MLGCN(backbone, MLGCNHead(graph, backbone.num_features, hidden_channels=(32,)))
save_model(folder / "model.pt", model.eval(), image_size=96)

# %%
# Export
# ------
#
# The file contains the labels, the size and the normalisation of images, and thresholds
# if the checkpoint has them. On the command line this is ``mlgcn export --checkpoint
# model.pt --out model.onnx --server``.

checkpoint = load_checkpoint(folder / "model.pt")
export_onnx(folder / "model.onnx", checkpoint)
print(write_server(folder).name)

# %%
# The server
# ----------
#
# This is all of ``onnx_server.py``. The network is in ``onnx_network.py`` beside it,
# which also runs without a server.
#
# .. literalinclude:: ../../../mlgcn_pyg/checkpoints/onnx_serving/onnx_server.py
#    :language: python
#
# It is started with ``python onnx_server.py model.onnx``, and listens on this machine
# only.

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
words = [sys.executable, "onnx_server.py", "model.onnx", str(port)]
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
server = subprocess.Popen(words, cwd=folder, **quiet)
url = f"http://127.0.0.1:{port}"
for _ in range(600):
    try:
        urllib.request.urlopen(url, timeout=1).close()
        break
    except OSError:
        time.sleep(0.1)

# %%
# A request
# ---------
#
# The body of a request is the image file: ``curl --data-binary @photo.jpg
# http://127.0.0.1:8000/predict``.

photo = folder / "VOCdevkit" / "VOC2007" / "JPEGImages" / f"{scenes.ids[0]}.jpg"


def post(content):
    try:
        with urllib.request.urlopen(f"{url}/predict", data=content) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


status, answer = post(photo.read_bytes())
print(status)
for label in answer["labels"][:3]:
    print(label)

# %%
# The logits are those of the network in this package, up to the rounding of float32:

(prediction,) = Predictor(checkpoint).logits([photo])
served = {label["label"]: label["logit"] for label in answer["labels"]}
found = dict(zip(scenes.label_names, prediction.tolist(), strict=True))
print("largest difference:", max(abs(served[name] - found[name]) for name in found))

# %%
# A body that is not an image is refused with a status and a reason:

print(*post(b"no image"))
print(*post(b""))

# %%
server.terminate()
server.wait(timeout=30)
