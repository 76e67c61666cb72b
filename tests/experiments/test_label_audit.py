"""The audit of labels: flips are found, every entry is judged by heads of other images, and refusals."""

import pytest
import torch

from mlgcn_pyg.errors import InputError, InputWarning
from mlgcn_pyg.evaluation import suspicion
from mlgcn_pyg.experiments import audit_labels
from mlgcn_pyg.experiments.label_audit import held_out_logits
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.nn import LinearHead
from mlgcn_pyg.stratification import stratified_folds
from mlgcn_pyg.training import ExactConfig, fit_head, score

NAMES = ("sky", "sea", "sun")


def data(num_images=300, seed=0):
    """Features and labels of which the third accompanies the first, and flips of 12 labels."""
    g = torch.Generator().manual_seed(seed)
    truth = (torch.rand(num_images, 3, generator=g) < torch.tensor([0.3, 0.4, 0.0])).to(torch.int8)
    truth[:, 2] = truth[:, 0]
    x = truth[:, :2].float() @ torch.randn(2, 6, generator=g) + 0.5 * torch.randn(num_images, 6, generator=g)
    flips = torch.zeros(truth.numel(), dtype=torch.bool)
    flips[torch.randperm(truth.numel(), generator=g)[:12]] = True
    flips = flips.view(truth.shape)
    return x, torch.where(flips, 1 - truth, truth), flips


def made(folder, x, targets, names=NAMES):
    return FeatureCache.from_arrays(folder / "c.h5", x, targets, names, dtype="float32")


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    x, targets, flips = data()
    cache = made(tmp_path_factory.mktemp("audit"), x, targets)
    return cache, LabelGraph.from_targets(targets, label_names=NAMES, tau=0.5), held_out_logits(cache), flips


def test_flips_come_first(audited):
    cache, graph, logits, flips = audited
    found = audit_labels(cache, graph, top=20, logits=logits)
    entries = [(int(image), NAMES.index(label)) for image, label in zip(found.image, found.label, strict=True)]
    assert sum(bool(flips[entry]) for entry in entries) >= 9  # of 12; by chance 0.3
    assert list(found.columns) == ["image", "label", "given", "P", "expected", "score", "reason"] and len(found) == 20
    assert found.score.is_monotonic_decreasing and found.given.isin([0, 1]).all()
    first = found.iloc[0]
    assert first.reason.startswith(f"{first.label} is {'given' if first.given else 'not given'}, but P is ")


def test_scores_are_those_of_suspicion_and_every_entry_is_listed_once(audited):
    cache, graph, logits, _ = audited
    found = audit_labels(cache, graph, logits=logits)
    assert len(found) == 900 and not found.duplicated(["image", "label"]).any()
    scores = suspicion(logits, cache.targets, graph)
    for row in found.iloc[::97].itertuples():
        assert row.score == scores[int(row.image), NAMES.index(row.label)].item()
        assert row.given == cache.targets[int(row.image), NAMES.index(row.label)]
    alone = audit_labels(cache, logits=logits, top=5)
    assert alone.score.tolist() == suspicion(logits, cache.targets).flatten().topk(5).values.tolist()
    assert not alone.reason.str.contains("other labels").any()


def test_logits_are_of_heads_that_were_not_trained_on_the_image(audited):
    cache, _, logits, _ = audited
    x, targets = cache.load()[0][:, 0], cache.targets
    probe = LinearHead(3, 6, NAMES)
    l2 = fit_head(probe, (x, targets), config=ExactConfig(folds=5, tolerance=1e-3)).last["l2"]
    for fold in map(torch.from_numpy, stratified_folds(targets, 5)):
        rest = torch.ones(len(x), dtype=torch.bool)
        rest[fold] = False
        head = LinearHead(3, 6, NAMES)
        fit_head(head, (x[rest], targets[rest]), config=ExactConfig(l2=l2 * 5 / 4, tolerance=1e-3))
        assert torch.allclose(score(head, (x[fold], targets[fold]))[0], logits[fold], atol=1e-4)


def test_a_seed_gives_the_same_list_and_sharing_heads_judge_as_well(audited):
    cache, graph, _, _ = audited
    lists = [audit_labels(cache, graph, folds=3, head="sharing", seed=1, top=8) for _ in range(2)]
    assert lists[0].equals(lists[1])


def test_present_and_absent_labels_are_listed_apart(audited):
    cache, graph, logits, _ = audited
    every = audit_labels(cache, graph, logits=logits)
    for given, value in (("present", 1), ("absent", 0)):
        found = audit_labels(cache, graph, given=given, logits=logits)
        assert found.equals(every[every.given == value].reset_index(drop=True))


def test_a_given_strength_is_used_for_all_folds(audited):
    cache, _, logits, _ = audited
    x, targets = cache.load()[0][:, 0], cache.targets
    l2 = fit_head(LinearHead(3, 6, NAMES), (x, targets), config=ExactConfig(folds=5, tolerance=1e-3)).last["l2"]
    assert torch.allclose(held_out_logits(cache, l2=l2), logits, atol=1e-5)
    assert not torch.allclose(held_out_logits(cache, l2=100 * l2), logits, atol=0.1)


def test_unknown_labels_are_listed_instead(tmp_path):
    x, targets, _ = data()
    hidden = torch.zeros_like(targets, dtype=torch.bool)
    hidden[torch.randperm(300, generator=torch.Generator().manual_seed(1))[:40], 1] = True
    cache = made(tmp_path, x, targets.masked_fill(hidden, -1))
    found = audit_labels(cache, given="unknown")
    assert len(found) == 40 and (found.given == -1).all() and (found.label == "sea").all()
    certain = found[found.score > 0.95]
    truth = [targets[int(image), 1] for image in certain.image]
    agree = sum((p > 0.5) == bool(y) for p, y in zip(certain.P, truth, strict=True))
    assert len(certain) > 10 and agree >= 0.9 * len(certain)
    assert found.reason.str.startswith("sea is unknown, and P is ").all()
    with pytest.raises(InputError, match="given: expected a feature file with unknown labels"):
        audit_labels(made(tmp_path, x, targets), given="unknown")


@pytest.mark.parametrize("positives", [0, 1, 4])
def test_labels_with_few_positives_are_named_and_not_judged(tmp_path, positives):
    x, targets, _ = data()
    targets[:, 1] = 0
    targets[:positives, 1] = 1
    with pytest.warns(InputWarning, match="fewer than 5 known positives or negatives are not judged: sea"):
        found = audit_labels(made(tmp_path, x, targets), folds=3)
    assert set(found.label) == {"sky", "sun"} and found.score.notna().all()


def test_an_interrupted_audit_resumes(tmp_path, audited):
    cache, _, logits, _ = audited

    def interrupt(name, number, record):
        if name == "linear folds" and number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        held_out_logits(cache, folder=tmp_path / "state", progress=interrupt)
    fitted = []
    again = held_out_logits(
        cache, folder=tmp_path / "state", progress=lambda name, number, record: fitted.append((name, number))
    )
    assert torch.equal(again, logits) and ("linear folds", 4) in fitted


@pytest.mark.parametrize("targets, match", [
    (torch.full((20, 3), -1), "cache: expected a label with at least 5 known positives and 5 known negatives"),
    (torch.zeros(20, 3), "cache: expected a label with at least 5 known positives"),
    (torch.ones(20, 3), "cache: expected a label with at least 5 known positives"),
])  # fmt: skip
def test_targets_that_say_nothing_are_refused(tmp_path, targets, match):
    with pytest.raises(InputError, match=match):
        audit_labels(made(tmp_path, torch.randn(20, 6), targets))


def test_wrong_arguments(tmp_path, audited):
    cache, graph, logits, _ = audited
    few = made(tmp_path, torch.randn(3, 6), torch.eye(3))
    other = LabelGraph.from_targets(torch.eye(3), label_names=["sky", "sea", "moon"])
    for call, match in (
        (lambda: audit_labels(few), "folds: expected at most the number of images, 3, found 5"),
        (lambda: audit_labels(cache, folds=1), "folds: expected an integer ≥ 2"),
        (lambda: audit_labels(cache, other), "found 'moon' instead of 'sun'|'sun'"),
        (lambda: audit_labels(cache, "g.pt"), "graph: expected a LabelGraph, or None"),
        (lambda: audit_labels(cache, given="0"), "given: expected one of known, present, absent, unknown"),
        (lambda: audit_labels(cache, logits=torch.full((300, 3), torch.nan)), "logits: expected finite numbers"),
        (lambda: audit_labels(cache, head="mlgcn"), "head: expected one of linear, sharing"),
        (lambda: audit_labels(cache, top=0), "top"),
        (lambda: audit_labels(cache, logits=logits[:5]), "logits: expected shape"),
    ):
        with pytest.raises(InputError, match=match):
            call()
