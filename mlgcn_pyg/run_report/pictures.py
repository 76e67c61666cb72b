"""The results and figures of a study, and the pictures of ``mlgcn classifiers`` and ``mlgcn retrieve``."""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.report.page.content import StudyContent
from mlgcn_pyg.report.page.study_section import study_tables
from mlgcn_pyg.report.study_figures import CAPTIONS
from mlgcn_pyg.run_report.json_files import read_bytes, read_json

STUDY = "study.json"
EXPECTED = f"a {STUDY} of mlgcn study"
PICTURES = CAPTIONS | {
    "classifiers": "Classifiers of the labels (Fig. 8 of the paper)",
    "retrieval": "Images with the most similar features (Fig. 7 of the paper)",
}  # name of a file without .png → caption
LARGEST = 32 << 20  # bytes of a file
WIDTH, COLOURS = 1400, 128  # of a picture in the report


def read_study(folder: Path) -> dict[str, Any]:
    """Returns the content of ``study.json``.

    Raises:
        InputError: about the argument ``run``, if it is missing, damaged, or a different file.
    """
    content = read_json(folder / STUDY, EXPECTED)
    for part, kind in (("verdict", str), ("contenders", dict), ("comparisons", dict)):
        values = content.get(part)
        if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
            raise InputError("run", EXPECTED, f"{folder / STUDY} without {part}")
    if not isinstance(content.get("commands", []), list):
        raise InputError("run", EXPECTED, f"{folder / STUDY} without a list of commands")
    try:
        study_tables(StudyContent((), content["contenders"], content["comparisons"]))
    except Exception as error:  # damaged rows raise many types of exceptions
        raise InputError("run", EXPECTED, f"{folder / STUDY} ({first_line(error)})") from error
    return content


def study_content(content: Mapping[str, Any] | None, folders: Iterable[Path]) -> StudyContent | None:
    """Returns the results of a study and the pictures in some folders; None if there is neither.

    Args:
        content: that of ``study.json``, if there is a study.
        folders: the folders whose pictures are shown.
    """
    figures = {caption: picture for folder in folders for caption, picture in _figures(folder).items()}
    if content is None:
        return StudyContent(figures=figures) if figures else None
    return StudyContent(content["verdict"], content["contenders"], content["comparisons"], figures)


def _figures(folder: Path) -> dict[str, bytes]:
    """Returns caption → PNG file of the pictures in a folder that have known names."""
    files = {caption: folder / f"{name}.png" for name, caption in PICTURES.items()}
    return {caption: smaller(path) for caption, path in files.items() if path.exists()}


def smaller(path: Path) -> bytes:
    """Returns a PNG file of a picture with at most 1,400 pixels in width and 128 colours, which plots have.

    Raises:
        InputError: about the argument ``run``, if the file is damaged or no PNG.
    """
    expected = "a PNG file of a plot"
    content = read_bytes(path, expected, LARGEST)
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            picture = image.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
        picture.thumbnail((WIDTH, 4 * WIDTH), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        picture.quantize(COLOURS, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    except Exception as error:  # decoders raise many types of exceptions for damaged files
        raise InputError("run", expected, f"{path} ({first_line(error)})") from error
    return file.getvalue()
