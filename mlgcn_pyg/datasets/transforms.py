"""The transforms of the paper, implemented with torchvision's v2 transforms."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torchvision.transforms import v2

from mlgcn_pyg import seeding
from mlgcn_pyg.checks import check_image_size
from mlgcn_pyg.imagenet import MEAN, STD


class MultiScaleCrop(v2.Transform):
    """Random crop of varying scale and aspect ratio, resized to ``size``. Used for training in Sec. 4.2.

    Height and width of the crop are the shorter side of the image times one of the ``scales`` each. The indices of the
    two scales differ by at most ``max_distort``. The position of the crop is drawn uniformly.

    Args:
        size: (height, width) of the result, in pixels.
        scales: fractions of the shorter side in descending order; default: the five of the released code.
        max_distort: maximum difference of the two indices; 0 gives square crops.
    """

    def __init__(
        self, size: tuple[int, int], scales: Sequence[float] = (1.0, 0.875, 0.75, 0.66, 0.5), max_distort: int = 2
    ):
        super().__init__()
        self.size, self.scales, self.max_distort = tuple(size), tuple(scales), max_distort

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = v2.functional.get_size(flat_inputs[0])
        positions = range(len(self.scales))
        pairs = [(a, b) for a in positions for b in positions if abs(a - b) <= self.max_distort]
        a, b = pairs[int(torch.randint(len(pairs), ()))]
        short = min(height, width)
        crop_height, crop_width = max(1, int(short * self.scales[a])), max(1, int(short * self.scales[b]))
        return {
            "top": int(torch.randint(height - crop_height + 1, ())),
            "left": int(torch.randint(width - crop_width + 1, ())),
            "height": crop_height,
            "width": crop_width,
        }

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return v2.functional.resized_crop(inpt, **params, size=list(self.size), antialias=True)

    def extra_repr(self) -> str:
        return f"size={self.size}, scales={self.scales}, max_distort={self.max_distort}"


def train_transform(image_size: int | Sequence[int] = 448) -> v2.Compose:
    """Returns the transform of training images: multi-scale crop, horizontal flip, ImageNet normalisation (Sec. 4.2).

    Args:
        image_size: side or (height, width) in pixels.

    Shapes:
        - PIL image → (3, height, width) float32

    Raises:
        InputError: if a side is not an integer ≥ 1.
    """
    return v2.Compose([MultiScaleCrop(check_image_size(image_size)), v2.RandomHorizontalFlip(), *_to_tensor()])


def eval_transform(image_size: int | Sequence[int] = 448) -> v2.Compose:
    """Returns the transform of evaluation images: resizing and ImageNet normalisation.

    The aspect ratio is not preserved, as in the released code.

    Args:
        image_size: side or (height, width) in pixels.

    Shapes:
        - PIL image → (3, height, width) float32

    Raises:
        InputError: if a side is not an integer ≥ 1.
    """
    return v2.Compose([v2.Resize(check_image_size(image_size), antialias=True), *_to_tensor()])


def apply_seeded(transform: Callable[..., Any], image: Any, *numbers: int) -> Any:
    """Returns ``transform(image)`` with random draws that depend on the integers ``numbers`` only.

    The global generators are restored afterwards, even if the transform raises (:func:`mlgcn_pyg.seeding.seeded`).
    This costs about 0.1 ms.

    Args:
        transform: any transform.
        image: the argument of ``transform``.
        numbers: integers ≥ 0, for example seed, epoch and index.

    >>> brighten = lambda image: image + torch.rand(())
    >>> first, again, other = (apply_seeded(brighten, torch.zeros(3), 0, epoch, 5) for epoch in (1, 1, 2))
    >>> torch.equal(first, again), torch.equal(first, other)
    (True, False)
    """
    with seeding.seeded(*map(int, numbers)):
        return transform(image)


def _to_tensor() -> list[v2.Transform]:
    return [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
