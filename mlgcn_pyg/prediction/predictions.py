"""Predictions as records, and as a table."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

from PIL import Image

from mlgcn_pyg.errors import printable_line

if TYPE_CHECKING:
    import pandas as pd

LISTED = 10  # images in the text of predictions


@dataclass(frozen=True)
class Prediction:
    """The labels predicted for one image.

    Attributes:
        image: the file, or the image as a Pillow image.
        labels: pairs (name, probability), the most probable label first. Empty if the image could not be read.
        error: the reason why the image could not be read, or None.
    """

    image: Path | Image.Image
    labels: Sequence[tuple[str, float]] = ()
    error: str | None = None


class Predictions(Sequence[Prediction]):
    """The predictions for several images, in their order. A slice has the same type.

    Args:
        predictions: one record per image.

    >>> Predictions([Prediction(Path("a.jpg"), [("dog", 0.98), ("person", 0.7)]), Prediction(Path("b.jpg"))])
    Predictions for 2 images:
      a.jpg: dog 0.980, person 0.700
      b.jpg: –
    """

    def __init__(self, predictions: Iterable[Prediction]):
        self._predictions = tuple(predictions)

    def __len__(self) -> int:
        return len(self._predictions)

    @overload
    def __getitem__(self, index: int) -> Prediction: ...

    @overload
    def __getitem__(self, index: slice) -> "Predictions": ...

    def __getitem__(self, index: int | slice) -> "Prediction | Predictions":
        found = self._predictions[index]
        return Predictions(found) if isinstance(found, tuple) else found

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self._predictions)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Predictions) and self._predictions == other._predictions

    __hash__ = None  # type: ignore[assignment]  # Pillow images have no hash

    def to_frame(self) -> "pd.DataFrame":
        """Returns a table with one row per predicted label.

        Columns:
            - **image**: the path of the file; for Pillow images, arrays and tensors, the position in the input.
            - **label**, **probability**: None and NaN for an image without a predicted label.
            - **error**: the reason why the image could not be read, or None.
        """
        import pandas as pd

        without: list[tuple[str | None, float]] = [(None, float("nan"))]
        rows = [
            (image_name(one.image, position), label, probability, one.error)
            for position, one in enumerate(self)
            for label, probability in (one.labels or without)
        ]
        frame = pd.DataFrame(rows, columns=["image", "label", "probability", "error"], dtype=object)
        return frame.astype({"probability": float})  # columns of texts would replace None by NaN

    def __repr__(self) -> str:
        broken = sum(one.error is not None for one in self)
        lines = [f"  {image_name(one.image, k)}: {_described(one)}" for k, one in enumerate(self[:LISTED])]
        if len(self) > LISTED:
            lines.append(f"  … and {len(self) - LISTED:,} more")
        images = "1 image" if len(self) == 1 else f"{len(self):,} images"
        title = f"Predictions for {images}" + (f", {broken:,} of which could not be read" if broken else "")
        return "\n".join([f"{title}:" if lines else title, *map(printable_line_indented, lines)])


def image_name(image: Path | Image.Image, position: int) -> str | int:
    """Returns the path of a file as text, or the position of an image that has no file."""
    return position if isinstance(image, Image.Image) else str(image)


def printable_line_indented(line: str) -> str:
    """Returns a line with two spaces before it, and its control characters escaped."""
    return f"  {printable_line(line)}"


def _described(prediction: Prediction) -> str:
    if prediction.error is not None:
        return prediction.error
    return ", ".join(f"{name} {probability:.3f}" for name, probability in prediction.labels) or "–"
