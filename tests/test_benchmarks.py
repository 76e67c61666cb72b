"""Every benchmark runs with --quick, proves that its contenders agree, and writes its table and its plot."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(path.stem for path in BENCHMARKS.glob("*.py") if path.stem != "harness")


def run(script, out):
    words = [sys.executable, str(BENCHMARKS / f"{script}.py"), "--quick", "--out", str(out)]
    return subprocess.run(words, capture_output=True, text=True)


@pytest.mark.parametrize("script", SCRIPTS)
def test_quick(script, tmp_path):
    out = tmp_path / "results.csv"
    done = run(script, out)
    assert done.returncode == 0, done.stdout + done.stderr
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert rows and {"ok"} <= {row["status"] for row in rows} <= {"ok", "unsupported", "out of memory", "skipped"}
    assert out.with_suffix(".png").stat().st_size > 5_000


def test_a_contender_that_disagrees_ends_the_benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import harness
    import torch

    good, bad = [torch.ones(3)], [torch.tensor([1.0, 1.0, 1.1])]
    harness.agree({"a": good, "b": good}, 1e-3, "a")
    for wrong in (bad, [torch.tensor([1.0, float("nan"), 1.0])]):
        with pytest.raises(SystemExit, match="b disagrees with a"):
            harness.agree({"a": good, "b": wrong}, 1e-3, "a")


def test_no_memory_and_no_support_are_results(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import harness
    import torch

    def no_memory():
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    def no_support():
        raise RuntimeError('"addmm" not implemented for BFloat16')

    def a_bug():
        raise RuntimeError("shapes differ")

    seconds, status = harness.interleave({"a": lambda: torch.ones(3), "b": no_memory, "c": no_support}, budget=0.01)
    assert status == {"a": "ok", "b": "out of memory", "c": "unsupported"} and set(seconds) == {"a"}
    with pytest.raises(RuntimeError, match="shapes differ"):
        harness.attempt(a_bug)


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: an illegal memory access was encountered",
        "CUDA error: misaligned address; allocation of a stream failed",
    ],
)
def test_a_bug_that_speaks_of_memory_is_not_a_lack_of_memory(monkeypatch, text):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import harness

    def illegal_access():
        raise RuntimeError(text)

    with pytest.raises(RuntimeError, match=text):
        harness.attempt(illegal_access)


@pytest.mark.parametrize("error, status", [
    ("OutOfMemoryError", "out of memory"), ("MemoryError", "out of memory"), ("NotImplementedError", "unsupported"),
])  # fmt: skip
def test_errors_with_a_class_of_their_own_need_no_text(monkeypatch, error, status):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import builtins

    import harness
    import torch

    def fail():
        raise (getattr(builtins, error, None) or getattr(torch, error))("full")

    assert harness.attempt(fail) == (None, status)


def test_no_limit_of_addresses_on_a_gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import harness

    limits = []
    monkeypatch.setattr(harness.resource, "setrlimit", lambda *limit: limits.append(limit))
    harness.limit_memory("cuda")
    assert not limits
    harness.limit_memory("cpu")
    assert len(limits) == 1


def test_the_floor_is_the_larger_of_arithmetic_and_weight_traffic(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from head_step import floor_seconds

    # C = 10, B = 2, D = 2048: 2·10·300·1024 + 2·2·1024·2048 + 3·2·10·1024 multiply-adds
    assert floor_seconds(10, 2, 2048, rate=1.0, bandwidth=1e12) == 6_144_000 + 8_388_608 + 61_440
    # (300 + 2048)·1024 weights and as many momenta, of 4 bytes, read and written
    assert floor_seconds(10, 2, 2048, rate=1e12, bandwidth=1.0) == 2 * 2 * 4 * 2_404_352


def test_results_are_not_appended_to_a_file_with_other_columns(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import harness

    path = tmp_path / "results.csv"
    harness.append(path, [{"a": 1}])
    harness.append(path, [{"a": 2}])
    with pytest.raises(SystemExit, match="other columns"):
        harness.append(path, [{"a": 3, "b": 4}])
    assert [row["a"] for row in harness.read(path)] == ["1", "2"]


@pytest.fixture
def unseen_labels(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import unseen_labels

    return unseen_labels


def test_each_label_is_left_out_once_per_pairing(unseen_labels):
    data, _ = unseen_labels.generated()
    pairings = [data.pairs(pairing) for pairing in (0, 1)]
    for pairs in pairings:
        assert len(pairs) == 6 and sorted(c for pair in pairs for c in pair) == list(range(12))
    assert pairings[0] != pairings[1] and pairings[0] == data.pairs(0)


def test_targets_of_unseen_labels_have_no_effect(unseen_labels):
    from dataclasses import replace

    import torch

    from mlgcn_pyg.nn import LinearHead
    from mlgcn_pyg.training import ExactConfig, HeadConfig, fit_head

    data, embeddings = unseen_labels.generated()
    targets = data.y.clone()
    targets[:, [3, 7]] = 1 - targets[:, [3, 7]]
    found = []
    for own in (data, replace(data, y=targets)):
        linear = LinearHead(12, 32, data.names)
        fit_head(linear, (own.x, own.y), config=ExactConfig(folds=1))
        split = unseen_labels.Split(own, [3, 7], embeddings["generated"])
        cases = unseen_labels.all_logits(linear, split, 0, HeadConfig(epochs=2))
        found.append({(head, way): logits for head, way, logits in cases})
    assert len(found[0]) == 13
    for case, logits in found[0].items():
        same = torch.allclose(logits[:, -2:], found[1][case][:, -2:], atol=1e-4)
        assert same == (case[0] != "supervised"), case


def test_metrics_and_combinations_of_unseen_labels(unseen_labels):
    import numpy as np
    import torch
    from sklearn.metrics import average_precision_score, roc_auc_score

    logits = torch.randn(50, 4).round(decimals=1)  # with ties
    target = (torch.rand(50) < 0.3).to(torch.int8)
    row = unseen_labels.quality(logits, 2, target)
    assert row["AUROC"] == pytest.approx(roc_auc_score(target, logits[:, 2]), abs=1e-4)
    assert row["AP"] == pytest.approx(average_precision_score(target, logits[:, 2]), abs=1e-4)
    ranks = [1 + sum(float(z) > float(image[2]) for z in image) for image in logits[target == 1]]
    assert row["rank"] == pytest.approx(np.mean(ranks), abs=0.01)

    data, embeddings = unseen_labels.generated()
    x = embeddings["generated"]
    split = unseen_labels.Split(data, [0, 1], x)
    found = unseen_labels.combinations(split)
    expected = np.linalg.lstsq(x[2:].T.double().numpy(), x[:2].T.double().numpy(), rcond=None)[0].T
    assert np.allclose(found["least squares"], expected, atol=1e-5)
    for name in ("nearest label", "average of labels"):
        assert torch.allclose(found[name].sum(1), torch.ones(2)) and (found[name] >= 0).all()
    centred = (x - x[2:].mean(0)).numpy()
    cosine = [[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in centred[2:]] for a in centred[:2]]
    assert found["nearest label"].argmax(1).tolist() == np.argmax(cosine, axis=1).tolist()


def test_unseen_labels_are_not_measured_twice(unseen_labels, monkeypatch, tmp_path):
    out = tmp_path / "results.csv"
    monkeypatch.setattr(sys, "argv", ["unseen_labels.py", "--quick", "--out", str(out)])
    unseen_labels.main()
    first = out.read_text()
    monkeypatch.setattr(unseen_labels, "train", None)  # a second measurement would fail
    unseen_labels.main()
    assert out.read_text() == first and len(first.splitlines()) == 1 + 2 * 13
