"""Worker processes: what they cannot send ends the run, and their warnings are shown once."""

import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from mlgcn_pyg.errors import InputError, InputWarning
from mlgcn_pyg.loading import load_batches


class Items(torch.utils.data.Dataset):
    """Items that a function makes of their numbers."""

    def __init__(self, make, length=6):
        self.make, self.length = make, length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return self.make(index)


LONG = """
import sys, torch
from mlgcn_pyg.loading import load_batches
from tests.test_loading import Items

items = Items(lambda k: (torch.full((9,), k), str(k)))
print(sum(int(x.sum()) for x, _ in load_batches(items, batch_size=4, num_workers=2)))
"""


def test_a_long_path_of_the_folder_for_temporary_files_does_not_matter(tmp_path):
    """Shared memory is announced through a socket in that folder, whose path may have 107 characters."""
    folder = tmp_path / ("a" * 60) / ("b" * 60)
    folder.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LONG],
        env=os.environ | {"TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[1],
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, str(9 * 15), "")


def test_batches_are_copied_where_shared_memory_cannot_be_sent(monkeypatch):
    def no_descriptor(*_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("multiprocessing.reduction.DupFd", no_descriptor)
    rows = list(load_batches(Items(lambda k: torch.full((3,), k), 200), batch_size=1, num_workers=1))
    assert torch.cat(rows).sum() == 3 * sum(range(200))


def test_what_cannot_be_sent_is_one_error():
    dataset = Items(lambda k: {"x": lambda: k})
    with pytest.raises(InputError, match="num_workers: expected batches that worker processes can send.*num_workers=0"):
        list(load_batches(dataset, num_workers=1))
    assert [item["x"]() for item in load_batches(dataset)] == list(range(6))


def _noisy(index):
    warnings.warn(f"image {index % 2} is odd", InputWarning, stacklevel=1)
    return index


@pytest.mark.parametrize("num_workers", [0, 2])
def test_warnings_of_workers_are_those_of_the_run(num_workers):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("once", InputWarning)
        for _ in range(3):  # epochs, each with workers of its own
            list(load_batches(Items(_noisy), batch_size=2, num_workers=num_workers))
    assert sorted(str(warning.message) for warning in caught) == ["image 0 is odd", "image 1 is odd"]


def test_tensors_of_any_kind_arrive_as_they_were():
    made = {
        "bfloat16": torch.arange(3, dtype=torch.bfloat16),
        "empty": torch.zeros(0, 5),
        "strided": torch.arange(12).reshape(3, 4).t(),
    }
    for item in load_batches(Items(lambda k: made, 2), num_workers=1):
        assert all(torch.equal(item[name], value) and item[name].dtype == value.dtype for name, value in made.items())


class Masks(torch.utils.data.Dataset):
    """Whether the process that loads an item blocks the signals that end a run."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        return torch.tensor({signal.SIGINT, signal.SIGTERM} <= blocked)


@pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="workers block signals on Linux only")
def test_a_worker_blocks_signals_before_and_after_it_has_sent_a_tensor():
    batches = load_batches(Masks(), num_workers=1, batch_size=1)
    assert torch.cat(list(batches)).tolist() == [True] * 6
