"""The paper's transforms, on torchvision's v2 transforms."""

from collections.abc import Callable, Sequence

import torch
from torchvision.transforms import v2

from mlgcn_pyg import seeding
from mlgcn_pyg.checks import check_image_size

# ImageNet statistics: torchvision's pretrained weights expect them.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class MultiScaleCrop(v2.Transform):
    """A random crop of varied scale and shape, resized to ``size``; the training crop of Sec. 4.2.

    Height and width of the crop are the image's shorter side times two of the ``scales`` that stand at most
    ``max_distort`` places apart; its place is uniform.

    Args:
        size: (height, width) of the result, in pixels.
        scales: fractions of the shorter side, from large to small (the released code's five).
        max_distort: 0 keeps crops square.
    """

    def __init__(
        self, size: tuple[int, int], scales: Sequence[float] = (1.0, 0.875, 0.75, 0.66, 0.5), max_distort: int = 2
    ):
        super().__init__()
        self.size, self.scales, self.max_distort = tuple(size), tuple(scales), max_distort

    def make_params(self, flat_inputs: list) -> dict[str, int]:
        height, width = v2.functional.get_size(flat_inputs[0])
        places = range(len(self.scales))
        pairs = [(a, b) for a in places for b in places if abs(a - b) <= self.max_distort]
        a, b = pairs[int(torch.randint(len(pairs), ()))]
        short = min(height, width)
        crop_height, crop_width = max(1, int(short * self.scales[a])), max(1, int(short * self.scales[b]))
        return {
            "top": int(torch.randint(height - crop_height + 1, ())),
            "left": int(torch.randint(width - crop_width + 1, ())),
            "height": crop_height,
            "width": crop_width,
        }

    def transform(self, inpt, params: dict[str, int]):
        return v2.functional.resized_crop(inpt, **params, size=list(self.size), antialias=True)

    def extra_repr(self) -> str:
        return f"size={self.size}, scales={self.scales}, max_distort={self.max_distort}"


def train_transform(image_size: int | Sequence[int] = 448) -> v2.Compose:
    """Multi-scale crop, horizontal flip, ImageNet normalisation: PIL image → (3, height, width) float32 (Sec. 4.2)."""
    return v2.Compose([MultiScaleCrop(check_image_size(image_size)), v2.RandomHorizontalFlip(), *_to_tensor()])


def eval_transform(image_size: int | Sequence[int] = 448) -> v2.Compose:
    """The whole image resized to ``image_size``, its shape not kept (as released), and normalised."""
    return v2.Compose([v2.Resize(check_image_size(image_size), antialias=True), *_to_tensor()])


def seeded(transform: Callable, image, *numbers: int):
    """``transform(image)``, its random draws a function of the integers ``numbers`` alone, e.g. (seed, epoch, index).

    All global generators draw as before afterwards, also when the transform fails
    (:func:`mlgcn_pyg.seeding.seeded`). It costs about a tenth of a millisecond.

    >>> brighten = lambda image: image + torch.rand(())
    >>> first, again, other = (seeded(brighten, torch.zeros(3), 0, epoch, 5) for epoch in (1, 1, 2))
    >>> torch.equal(first, again), torch.equal(first, other)
    (True, False)
    """
    with seeding.seeded(*map(int, numbers)):
        return transform(image)


def _to_tensor() -> list[v2.Transform]:
    return [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
