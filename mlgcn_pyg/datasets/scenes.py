"""Generated scenes: pictures whose label statistics are known exactly, for demonstrations and tests."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mlgcn_pyg.datasets.scene_drawing import draw_scene
from mlgcn_pyg.datasets.scene_model import SCENE_LABELS, sample_labels
from mlgcn_pyg.datasets.voc import VOC2007
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files import write_text


class Scenes(VOC2007):
    """Draws ``num_images`` scenes in the layout of VOC 2007 below ``root`` and reads them back from there.

    The labels follow :mod:`mlgcn_pyg.datasets.scene_model`, so that the true P(L_j | L_i) is
    :func:`~mlgcn_pyg.datasets.scene_model.scene_probabilities`. The same arguments draw the same pictures.

    Args:
        root: folder for ``VOCdevkit/VOC2007``. Scenes drawn there before under the same split are replaced.
        num_images: N ≥ 0.
        seed: of labels and drawing; splits of one seed differ.
        split: name of the split.
        image_size: side of the pictures in pixels.
        transform: PIL image → tensor.

    Raises:
        InputError: ``root`` holds another data set, or num_images < 0.
    """

    def __init__(
        self,
        root: str | Path,
        num_images: int,
        seed: int = 0,
        *,
        split: str = "train",
        image_size: int = 64,
        transform: Callable | None = None,
    ):
        if num_images < 0:
            raise InputError("num_images", "an integer ≥ 0", num_images)
        folder = Path(root) / "VOCdevkit" / "VOC2007"
        main, images = folder / "ImageSets" / "Main", folder / "JPEGImages"
        names = main / "labels.txt"
        ours = names.is_file() and names.read_text(encoding="utf-8").split() == list(SCENE_LABELS)
        if not ours and (main.is_dir() or images.is_dir()):
            raise InputError("root", "an empty folder or one with scenes", f"another data set in {folder}")
        images.mkdir(parents=True, exist_ok=True)
        # the label files go first and come last: no label ever stands beside another scene's picture
        for label in SCENE_LABELS:
            (main / f"{label}_{split}.txt").unlink(missing_ok=True)
        for old in images.glob(f"{split}_{'[0-9]' * 6}.jpg"):
            old.unlink()
        write_text(names, "\n".join(SCENE_LABELS) + "\n")
        rng = np.random.default_rng([seed, *split.encode()])
        present = sample_labels(num_images, rng)
        ids = [f"{split}_{n:06d}" for n in range(num_images)]
        for name, row in zip(ids, present, strict=True):
            labels = [label for label, here in zip(SCENE_LABELS, row, strict=True) if here]
            draw_scene(labels, image_size, rng).save(images / f"{name}.jpg", quality=92)
        for c, label in enumerate(SCENE_LABELS):
            lines = (f"{name} {1 if here else -1}\n" for name, here in zip(ids, present[:, c], strict=True))
            write_text(main / f"{label}_{split}.txt", "".join(lines))
        super().__init__(root, split, transform)
