"""One process on another system: python platforms_worker.py STEP FOLDER, the system from ``MLGCN_TEST_SYSTEM``."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

if "MLGCN_TEST_SYSTEM" in os.environ:
    from tests.other_system import become

    become(os.environ["MLGCN_TEST_SYSTEM"])  # before anything that could look for what it removes

import torch

from mlgcn_pyg import MLGCN, LabelGraph, MLGCNHead
from mlgcn_pyg.checkpoints import save_model
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features import FeatureCache, extract_features
from mlgcn_pyg.features.reading import read_contents
from mlgcn_pyg.features.verification import repair, verify
from mlgcn_pyg.files.locks import locked, locked_folder
from mlgcn_pyg.nn import Backbone
from mlgcn_pyg.training import HeadConfig, fit_head
from tests.features.small import SmallBackbone, drawn_scenes

DIES = 9  # exit code


def extract(folder: Path, dies_at: int | None = None, overwrite: bool = False, **options) -> FeatureCache:
    """Extracts; the process ends at a batch as if it were killed: nothing runs afterwards."""
    backbone, calls = SmallBackbone(), []

    def die(*_):
        calls.append(1)
        if len(calls) == dies_at:
            os._exit(DIES)

    backbone.register_forward_hook(die)
    scenes = drawn_scenes(folder / "scenes")
    return extract_features(backbone, scenes, folder / "s.h5", batch_size=4, overwrite=overwrite, **options)


def fit(folder: Path, dies_at: int | None = None) -> MLGCNHead:
    """Fits a head in a folder; the process ends after an epoch as if it were killed."""
    cache = FeatureCache(folder / "s.h5")
    torch.manual_seed(0)
    head = MLGCNHead(LabelGraph.from_targets(cache.targets, tau=0.4, label_names=cache.label_names), 8, (8,))

    def die(record):
        if record["epoch"] == dies_at:
            os._exit(DIES)

    fit_head(
        head,
        cache,
        config=HeadConfig(recipe="paper", epochs=4, batch_size=8),
        folder=folder / "run",
        save_seconds=0,
        progress=die,
    )
    return head


def killed_extraction(folder: Path) -> None:
    extract(folder, dies_at=4)


def resumed_extraction_and_killed_fit(folder: Path) -> None:
    resumed(folder)
    fit(folder, dies_at=2)


def resumed(folder: Path) -> None:
    told = []
    cache = extract(folder, notify=told.append, num_workers=1)
    assert "3 of 6 batches are verified" in told[0], told
    assert verify(cache.path).good


def resumed_fit_and_prediction(folder: Path) -> None:
    head = fit(folder)
    torch.save(head.state_dict(), folder / "head.pt")
    torch.manual_seed(1)
    backbone = Backbone("squeezenet1_1")
    small = MLGCNHead(LabelGraph.from_targets(torch.eye(3)), backbone.num_features, (4,))
    save_model(folder / "model.pt", MLGCN(backbone, small), image_size=48)
    repaired(folder)
    from mlgcn_pyg.cli.main import app

    images = str(folder / "scenes")
    app(
        ["predict", images, "--checkpoint", str(folder / "model.pt"), "--format", "csv", "--out", str(folder / "p.csv")]
    )


def repaired(folder: Path) -> None:
    """A damaged batch is found, marked and computed again; files are replaced where nothing has them open."""
    path = folder / "s.h5"
    good, offset = path.read_bytes(), read_contents(path).offset
    with open(path, "rb+") as file:
        file.seek(offset)
        file.write(bytes([good[offset] ^ 1]))
    assert repair(path).damaged == [0]
    extract(folder)
    assert path.read_bytes() == good
    extract(folder, overwrite=True, dtype="float32")
    extract(folder, overwrite=True)
    assert FeatureCache(path).load()[0].dtype == torch.float16


def locks(folder: Path) -> None:
    """A second writer is refused, in the same process too; nothing is left."""
    for lock in (lambda: locked(folder / "s.h5.partial"), lambda: locked_folder(folder)):
        with lock():
            try:
                with lock():
                    raise AssertionError("a second writer")
            except InputError as error:
                assert "in use by another process" in error.found
    assert not list(folder.glob(".*"))


def interrupted_and_resumed(folder: Path) -> None:
    """In one process, with worker processes."""
    locks(folder)

    def interrupt(count, what):
        if count == 12:
            raise KeyboardInterrupt

    try:
        extract(folder, progress=interrupt)
    except KeyboardInterrupt:
        resumed(folder)
    fit(folder)


if __name__ == "__main__":
    step, place = sys.argv[1:]
    globals()[step](Path(place))
