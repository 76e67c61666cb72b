"""Feature files that are symbolic links to a different disk."""

import os

import pytest
import torch

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features import FeatureCache, extract_features
from mlgcn_pyg.features.reading import read_contents
from mlgcn_pyg.features.verification import repair, verify
from tests.features.small import SmallBackbone, small_scenes


@pytest.fixture
def link(tmp_path):
    (tmp_path / "big").mkdir()
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "s.h5").symlink_to(tmp_path / "big" / "far.h5")
    return tmp_path / "near" / "s.h5"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_an_extraction_through_a_link_works_beside_its_target(tmp_path, link):
    scenes, backbone = small_scenes(tmp_path / "scenes", 10), SmallBackbone()

    def stop(module, images, out):
        if len(images[0]) == 2:  # the last batch
            raise KeyboardInterrupt

    hook = backbone.register_forward_hook(stop)
    with pytest.raises(KeyboardInterrupt):
        extract_features(backbone, scenes, link, batch_size=4)
    assert names(link.parent) == ["s.h5"] and names(tmp_path / "big") == ["far.h5.partial"]
    hook.remove()
    notes = []
    cache = extract_features(backbone, scenes, link, batch_size=4, notify=notes.append)
    assert "2 of 3 batches are verified" in notes[0] and len(cache) == 10
    assert link.is_symlink() and names(link.parent) == ["s.h5"] and names(tmp_path / "big") == ["far.h5"]
    extract_features(backbone, scenes, link, batch_size=4, notify=notes.append)
    assert "nothing to do" in notes[-1]
    extract_features(backbone, scenes, link, batch_size=5, overwrite=True)
    assert link.is_symlink() and names(tmp_path / "big") == ["far.h5"] and FeatureCache(link).meta["batch_size"] == 5


def test_repair_through_a_link_and_extraction_again(tmp_path, link):
    scenes = small_scenes(tmp_path / "scenes", 10)
    good = extract_features(SmallBackbone(), scenes, link, batch_size=4).path.read_bytes()
    with open(link, "rb+") as file:
        file.seek(read_contents(link).offset)
        file.write(b"\x00\x01")
    assert repair(link).damaged == [0]
    assert link.is_symlink() and not link.exists() and names(tmp_path / "big") == ["far.h5.partial"]
    extract_features(SmallBackbone(), scenes, link, batch_size=4)
    assert link.is_symlink() and link.read_bytes() == good and verify(link).good


def test_arrays_through_a_link(tmp_path, link):
    for value in (0.0, 1.0):  # into nothing, and in the place of a file
        cache = FeatureCache.from_arrays(link, torch.full((2, 3), value), [[1], [0]], ["a"])
        assert link.is_symlink() and names(tmp_path / "big") == ["far.h5"] and bool((cache.load()[0] == value).all())


def test_what_is_not_a_regular_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "l.h5").symlink_to(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path / "l.h5"):
        with pytest.raises(InputError, match="which is not a regular file"):
            extract_features(SmallBackbone(), small_scenes(tmp_path / "scenes", 2), path)
        assert path.is_fifo()


def test_an_unfinished_file_is_not_written_through_a_link(tmp_path):
    """Its name is known beforehand, so that others could place a link there."""
    scenes, backbone = small_scenes(tmp_path / "scenes", 4), SmallBackbone()
    precious = tmp_path / "precious.h5"
    extract_features(backbone, scenes, precious)
    before = precious.read_bytes()
    (tmp_path / "s.h5.partial").symlink_to(precious)
    with pytest.raises(InputError, match="path: expected an unfinished file that is not a link"):
        extract_features(backbone, scenes, tmp_path / "s.h5", overwrite=True)
    assert precious.read_bytes() == before and not (tmp_path / "s.h5").exists()
