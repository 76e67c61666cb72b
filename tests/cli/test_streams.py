"""Programs that are ended from outside: signals, and standard output that is closed, full or not read."""

import os
import signal
import subprocess
import sys
import time

import pytest

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.checkpoints import save_head
from mlgcn_pyg.nn import LinearHead

PROGRAM = [sys.executable, "-m", "mlgcn_pyg"]


def shell(command, *words):
    return subprocess.run(
        ["bash", "-c", command, "bash", *map(str, [*PROGRAM, *words])], capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams")
    (folder / "t.csv").write_text("image,labels\na.png,cat;dog\n")
    LabelGraph.from_targets([[1, 1]]).save(folder / "g.pt")
    return ("--dataset", "table", "--root", folder, "--labels", folder / "t.csv")


def test_closed_standard_output_is_one_line_where_it_is_the_result(table, tmp_path):
    photo = tmp_path / "a.png"
    photo.touch()
    for words in (("predict", photo, "--checkpoint", photo), ("data", "inspect", *table, "--json")):
        done = shell('"$@" >&-', *words)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert "expected an open standard output, found a closed one" in done.stderr


def test_closed_streams_do_not_matter_where_results_are_files(table, tmp_path):
    done = shell('"$@" >&- 2>&- <&-', "graph", *table, "--out", tmp_path / "g.pt")
    assert done.returncode == 0 and LabelGraph.load(tmp_path / "g.pt").num_labels == 2
    assert os.listdir(tmp_path) == ["g.pt"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_standard_output_is_one_line():
    for words in (("--version",), ("graph", "--help")):
        done = shell('"$@" >/dev/full', *words)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and "No space left" in done.stderr


def test_a_reader_that_is_gone_is_no_error():
    done = shell('"$@" | true; echo ${PIPESTATUS[0]}', "train", "--help")
    assert done.stderr == "" and done.stdout.strip() in ("0", "1")


def test_ctrl_c_while_the_command_line_is_loading_is_one_line():
    """Wherever it arrives, and also where Python ignores exceptions."""
    for delay in (0.06, 0.15, 0.3, 0.5):
        process = subprocess.Popen([*PROGRAM, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate()
        if process.returncode == -signal.SIGINT or "site" in told:
            continue  # Python itself had not started
        assert process.returncode in (0, 130) and told in ("", "mlgcn: interrupted\n"), told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_within_an_atomic_write_leaves_no_file(tmp_path, number):
    save_head(tmp_path / "h.pt", LinearHead(2, 4))
    script = f"""
import os, signal, sys
if {int(number)} != signal.SIGINT:
    signal.signal({int(number)}, signal.SIG_DFL)  # programs that nohup starts ignore SIGHUP
from mlgcn_pyg.checkpoints import linear_file
from mlgcn_pyg.cli.main import app
real = linear_file.load_linear
def interrupted(path):
    assert path.name.endswith(".partial") and path.is_file()
    os.kill(os.getpid(), {int(number)})
    return real(path)
linear_file.load_linear = interrupted
app()
"""
    words = ["export", "--checkpoint", tmp_path / "h.pt", "--out", tmp_path / "x.safetensors"]
    done = subprocess.run([sys.executable, "-c", script, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 128 + number and "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == ["h.pt"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_where_python_ignores_exceptions_ends_the_program_silently(number):
    script = f"""
import signal, time
from mlgcn_pyg.cli.streams import exit_code, obey_signals
class Finalized:
    def __del__(self):
        signal.raise_signal({int(number)})
obey_signals()
try:
    Finalized()
    time.sleep(60)
except (KeyboardInterrupt, SystemExit) as stop:
    raise SystemExit(exit_code(stop))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50)
    assert done.returncode == 128 + number and done.stderr == ""
