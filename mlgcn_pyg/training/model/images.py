"""Checks that every image can be decoded before training starts, and leaves out the images that cannot."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from torch import Tensor
from torch.utils.data import Dataset

from mlgcn_pyg.checks import check_choice
from mlgcn_pyg.distributed import Ranks
from mlgcn_pyg.errors import InputError, renamed_arguments
from mlgcn_pyg.features import broken_images
from mlgcn_pyg.features.loading import broken_error
from mlgcn_pyg.files.atomic import write_text
from mlgcn_pyg.typing import LabeledDataset

Skipped = dict[str, dict[str, str]]  # for "train" and "val": the reason by the id of the image
FILE = "skipped.json"
D = TypeVar("D", bound=LabeledDataset)


@dataclass(frozen=True)
class ImageCheck:
    """The check of all images of a run. The fields are arguments of :func:`~mlgcn_pyg.training.fit_model`.

    The images are decoded once per run. A run that is resumed takes the result from its folder.
    """

    on_error: str
    folder: Path | None
    num_workers: int
    progress: Callable[[int, str], None] | None

    def __post_init__(self) -> None:
        check_choice("on_error", self.on_error, ("stop", "skip"))

    def skipped(self, train_set: LabeledDataset, val_set: LabeledDataset | None, ranks: Ranks) -> Skipped:
        """Returns the images to skip. One process decodes; all processes must call this method together.

        Raises:
            InputError: if images cannot be decoded, and ``on_error`` is ``"stop"`` or no image is left.
        """

        def find() -> Skipped:
            if self.folder is not None and (self.folder / "state.pt").exists():
                return self._recorded(self.folder)
            found = {"train": self._broken("train_set", train_set)}
            return found | ({} if val_set is None else {"val": self._broken("val_set", val_set)})

        return ranks.share(find)

    def _broken(self, argument: str, data: LabeledDataset) -> dict[str, str]:
        broken = broken_images(data, self.num_workers, self.progress)
        if broken and (self.on_error == "stop" or len(broken) == len(data)):
            with renamed_arguments(dataset=argument):
                raise broken_error(data, broken)
        return {data.ids[row]: reason for row, reason in broken.items()}

    def _recorded(self, folder: Path) -> Skipped:
        try:
            skipped: Skipped = json.loads((folder / FILE).read_text(encoding="utf-8"))
            count = sum(len(dict(images)) for images in skipped.values())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise InputError(
                "folder", f"a readable {FILE}", folder / FILE, "remove the folder and start again"
            ) from error
        if count and self.on_error == "stop":
            raise InputError("on_error", "'skip', as the run in the folder was started", "'stop'")
        return skipped


def record(folder: Path, skipped: Skipped) -> None:
    """Writes the skipped images and the reasons into ``skipped.json``; without any, the file does not exist."""
    if any(skipped.values()):
        write_text(folder / FILE, json.dumps(skipped, indent=1, ensure_ascii=False) + "\n")
    else:
        (folder / FILE).unlink(missing_ok=True)


class Kept(Dataset[tuple[Any, Tensor, int]]):
    """A data set without some of its images. Random transforms of the others do not change.

    Args:
        data: the data set.
        skipped: the ids of the images to leave out.
    """

    def __init__(self, data: Any, skipped: dict[str, str]):
        self.data, self.rows = data, [row for row, name in enumerate(data.ids) if name not in skipped]
        self.targets, self.label_names = data.targets[self.rows], data.label_names
        self.ids = [data.ids[row] for row in self.rows]
        self.transform = data.transform
        if hasattr(data, "image_paths"):
            self.image_paths = [data.image_paths[row] for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Any, Tensor, int]:
        image, target, _ = self.data[self.rows[index]]
        return image, target, index

    @property
    def seed(self) -> int | None:
        """The seed of the data set."""
        seed: int | None = self.data.seed
        return seed

    @seed.setter
    def seed(self, seed: int | None) -> None:
        self.data.seed = seed

    @property
    def epoch(self) -> int:
        """The epoch of the data set."""
        epoch: int = self.data.epoch
        return epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self.data.epoch = epoch


def without(data: D, skipped: dict[str, str] | None) -> D:
    """Returns the data set without the skipped images."""
    return cast(D, Kept(data, skipped)) if skipped else data
