"""A small network and data set for tests of feature files."""

import torch

from mlgcn_pyg.datasets import VOC2007, Scenes, eval_transform
from mlgcn_pyg.files.atomic import tensor_digest


class SmallBackbone(torch.nn.Module):
    name, pool, num_features = "small", "max", 8

    def __init__(self, seed: int = 0):
        super().__init__()
        torch.manual_seed(seed)
        self.conv = torch.nn.Conv2d(3, self.num_features, 5, stride=4)

    def forward(self, images):
        return self.conv(images).amax(dim=(2, 3))

    def digest(self):
        return tensor_digest(self.state_dict())


def small_scenes(folder, num_images: int = 22) -> Scenes:
    return Scenes(folder, num_images, transform=eval_transform(32))


def drawn_scenes(folder) -> VOC2007:
    """Opens scenes that another process has drawn."""
    return VOC2007(folder, "train", eval_transform(32))
