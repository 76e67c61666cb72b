"""Generated scenes: images whose label statistics are known exactly, for demonstrations and tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mlgcn_pyg.checks import check_count
from mlgcn_pyg.datasets.scene_drawing import draw_scene
from mlgcn_pyg.datasets.scene_model import SCENE_LABELS, sample_labels
from mlgcn_pyg.datasets.voc import VOC2007
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.atomic import write_text


class Scenes(VOC2007):
    """Draws scenes in the layout of VOC 2007 and opens them.

    The labels are drawn from :mod:`mlgcn_pyg.datasets.scene_model`. P(L_j | L_i) is known exactly
    (:func:`~mlgcn_pyg.datasets.scene_model.scene_probabilities`). The same arguments give the same images.

    Args:
        root: the folder for ``VOCdevkit/VOC2007``. Existing scenes of the same split are overwritten.
        num_images: N ≥ 0.
        seed: seed of the labels and the drawing. Splits with the same seed have different scenes.
        split: name of the split.
        image_size: side of the images in pixels.
        transform: PIL image → tensor.

    Raises:
        InputError: if ``root`` holds a different data set, or ``num_images`` is negative.
    """

    def __init__(
        self,
        root: str | Path,
        num_images: int,
        seed: int = 0,
        *,
        split: str = "train",
        image_size: int = 64,
        transform: Callable[..., Any] | None = None,
    ):
        check_count("num_images", num_images)
        main, images = _make_folders(Path(root))
        _remove_split(main, images, split)
        rng = np.random.default_rng([seed, *split.encode()])
        present = sample_labels(num_images, rng)
        ids = [f"{split}_{n:06d}" for n in range(num_images)]
        for name, row in zip(ids, present, strict=True):
            labels = [label for label, is_present in zip(SCENE_LABELS, row, strict=True) if is_present]
            draw_scene(labels, image_size, rng).save(images / f"{name}.jpg", quality=92)
        for c, label in enumerate(SCENE_LABELS):
            marks = zip(ids, present[:, c], strict=True)
            lines = (f"{name} {1 if is_present else -1}\n" for name, is_present in marks)
            write_text(main / f"{label}_{split}.txt", "".join(lines))
        super().__init__(root, split, transform)


def _make_folders(root: Path) -> tuple[Path, Path]:
    """Creates and returns the folders of the label files and of the images."""
    folder = root / "VOCdevkit" / "VOC2007"
    main, images = folder / "ImageSets" / "Main", folder / "JPEGImages"
    names = main / "labels.txt"
    holds_scenes = names.is_file() and names.read_text(encoding="utf-8").split() == list(SCENE_LABELS)
    if not holds_scenes and (main.is_dir() or images.is_dir()):
        raise InputError("root", "an empty folder or one with scenes", f"a different data set in {folder}")
    images.mkdir(parents=True, exist_ok=True)
    write_text(names, "\n".join(SCENE_LABELS) + "\n")
    return main, images


def _remove_split(main: Path, images: Path, split: str) -> None:
    """Removes a split, label files first. Label files are written last, so they never describe older images."""
    for label in SCENE_LABELS:
        (main / f"{label}_{split}.txt").unlink(missing_ok=True)
    for image in images.glob(f"{split}_{'[0-9]' * 6}.jpg"):
        image.unlink()
