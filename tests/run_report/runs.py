"""Small runs of the command line, made in a second, for tests of their reports."""

from pathlib import Path

from PIL import Image
from typer.testing import CliRunner

from mlgcn_pyg.cli.main import app
from mlgcn_pyg.features import FeatureCache
from tests.training.heads.problems import problem

NAMES = ("person", "<script>alert(1)</script>", "chat & chien", "犬", "كلب")


def run(*words: object, code: int = 0) -> str:
    """Runs a command and returns what it printed as one line."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def make_caches(folder: Path, num_images: int = 48) -> None:
    """Writes train.h5, val.h5 and test.h5, and a photograph for every second image of test.h5."""
    for seed, part in enumerate(("train", "val", "test")):
        features, targets = problem(num_images, seed=seed)
        ids = [f"{part} {row}" for row in range(num_images)]
        FeatureCache.from_arrays(folder / f"{part}.h5", features, targets, NAMES, ids=ids)
    (folder / "photos").mkdir()
    for row in range(0, num_images, 2):
        Image.new("RGB", (40, 30), (row, 0, 0)).save(folder / "photos" / f"test {row}.jpg")


def make_run(folder: Path, *more: object, test: bool = True) -> Path:
    """Trains heads on the caches in a folder and returns the folder of the run."""
    caches = ["--train", folder / "train.h5", "--val", folder / "val.h5"]
    caches += ["--test", folder / "test.h5"] if test else []
    recipe = ("--epochs", 2, "--hidden", 8, "--replicates", 20, "--l2", 0.1, "--seeds", 2)
    run("train-head", *caches, *recipe, "--out", folder / "run", *more)
    return folder / "run"


def other_cache(folder: Path) -> Path:
    """Writes a cache of other images with the same labels."""
    features, targets = problem(9, seed=9)
    return FeatureCache.from_arrays(folder / "other.h5", features, targets, NAMES).path
