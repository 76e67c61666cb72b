"""Statistics of features and labels, against NumPy."""

import numpy as np
import pytest
import torch

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.features.batches import ResidentRows, StreamedRows
from mlgcn_pyg.nn import Standardize
from mlgcn_pyg.training.heads import statistics
from mlgcn_pyg.training.heads.statistics import feature_statistics, log_odds


def sources(tmp_path, features, dtype="float32"):
    targets = torch.ones(len(features), 1, dtype=torch.int8)
    cache = FeatureCache.from_arrays(tmp_path / "c.h5", torch.as_tensor(features), targets, ["a"], dtype=dtype)
    return ResidentRows(*cache.load()), StreamedRows(cache), np.asarray(cache.features[:], np.float64)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("shape", [(1, 1, 3), (101, 1, 7), (50, 4, 7)])
@pytest.mark.parametrize("numbers", [1 << 19, 1, 40])
def test_they_are_numpys_over_all_views_resident_or_streamed(tmp_path, monkeypatch, dtype, shape, numbers):
    monkeypatch.setattr(statistics, "PIECE_NUMBERS", numbers)
    features = np.random.default_rng(0).gamma(1.0, 3.0, shape) * np.logspace(-2, 3, shape[-1])
    resident, streamed, stored = sources(tmp_path, features, dtype)
    found, same = feature_statistics(resident), feature_statistics(streamed)
    assert torch.equal(found.mean, same.mean) and torch.equal(found.std, same.std)
    rows = stored.reshape(-1, shape[-1])
    assert np.allclose(found.mean, rows.mean(0), rtol=1e-12) and np.allclose(found.std, rows.std(0), rtol=1e-10)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_constant_features_have_a_deviation_of_exactly_0(tmp_path, dtype):
    features = np.random.default_rng(0).normal(size=(1000, 4))
    features[:, 1], features[:, 2] = 0.1, 1000.3
    resident, streamed, stored = sources(tmp_path, features, dtype)
    for source in (resident, streamed):
        found = feature_statistics(source)
        assert not found.std[1:3].any() and found.std[0] > 0.9 and found.mean[2] == stored[0, 0, 2]
        assert Standardize(found.mean, found.std).scale.bool().tolist() == [True, False, False, True]


def test_a_large_mean_and_a_distant_first_row_do_not_hide_the_deviation():
    generator = np.random.default_rng(0)
    features = 1e6 + generator.normal(size=(5000, 3))
    features[0] = -1e8
    source = ResidentRows(torch.from_numpy(features), torch.ones(5000, 1, dtype=torch.int8))
    found = feature_statistics(source)
    assert np.allclose(found.std, features.std(0), rtol=1e-9)
    found = feature_statistics(ResidentRows(torch.from_numpy(features[1:]), source.targets[1:]))
    assert np.allclose(found.std, features[1:].std(0), rtol=1e-9)


def test_no_image():
    with pytest.raises(InputError, match="source: expected at least one image"):
        feature_statistics(ResidentRows(torch.zeros(0, 3), torch.zeros(0, 1, dtype=torch.int8)))
    assert log_odds(torch.zeros(0, 2)).tolist() == [0, 0]


def test_log_odds_count_known_targets_only():
    targets = torch.tensor([[1, 0, -1, 1], [1, 0, -1, -1], [1, 0, -1, 0], [1, 0, -1, 0]])
    expected = [np.log(4.5 / 0.5), np.log(0.5 / 4.5), 0.0, np.log(1.5 / 2.5)]
    assert np.allclose(log_odds(targets), expected)
    with pytest.raises(InputError, match="targets: expected values in"):
        log_odds(targets + 1)
