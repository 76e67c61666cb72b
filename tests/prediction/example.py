"""Models, weights and image files of every kind, on which the library and the command line are tested."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mlgcn_pyg import MLGCN, LabelGraph, MLGCNHead
from mlgcn_pyg.checkpoints import load_checkpoint, save_head, save_linear, save_model
from mlgcn_pyg.datasets import eval_transform, read_image
from mlgcn_pyg.nn import Backbone

NAMES = ["sea", "boat [small]", "dog; cat", "é,x"]
SIZE = 48


def make_backbone() -> Backbone:
    torch.manual_seed(2)
    return Backbone("squeezenet1_1").eval()


def make_models(root: Path, backbone: Backbone) -> Path:
    """Writes a whole model, its head alone in three forms, the backbone's weights as torchvision keeps them, and
    image files below ``root``."""
    torch.manual_seed(3)
    graph = LabelGraph.from_targets(torch.randint(0, 2, (20, 4)), label_names=NAMES, x=torch.randn(4, 6))
    head = MLGCNHead(graph, backbone.num_features, (8,))
    head.convs[-1].weight.data *= 20 / head.classifiers().norm(dim=1).mean()
    features = {"backbone": backbone.name, "pool": "max", "weights_sha256": backbone.digest(), "image_size": [SIZE] * 2}
    save_model(root / "model.pt", MLGCN(backbone, head), image_size=SIZE)
    save_head(root / "head.pt", head, config={"features": features})
    save_head(root / "bare.pt", head)
    save_linear(root / "head.safetensors", head, config={"features": features})
    torch.save(torch_model(backbone).state_dict(), root / "weights.pth")
    make_photographs(root / "photos")
    return root


def torch_model(backbone: Backbone) -> torch.nn.Module:
    from torchvision.models import get_model

    whole = get_model(backbone.name, weights=None)
    whole.features.load_state_dict(backbone.features.state_dict())
    return whole


def make_photographs(root: Path) -> None:
    (root / "deep" / "er").mkdir(parents=True)
    noise = np.random.default_rng(0)
    rgb = Image.fromarray(noise.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    rgb.save(root / "a.JPG", "JPEG")
    rgb.resize((1, 1)).save(root / "one pixel.png")
    Image.fromarray(noise.integers(0, 65536, (30, 30), dtype=np.uint16)).save(root / "deep" / "sixteen bits.png")
    rgb.convert("CMYK").save(root / "deep" / "er" / "cmyk.tiff")
    rgb.convert("P").save(root / "deep" / "palette.gif")
    (root / "notes.txt").write_text("no image")
    (root / ".hidden.png").write_bytes(b"")


def by_hand(made: Path, path: str | Path) -> torch.Tensor:
    """Probabilities (C,) of one file, with nothing folded and nothing batched."""
    with torch.no_grad():
        return _whole_model(made)(eval_transform(SIZE)(read_image(path))[None]).double().sigmoid()[0]


@cache
def _whole_model(made: Path) -> MLGCN:
    return load_checkpoint(made / "model.pt").model.eval()
