"""Finds the feature files of a run, and checks that they are those that its results were computed on."""

from collections.abc import Iterator
from pathlib import Path

from mlgcn_pyg.errors import Argument, InputError, renamed_arguments
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.run_report.metrics import RunMetrics

Given = str | Path | FeatureCache
WORDS = {"train": "training", "val": "validation", "test": "test"}


def reported_cache(folder: Path, metrics: RunMetrics, given: Given | None = None) -> FeatureCache:
    """Returns the features that the results of a run are reported on.

    Args:
        folder: the folder of the run.
        metrics: its results.
        given: the feature file; default: the file that the run recorded, if it is still there.

    Raises:
        InputError: about the argument ``cache``, if the file is not found or has other images.
    """
    if given is not None:
        return _checked("cache", given, metrics, metrics.reported)
    found = _search(folder, metrics, metrics.reported)
    if isinstance(found, FeatureCache):
        return found
    raise InputError(
        "cache", _described(metrics, metrics.reported), found, ["give the path of this file as ", Argument("cache")]
    )


def training_cache(folder: Path, metrics: RunMetrics, given: Given | None = None) -> FeatureCache | None:
    """Returns the features that a run was trained on, or None if they are not given and not found.

    Raises:
        InputError: about the argument ``train``, if the given file has other images.
    """
    if given is not None:
        return _checked("train", given, metrics, "train")
    found = _search(folder, metrics, "train")
    return found if isinstance(found, FeatureCache) else None


def validation_cache(folder: Path, metrics: RunMetrics) -> FeatureCache | None:
    """Returns the validation features of a run that reports on test images, or None if they are not found."""
    if metrics.reported == "val":
        return None
    found = _search(folder, metrics, "val")
    return found if isinstance(found, FeatureCache) else None


def open_features(argument: str, given: Given) -> FeatureCache:
    """Returns an open cache, or opens a file."""
    if isinstance(given, FeatureCache):
        return given
    with renamed_arguments(path=argument):
        return FeatureCache(given)


def _checked(argument: str, given: Given, metrics: RunMetrics, part: str) -> FeatureCache:
    """Opens the feature file of a part of the data, and compares its digest with that of the run."""
    cache = open_features(argument, given)
    digest = cache.digest()
    if digest == metrics.setup[part]["sha256"]:
        return cache
    found = f"{cache.path} ({len(cache)} images, SHA-256 {digest[:12]}…)"
    for other in WORDS:
        if digest == metrics.setup.get(other, {}).get("sha256"):
            found += f", the {WORDS[other]} images"
    raise InputError(
        argument, _described(metrics, part), found, "the report of a run is about the images of its results"
    )


def _described(metrics: RunMetrics, part: str) -> str:
    one = metrics.setup[part]
    return f"the {WORDS[part]} images of the run, {one['file']} ({one['images']} images, SHA-256 {one['sha256'][:12]}…)"


def _search(folder: Path, metrics: RunMetrics, part: str) -> FeatureCache | str:
    """Returns the feature file of a part of the data, or why it was not found."""
    others = []
    for path in dict.fromkeys(_places(folder, metrics, part)):
        try:
            cache = FeatureCache(path)
        except InputError:  # absent or damaged
            continue
        if cache.digest() == metrics.setup[part]["sha256"]:
            return cache
        others.append(path)
    if others:
        return f"other images in {others[0]}"
    return f"no such file at {next(_places(folder, metrics, part))}"


def _places(folder: Path, metrics: RunMetrics, part: str) -> Iterator[Path]:
    """The paths that the feature file may have: as recorded, in the folder of the run, and beside it."""
    if part in metrics.files:
        yield folder / metrics.files[part]
    name = Path(metrics.setup[part]["file"]).name
    yield folder / name
    yield folder.parent / name
