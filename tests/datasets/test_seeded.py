"""Random transforms that depend on (seed, epoch, index) alone."""

import copy
import pickle
import random

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from mlgcn_pyg.datasets import LabeledImages, apply_seeded, train_transform
from mlgcn_pyg.errors import InputError


@pytest.fixture(scope="module")
def noise():
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8))


@pytest.fixture
def photos(tmp_path, noise):
    paths = [tmp_path / f"{n}.png" for n in range(7)]
    for path in paths:
        noise.save(path)
    return LabeledImages(paths, torch.zeros(7, 2), ["a", "b"], transform=train_transform(8))


def draw_from_all(_):
    return torch.rand(()).item(), random.random(), np.random.rand()


def states():
    numpy_state = np.random.get_state(legacy=False)["state"]
    return torch.get_rng_state().tolist(), random.getstate(), numpy_state["key"].tolist(), numpy_state["pos"]


def test_the_same_numbers_draw_the_same_and_others_differ_in_every_generator():
    draws = {
        n: apply_seeded(draw_from_all, None, *n) for n in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (0, 1, 3), (0, 12), (-1,))
    }
    assert all(draws[n] == apply_seeded(draw_from_all, None, *n) for n in draws)
    for generator in zip(*draws.values(), strict=True):
        assert len(set(generator)) == len(draws)


def test_draws_of_neighbouring_numbers_are_uniform_and_unrelated():
    first = np.array([apply_seeded(draw_from_all, None, 0, 0, n) for n in range(2000)])
    assert np.abs(first.mean(axis=0) - 0.5).max() < 5 / np.sqrt(12 * 2000)
    lagged = [np.corrcoef(first[1:, k], first[:-1, k])[0, 1] for k in range(3)]
    assert np.abs([*lagged, *np.corrcoef(first.T)[np.triu_indices(3, 1)]]).max() < 5 / np.sqrt(2000)


def test_the_global_generators_are_restored_also_on_failure():
    before = states()
    apply_seeded(draw_from_all, None, 1, 2)
    assert states() == before

    def fails(_):
        draw_from_all(None)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        apply_seeded(fails, None, 1)
    assert states() == before


def test_every_random_transform_of_torchvision_draws_from_seeded_generators_only(noise):
    transforms = [
        v2.RandomResizedCrop(8),
        v2.RandAugment(),
        v2.TrivialAugmentWide(),
        v2.AugMix(),
        v2.AutoAugment(),
        v2.ColorJitter(0.5, 0.5, 0.5, 0.5),
        v2.RandomAffine(30),
        v2.RandomPerspective(),
        v2.ElasticTransform(),
        v2.GaussianBlur(3),
        v2.RandomPhotometricDistort(),
        v2.RandomChoice([v2.RandomInvert(), v2.RandomSolarize(9)]),
        v2.RandomOrder([v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()]),
    ]
    for transform in transforms:
        first = np.asarray(apply_seeded(transform, noise, 3, 1, 4))
        draw_from_all(None)
        assert (first == np.asarray(apply_seeded(transform, noise, 3, 1, 4))).all(), transform


def images_of(loader):
    return torch.cat([images for images, _, _ in loader])


def test_items_do_not_depend_on_workers_batches_or_order(photos):
    photos.seed = 5
    expected = {}
    for epoch in (1, 2, 3):
        photos.epoch = epoch
        expected[epoch] = torch.stack([photos[n][0] for n in reversed(range(7))]).flip(0)
    assert not torch.equal(expected[1], expected[2])
    assert not torch.equal(expected[1][0], expected[1][1])  # the same photograph, other draws
    for options in ({}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True, "prefetch_factor": 1}):
        loader = DataLoader(photos, batch_size=2, **options)
        for epoch in (1, 2, 3, 1):
            photos.epoch = epoch
            assert torch.equal(images_of(loader), expected[epoch]), (options, epoch)


def test_an_interrupted_pass_does_not_affect_the_next(photos):
    photos.seed, photos.epoch = 0, 1
    loader = DataLoader(photos, batch_size=1, num_workers=2, persistent_workers=True)
    next(iter(loader))
    photos.epoch = 2
    found = images_of(loader)
    assert torch.equal(found, torch.stack([photos[n][0] for n in range(7)]))


def test_workers_that_are_spawned_see_the_epoch_too(photos):
    photos.seed = 1
    loader = DataLoader(photos, batch_size=4, num_workers=1, persistent_workers=True, multiprocessing_context="spawn")
    for epoch in (3, 4):
        photos.epoch = epoch
        assert torch.equal(images_of(loader), torch.stack([photos[n][0] for n in range(7)]))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda data: pickle.loads(pickle.dumps(data))])
def test_a_copy_has_its_own_epoch_which_its_workers_see(photos, copied):
    photos.transform = v2.Compose([v2.ToImage(), v2.RandomCrop(8)])  # nothing but what pickles
    photos.seed, photos.epoch = 2, 1
    other = copied(photos)
    assert (other.seed, other.epoch) == (2, 1)
    loader = DataLoader(other, batch_size=4, num_workers=2, persistent_workers=True)
    first = images_of(loader)
    other.epoch = 2
    assert photos.epoch == 1
    second = images_of(loader)
    assert torch.equal(second, torch.stack([other[n][0] for n in range(7)])) and not torch.equal(first, second)


def test_without_a_seed_the_global_generator_is_used(photos):
    torch.manual_seed(1)
    first, second = photos[0][0], photos[0][0]
    torch.manual_seed(1)
    assert torch.equal(photos[0][0], first) and not torch.equal(first, second)
    photos.seed = 3
    before = states()
    assert torch.equal(photos[0][0], photos[0][0]) and states() == before
    photos.seed = None
    assert photos.seed is None and not torch.equal(photos[0][0], photos[0][0])


def test_the_last_item_is_the_same_from_both_ends(photos):
    photos.seed = 0
    assert torch.equal(photos[-1][0], photos[6][0]) and photos[-1][2] == 6
    with pytest.raises(IndexError):
        photos[7]


def test_refused_seeds_and_epochs(photos):
    with pytest.raises(InputError, match="epoch: expected a data set with a seed"):
        photos.epoch = 1
    with pytest.raises(InputError, match="seed: expected an integer ≥ 0, found -1"):
        photos.seed = -1
    photos.seed = 0
    with pytest.raises(InputError, match="epoch: expected an integer ≥ 0, found 1.5"):
        photos.epoch = 1.5
