"""Functions for all benchmarks: timing, floors measured on the same machine, results as CSV.

The results of all contenders must agree. The contenders are then warmed up and timed in rounds, so that other load on
the machine affects all of them equally. Medians are reported. "Out of memory" and "not supported" are recorded as
results.
"""

import argparse
import csv
import datetime
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


def options(doc: str) -> argparse.ArgumentParser:
    """Returns a parser of the options that all benchmarks share; ``doc`` is the script's docstring."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="measure small cases, within a minute")
    parser.add_argument("--out", default=None, help="CSV file to append to")
    return parser


class Unsupported(Exception):
    """Raised by a contender that does not support a cell."""


def device_name(device: str) -> str:
    """Returns the GPU's name, or the processor's name and the number of threads."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name()
    model = platform.processor() or platform.machine()
    try:
        info = Path("/proc/cpuinfo").read_text()
        model = re.search(r"model name\s*:\s*(.+)", info).group(1).strip()
    except (OSError, AttributeError):
        pass
    return f"{model} {torch.get_num_threads()} threads"


def limit_memory(share: float = 0.8) -> None:
    """Limits memory to ``share`` of the machine's, so that larger allocations raise instead of killing the process."""
    total = int(re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text()).group(1)) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (int(total * share), resource.RLIM_INFINITY))


def attempt(run: Callable) -> tuple[object, str]:
    """Returns (result, status) of one call."""
    try:
        return run(), "ok"
    except Unsupported:
        return None, "unsupported"
    except (torch.OutOfMemoryError, MemoryError):
        return None, "out of memory"
    except RuntimeError as error:
        text = str(error).lower()
        if "memory" in text or "alloc" in text:
            return None, "out of memory"
        if "not implemented" in text or "not supported" in text or "unsupported" in text or "only support" in text:
            return None, "unsupported"
        raise
    except NotImplementedError:
        return None, "unsupported"


def synchronized(run: Callable, device: str) -> float:
    """Returns the seconds of one call, with the device idle before and after."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start


def interleave(
    contenders: dict[str, Callable], device: str = "cpu", budget: float = 1.0, max_rounds: int = 200
) -> tuple[dict[str, float], dict[str, str]]:
    """Returns the median seconds and the status of every contender, from at least three rounds.

    Rounds continue for ``budget`` seconds. A contender more than ten times slower than the fastest is timed in one
    round only.
    """
    status, first = {}, {}
    for name, run in contenders.items():
        _, status[name] = attempt(run)
        if status[name] == "ok":
            first[name] = synchronized(run, device)
    times = {name: [] for name in first}
    start, rounds, order = time.perf_counter(), 0, random.Random(0)
    while rounds < 3 or (time.perf_counter() - start < budget and rounds < max_rounds):
        for name in order.sample(list(times), len(times)):  # a random order avoids effects of the previous contender
            if rounds < 1 or first[name] <= 10 * min(first.values()):
                times[name].append(synchronized(contenders[name], device))
        rounds += 1
    return {name: statistics.median(values) for name, values in times.items()}, status


def agree(results: dict[str, list[torch.Tensor]], rtol: float, reference: str) -> None:
    """Exits unless all tensors equal those of the reference, up to ``rtol`` times the reference's largest value."""
    for name, tensors in results.items():
        for k, (a, b) in enumerate(zip(tensors, results[reference], strict=True)):
            scale = float(b.abs().max()) if b.numel() else 1.0
            worst = float((a.double() - b.double()).abs().max()) if b.numel() else 0.0
            if not worst <= rtol * max(scale, 1e-30):
                raise SystemExit(f"{name} disagrees with {reference} in tensor {k}: {worst:g} of {scale:g}")


def copy_bandwidth(device: str, megabytes: int = 256) -> float:
    """Returns the bytes per second, read and written, of the best of ten large copies into allocated memory."""
    source = torch.ones(megabytes * 2**18, device=device)
    target = torch.empty_like(source)
    best = min(synchronized(lambda: target.copy_(source), device) for _ in range(10))
    return 2 * source.numel() * 4 / best


def matmul_rate(device: str, size: int = 2048, dtype: torch.dtype = torch.float32) -> float:
    """Returns the multiply-adds per second of the best of five square matrix products."""
    a = torch.randn(size, size, device=device).to(dtype)
    best = min(synchronized(lambda: a @ a, device) for _ in range(5))
    return size**3 / best


def results_file(script: str, device: str, quick: bool) -> Path:
    """Returns ``results/<script>-<device>-torch<version>.csv``, with ``-quick`` in its name if ``quick``."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", device_name(device)).strip("-")
    version = torch.__version__.split("+")[0]
    return RESULTS / f"{script}-{name}-torch{version}{'-quick' if quick else ''}.csv"


def append(path: Path, rows: list[dict]) -> None:
    """Appends rows with the current time to a CSV file. The columns of a new file are those of the first row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now().isoformat(timespec="seconds")
    rows = [{"when": now} | row for row in rows]
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        if new:
            writer.writeheader()
        writer.writerows(rows)


def read(path: Path) -> list[dict]:
    """Returns all rows of a CSV file, of this run and of earlier runs."""
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def peak_memory() -> int:
    """Returns the peak memory of this process in bytes since its start, or since :func:`forget_peak`."""
    return _status("VmHWM")


def resident_memory() -> int:
    """Returns the resident memory of this process in bytes."""
    return _status("VmRSS")


def forget_peak() -> None:
    """Resets :func:`peak_memory` (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(field: str) -> int:
    return int(re.search(rf"{field}:\s*(\d+)", Path("/proc/self/status").read_text()).group(1)) * 1024
