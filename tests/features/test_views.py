import pytest
import torch

from mlgcn_pyg.datasets import train_transform
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features import extract_features
from mlgcn_pyg.seeding import derived_seed, seeded
from tests.features.small import SmallBackbone, small_scenes


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return small_scenes(tmp_path_factory.mktemp("scenes"), 10)


def extract(scenes, path, **options):
    options = {"batch_size": 4, "views": 3, "view_transform": train_transform(32), "seed": 5} | options
    return extract_features(SmallBackbone(), scenes, path, **options)


def test_view_0_is_the_evaluation_view_and_the_others_are_augmented(tmp_path, scenes):
    cache = extract(scenes, tmp_path / "v.h5")
    plain = extract_features(SmallBackbone(), scenes, tmp_path / "p.h5", batch_size=4)
    features = cache.load()[0]
    assert cache.num_views == 3 and torch.equal(features[:, 0], plain.load()[0][:, 0])
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert not (features[:, a] == features[:, b]).all(dim=1).any()


@pytest.mark.parametrize("options", [{"num_workers": 2}, {"num_workers": 1}])
def test_views_depend_on_no_worker(tmp_path, scenes, options):
    a, b = extract(scenes, tmp_path / "a.h5"), extract(scenes, tmp_path / "b.h5", **options)
    assert torch.equal(a.load()[0], b.load()[0])


def test_views_depend_on_the_image_and_not_on_its_place(tmp_path, scenes):
    order = torch.randperm(10).tolist()
    turned = small_scenes(scenes.image_paths[0].parent.parent, 10)
    turned.image_paths = [scenes.image_paths[k] for k in order]
    turned.ids, turned.targets = [scenes.ids[k] for k in order], scenes.targets[order]
    one = {"batch_size": 1, "dtype": "float32"}
    a, b = extract(scenes, tmp_path / "a.h5", **one), extract(turned, tmp_path / "b.h5", **one)
    assert torch.equal(a.load()[0][order], b.load()[0])


def test_another_seed_gives_other_views_and_another_key(tmp_path, scenes):
    a, b = extract(scenes, tmp_path / "a.h5"), extract(scenes, tmp_path / "b.h5", seed=6)
    assert torch.equal(a.load()[0][:, 0], b.load()[0][:, 0])
    assert not torch.equal(a.load()[0][:, 1], b.load()[0][:, 1])
    with pytest.raises(InputError, match="seed: 5 in the file, 6 requested"):
        extract(scenes, tmp_path / "a.h5", seed=6)


def test_views_leave_the_global_random_numbers_alone(tmp_path, scenes):
    torch.manual_seed(3)
    expected = torch.rand(3)
    backbone = SmallBackbone()
    torch.manual_seed(3)
    extract_features(backbone, scenes, tmp_path / "v.h5", views=2, view_transform=train_transform(32))
    assert torch.equal(torch.rand(3), expected)


def test_views_without_a_transform_for_them(tmp_path, scenes):
    with pytest.raises(InputError, match="views: expected view_transform"):
        extract_features(SmallBackbone(), scenes, tmp_path / "v.h5", views=2)


def test_near_seeds_are_unrelated():
    seeds = [derived_seed(a, b) for a in range(30) for b in range(30)]
    assert (
        len(set(seeds)) == 900 and derived_seed(1, 11) != derived_seed(11, 1) and derived_seed("1") != derived_seed(1)
    )
    with seeded(0, 1):
        a = torch.rand(1000)
    with seeded(1, 0):
        b = torch.rand(1000)
    assert abs(float(torch.corrcoef(torch.stack([a, b]))[0, 1])) < 0.1
