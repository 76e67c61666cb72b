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
