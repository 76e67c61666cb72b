"""Several processes of one run print one error."""

import os
import socket
import subprocess
import sys

import pytest

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.datasets import Scenes
from mlgcn_pyg.training import ModelConfig
from mlgcn_pyg.training.model.shares import shares
from tests.cli.test_train import words


def together(*words, ranks=(0, 1), others=None):
    """Runs a command in these of two processes, as launchers start them: exit codes, and all that was said.

    Process 1 receives the words ``others`` if they are given.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    given = (words, words if others is None else others)
    commands = [[sys.executable, "-m", "mlgcn_pyg", *map(str, given[k])] for k in range(2)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    running = [
        subprocess.Popen(commands[k], env=env | {"RANK": str(k), "LOCAL_RANK": str(k)}, **options) for k in ranks
    ]
    said = "".join(process.communicate(timeout=240)[0] for process in running)
    return [process.returncode for process in running], said


def errors(said):
    return [line for line in said.splitlines() if line.startswith("mlgcn: error:")]


def test_one_of_several_failing_processes_prints_the_error(tmp_path):
    codes, said = together("evaluate", "--checkpoint", tmp_path / "no.pt", "--cache", tmp_path / "no.h5")
    assert codes == [2, 2] and len(errors(said)) == 1 and "no.pt" in said
    codes, said = together("evaluate", "--chekpoint", "a.pt")
    assert codes == [2, 2] and len(errors(said)) == 1 and "No such option" in said


@pytest.mark.parametrize("rank", [0, 1])
def test_the_error_of_a_single_process_is_printed(tmp_path, rank):
    codes, said = together("evaluate", "--checkpoint", tmp_path, "--cache", tmp_path / "no.h5", ranks=[rank])
    assert codes == [2] and len(errors(said)) == 1


def test_the_processes_of_one_that_cannot_go_on_end_without_a_traceback(tmp_path):
    data = Scenes(tmp_path, 9, split="train")
    Scenes(tmp_path, 2, split="test")
    # the first process decodes other images, and waits for the second one's gradients
    path = data.image_paths[shares(9, ModelConfig(batch_size=8), 1, rank=1, size=2)[0][0].items[0]]
    path.write_bytes(path.read_bytes()[:300])
    codes, said = together(*words(tmp_path, tmp_path / "run"))
    assert codes == [2, 2] and "Traceback" not in said, said
    assert len(errors(said)) == 1 and f"an image that can be decoded, found {path}" in said


def graph_words(root, out, rows=("a.jpg,sea;boat", "b.jpg,sea", "c.jpg,boat")):
    """Words of ``mlgcn graph`` on a table with these rows."""
    root.mkdir(exist_ok=True)
    (root / "labels.csv").write_text("\n".join(["image,labels", *rows]) + "\n")
    for row in rows:
        (root / row.split(",")[0]).touch()
    return ["graph", "--dataset", "table", "--labels", root / "labels.csv", "--root", root, "--out", out]


def counted(path):
    graph = LabelGraph.load(path)
    return graph.label_names, graph.label_counts.tolist(), graph.edge_index.tolist(), graph.edge_prob.tolist()


@pytest.mark.parametrize("rows", [("a.jpg,sea;boat", "b.jpg,sea", "c.jpg,boat"), ("a.jpg,sea;boat",)])
def test_two_processes_build_the_same_graph_as_one(tmp_path, rows):
    """Also with one image, of which one process has none."""
    alone = subprocess.run(
        [sys.executable, "-m", "mlgcn_pyg", *map(str, graph_words(tmp_path / "set", tmp_path / "one.pt", rows))]
    )
    codes, said = together(*graph_words(tmp_path / "set", tmp_path / "two.pt", rows))
    assert alone.returncode == 0 and codes == [0, 0], said
    assert said.count(f"Wrote {tmp_path / 'two.pt'}") == 1 and said.count(f"{len(rows)} images") == 1
    assert counted(tmp_path / "one.pt") == counted(tmp_path / "two.pt")


@pytest.mark.parametrize(
    "rows, message",
    [
        (("a.jpg,sea;boat", "b.jpg,sky", "c.jpg,boat"), "other labels in process 1"),
        (("a.jpg,sea;boat", "b.jpg,sea"), "3 images, and 2 in process 1"),
    ],
)
def test_processes_with_other_annotations_build_no_graph(tmp_path, rows, message):
    words = graph_words(tmp_path / "set", tmp_path / "graph.pt")
    codes, said = together(*words, others=graph_words(tmp_path / "other", tmp_path / "graph.pt", rows))
    assert codes == [2, 2] and len(errors(said)) == 1 and message in said, said
    assert not (tmp_path / "graph.pt").exists()


def test_annotations_that_one_process_cannot_read_are_an_error_in_both(tmp_path):
    words = graph_words(tmp_path / "set", tmp_path / "graph.pt")
    others = graph_words(tmp_path / "other", tmp_path / "graph.pt")
    (tmp_path / "other" / "labels.csv").write_text("photo,labels\na.jpg,sea\n")
    codes, said = together(*words, others=others)
    assert codes == [2, 2] and len(errors(said)) == 1 and "photo" in said and "Traceback" not in said, said
    assert not (tmp_path / "graph.pt").exists()
