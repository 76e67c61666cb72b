"""Functions for all benchmarks: timing, floors measured on the same machine, results as CSV.

The results of all contenders must agree. The contenders are then warmed up and timed in rounds, so that other load on
the machine affects all of them equally. Medians are reported. "Out of memory" and "not supported" are recorded as
results. On a GPU one measurement spans many calls between two CUDA events, without synchronisation between the calls.
"""

import argparse
import csv
import datetime
import math
import platform
import random
import re
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

RESULTS = Path(__file__).parent / "results"
SHORTEST, MOST_CALLS = 0.02, 2000  # seconds of one measurement on a GPU, and the calls that it may take


def options(doc: str) -> argparse.ArgumentParser:
    """Returns a parser of the options that all benchmarks share; ``doc`` is the script's docstring."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="measure small cases, within a minute")
    parser.add_argument("--out", default=None, help="CSV file to append to")
    return parser


class Unsupported(Exception):
    """Raised by a contender that does not support a cell."""


def on_gpu(device: str) -> bool:
    return device.startswith("cuda")


def device_name(device: str) -> str:
    """Returns the GPU's name, or the processor's name and the number of threads."""
    if on_gpu(device):
        return torch.cuda.get_device_name(torch.device(device))
    model = platform.processor() or platform.machine()
    try:
        info = Path("/proc/cpuinfo").read_text()
        model = re.search(r"model name\s*:\s*(.+)", info).group(1).strip()
    except (OSError, AttributeError):
        pass
    return f"{model} {torch.get_num_threads()} threads"


def limit_memory(device: str = "cpu", share: float = 0.8) -> None:
    """Limits memory to ``share`` of the machine's, so that larger allocations raise instead of killing the process.

    There is no limit for CUDA, which reserves far more addresses than the machine has memory.
    """
    if on_gpu(device):
        return
    total = int(re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text()).group(1)) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (int(total * share), resource.RLIM_INFINITY))


def attempt(run: Callable) -> tuple[object, str]:
    """Returns (result, status) of one call. Errors other than a lack of memory or of support are raised."""
    try:
        return run(), "ok"
    except (Unsupported, NotImplementedError):
        return None, "unsupported"
    except (torch.OutOfMemoryError, MemoryError):
        return None, "out of memory"
    except RuntimeError as error:
        text = str(error).lower()
        # torch's CPU allocator has no error class; "illegal memory access" on a GPU is a bug, not a lack of memory
        if "can't allocate memory" in text or "defaultcpuallocator" in text:
            return None, "out of memory"
        refusals = ("not implemented", "not supported", "not compiled with", "unsupported", "only support")
        if any(refusal in text for refusal in refusals):
            return None, "unsupported"
        raise


def synchronized(run: Callable, device: str) -> float:
    """Returns the seconds of one call by the host's clock, with the device idle before and after."""
    if on_gpu(device):
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if on_gpu(device):
        torch.cuda.synchronize()
    return time.perf_counter() - start


def per_call(run: Callable, device: str, calls: int = 1) -> float:
    """Returns the mean seconds of consecutive calls, on a GPU between two CUDA events."""

    def repeat() -> None:
        for _ in range(calls):
            run()

    if not on_gpu(device):
        return synchronized(repeat, device) / calls
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    repeat()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3 / calls


def calls_needed(run: Callable, device: str) -> int:
    """Returns the number of calls that one measurement takes: 1 on a CPU, on a GPU enough for 20 ms."""
    if not on_gpu(device):
        return 1
    once = per_call(run, device)
    if once < SHORTEST / 10:  # a single short call is mostly its launch
        once = per_call(run, device, 10)
    return max(1, min(MOST_CALLS, math.ceil(SHORTEST / once)))


def interleave(
    contenders: dict[str, Callable], device: str = "cpu", budget: float = 1.0, max_rounds: int = 200
) -> tuple[dict[str, float], dict[str, str]]:
    """Returns the median seconds of a call and the status of every contender, from at least three rounds.

    Rounds continue for ``budget`` seconds. A contender more than ten times slower than the fastest is timed in one
    round only.
    """
    status, first, calls = {}, {}, {}
    for name, run in contenders.items():
        _, status[name] = attempt(run)
        if status[name] == "ok":
            calls[name] = calls_needed(run, device)
            first[name] = per_call(run, device, calls[name])
    times = {name: [] for name in first}
    start, rounds, order = time.perf_counter(), 0, random.Random(0)
    while rounds < 3 or (time.perf_counter() - start < budget and rounds < max_rounds):
        for name in order.sample(list(times), len(times)):  # a random order avoids effects of the previous contender
            if rounds < 1 or first[name] <= 10 * min(first.values()):
                times[name].append(per_call(contenders[name], device, calls[name]))
        rounds += 1
    return {name: statistics.median(values) for name, values in times.items()}, status


class Captured:
    """A step in a CUDA graph. A call replays it; making it takes ``WARM_UPS`` steps.

    Args:
        step: a call without synchronisation, on tensors that stay in place.
    """

    WARM_UPS = 3

    def __init__(self, step: Callable):
        self.step = step  # the graph refers to the memory of the step's tensors
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(self.WARM_UPS):
                step()
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            step()

    def __call__(self) -> None:
        self.graph.replay()


def agree(results: dict[str, list[torch.Tensor]], rtol: float, reference: str) -> None:
    """Exits unless all tensors equal those of the reference, up to ``rtol`` times the reference's largest value."""
    for name, tensors in results.items():
        for k, (a, b) in enumerate(zip(tensors, results[reference], strict=True)):
            scale = float(b.abs().max()) if b.numel() else 1.0
            worst = float((a.double() - b.double()).abs().max()) if b.numel() else 0.0
            if not worst <= rtol * max(scale, 1e-30):
                raise SystemExit(f"{name} disagrees with {reference} in tensor {k}: {worst:g} of {scale:g}")


def copy_bandwidth(device: str, megabytes: int | None = None) -> float:
    """Returns the bytes per second, read and written, of the best of ten large copies into allocated memory.

    The default is 256 MiB on a CPU, and 2 GiB on a GPU, which exceeds its cache.
    """
    megabytes = megabytes or (2048 if on_gpu(device) else 256)
    source = torch.ones(megabytes * 2**18, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / best_of(10, lambda: target.copy_(source), device)


def matmul_rate(device: str, size: int | None = None, dtype: torch.dtype = torch.float32) -> float:
    """Returns the multiply-adds per second of the best of five square matrix products, of size 8192 on a GPU.

    Products of float32 numbers do not use TF32, unless torch was told to use it.
    """
    size = size or (8192 if on_gpu(device) else 2048)
    a = torch.randn(size, size, device=device).to(dtype)
    return size**3 / best_of(5, lambda: a @ a, device)


def best_of(times: int, run: Callable, device: str) -> float:
    """Returns the seconds of a call in the fastest of several measurements, after a warm-up."""
    run()
    calls = calls_needed(run, device)
    return min(per_call(run, device, calls) for _ in range(times))


def results_file(script: str, device: str, quick: bool) -> Path:
    """Returns ``results/<script>-<device>-torch<version>.csv``, with ``-quick`` in its name if ``quick``."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", device_name(device)).strip("-")
    version = torch.__version__.split("+")[0]
    return RESULTS / f"{script}-{name}-torch{version}{'-quick' if quick else ''}.csv"


def append(path: Path, rows: list[dict]) -> None:
    """Appends rows with the current time to a CSV file. Exits if the file has other columns than the first row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now().isoformat(timespec="seconds")
    rows = [{"when": now} | row for row in rows]
    new = not path.exists()
    if not new and next(csv.reader(path.open(encoding="utf-8"))) != list(rows[0]):
        raise SystemExit(f"{path} has other columns; --out names another file")
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        if new:
            writer.writeheader()
        writer.writerows(rows)


def report(path: Path, rows: list[dict]) -> None:
    """Prints the values of rows, without empty ones, and appends the rows to a CSV file."""
    for row in rows:
        print(", ".join(f"{column} {value}" for column, value in row.items() if value != ""), flush=True)
    append(path, rows)


def read(path: Path) -> list[dict]:
    """Returns all rows of a CSV file, of this run and of earlier runs."""
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def peak_memory(device: str = "cpu") -> int:
    """Returns the peak memory of this process in bytes since its start, or since :func:`forget_peak`.

    On a GPU it is the peak of torch's tensors, ``torch.cuda.max_memory_allocated``.
    """
    return torch.cuda.max_memory_allocated(device) if on_gpu(device) else _status("VmHWM")


def resident_memory(device: str = "cpu") -> int:
    """Returns the resident memory of this process in bytes, or that of torch's tensors on a GPU."""
    return torch.cuda.memory_allocated(device) if on_gpu(device) else _status("VmRSS")


def forget_peak(device: str = "cpu") -> None:
    """Resets :func:`peak_memory` (Linux)."""
    if on_gpu(device):
        torch.cuda.reset_peak_memory_stats(device)
    else:
        Path("/proc/self/clear_refs").write_text("5")


def _status(field: str) -> int:
    return int(re.search(rf"{field}:\s*(\d+)", Path("/proc/self/status").read_text()).group(1)) * 1024
