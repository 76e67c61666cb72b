"""Freed memory is kept where glibc allocates, unless the user declines it."""

import ctypes
import os
import subprocess
import sys

import pytest

from mlgcn_pyg import allocator
from mlgcn_pyg.allocator import MMAP_THRESHOLD, TOP_PAD, TRIM_THRESHOLD, keep_freed_memory
from mlgcn_pyg.loading import load_batches
from tests.test_loading import Items

USES_GLIBC = allocator._glibc() is not None


class FakeLibrary:
    """A C library that records the options it is given, and refuses thresholds above ``largest``."""

    def __init__(self, largest=2**40):
        self.largest, self.options = largest, {}

    def mallopt(self, option, value):
        if value > self.largest:
            return 0
        self.options[option] = value
        return 1


@pytest.fixture
def library(monkeypatch):
    monkeypatch.delenv("MLGCN_KEEP_FREED_MEMORY", raising=False)
    library = FakeLibrary()
    monkeypatch.setattr(allocator, "_glibc", lambda: library)
    return library


def test_three_options_are_set(library):
    assert keep_freed_memory()
    assert library.options == {MMAP_THRESHOLD: 2**30, TRIM_THRESHOLD: -1, TOP_PAD: 2**26}


def test_earlier_versions_of_glibc_accept_32_mib(library):
    library.largest = 2**26
    assert keep_freed_memory() and library.options[MMAP_THRESHOLD] == 2**25


def test_the_environment_variable_declines(library, monkeypatch):
    monkeypatch.setenv("MLGCN_KEEP_FREED_MEMORY", "0")
    assert not keep_freed_memory() and not library.options


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_nothing_is_done_on_other_systems(monkeypatch, platform):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("a library was opened"))
    assert not keep_freed_memory()


def test_nothing_is_done_without_the_library_or_its_functions(monkeypatch):
    """As with musl, with and without its compatibility package."""

    def no_file(name):
        raise OSError(f"{name}: cannot open shared object file")

    for library in (no_file, lambda name: object()):
        monkeypatch.setattr(ctypes, "CDLL", library)
        assert not keep_freed_memory()


@pytest.mark.skipif(not USES_GLIBC, reason="requires glibc")
def test_nothing_is_done_if_a_different_allocator_is_preloaded(monkeypatch):
    addresses = iter([1, 2])  # of malloc in glibc and in the process
    monkeypatch.setattr(allocator, "_address", lambda library: next(addresses))
    assert not keep_freed_memory()


FAULTS = """
import resource, sys
from mlgcn_pyg.allocator import keep_freed_memory

assert keep_freed_memory() == (sys.argv[1] == "kept")
bytearray(1 << 26)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    bytearray(1 << 26)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(argument, value):
    """The page faults of ten large allocations that are freed at once."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, argument],
        env=environment | {"MLGCN_KEEP_FREED_MEMORY": value},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(not USES_GLIBC, reason="requires glibc")
def test_freed_memory_is_used_again_without_page_faults():
    assert faults("returned", "0") > 10 * (1 + faults("kept", "1"))


def test_the_program_keeps_freed_memory_before_its_command_runs(monkeypatch):
    from mlgcn_pyg import __main__

    order = []
    monkeypatch.setattr(allocator, "keep_freed_memory", lambda: order.append("kept"))
    monkeypatch.setattr("mlgcn_pyg.cli.main.app", lambda: order.append("command"))
    __main__.main()
    assert order == ["kept", "command"]


def test_worker_processes_keep_freed_memory(monkeypatch, tmp_path):
    monkeypatch.setattr("mlgcn_pyg.loading.keep_freed_memory", lambda: (tmp_path / f"{os.getpid()}").touch())
    assert len(list(load_batches(Items(lambda k: k), batch_size=2, num_workers=2))) == 3
    assert len(list(tmp_path.iterdir())) == 2 and not (tmp_path / f"{os.getpid()}").exists()
