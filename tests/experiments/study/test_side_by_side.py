"""Calls of a function in worker processes: their order, and how they end."""

import operator
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.experiments.study.side_by_side import side_by_side

SLEEP = """
import time
from mlgcn_pyg.experiments.study.side_by_side import side_by_side
list(side_by_side(time.sleep, [99] * 3, 2))
"""


def test_results_are_in_the_order_of_the_values():
    for workers in (1, 2):
        assert list(side_by_side(operator.neg, [3, 1, 2], workers)) == [-3, -1, -2]
    assert list(side_by_side(operator.neg, [], 2)) == []


def test_a_worker_that_ends_is_an_error_in_words():
    with pytest.raises(InputError, match="workers: expected processes.*; use fewer workers"):
        list(side_by_side(os._exit, [1, 1], 2))


@pytest.mark.parametrize("seconds", [0.0, 4.0])
def test_ctrl_c_ends_all_processes_at_once_and_only_the_first_says_so(seconds):
    process = subprocess.Popen([sys.executable, "-c", SLEEP], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(children := psutil.Process(process.pid).children()) < 3:  # two workers and the resource tracker
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    time.sleep(seconds)
    for one in [*children, process]:  # as a terminal does
        one.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, stderr = process.communicate(timeout=120)
    assert time.monotonic() - began < 20 and stderr.count("KeyboardInterrupt") == 1
    assert not psutil.wait_procs(children, timeout=20)[1]
