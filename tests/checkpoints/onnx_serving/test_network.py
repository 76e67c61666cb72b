"""The program that runs an ONNX file: what it prints, and files that are no network of ``mlgcn export``."""

import subprocess
import sys

import onnx
import pytest

from tests.checkpoints.onnx_serving.conftest import NAMES, start
from tests.checkpoints.onnx_serving.photographs import colours, saved


def program(folder, *words):
    """Runs the program; returns the exit code, stdout and stderr."""
    words = [sys.executable, folder / "onnx_network.py", *words]
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=100, encoding="utf-8",
                          env={"PYTHONPATH": str(folder / "without"), "PYTHONUTF8": "1", "PATH": ""})  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_the_program_prints_the_most_probable_labels(folder, exported, tmp_path):
    (tmp_path / "photo.png").write_bytes(saved(colours(), "PNG"))
    code, output, errors = program(folder, exported.path, tmp_path / "photo.png")
    expected = exported.predictor.predict(colours(), threshold=0)[0].labels
    assert (code, errors) == (0, "") and output == "".join(f"{name}: {p:.3f}\n" for name, p in expected)
    assert {name for name, _ in expected} == set(NAMES)


def test_a_file_that_is_no_image_ends_the_program_with_one_line(folder, exported, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    for name, reason in (("notes.txt", "no image of a known format"), ("absent.png", "No such file")):
        code, output, errors = program(folder, exported.path, tmp_path / name)
        assert (code, output) == (1, "") and errors.count("\n") == 1
        assert errors.startswith(f"expected an image, found '{tmp_path / name}' (") and reason in errors


def foreign(path):
    """An ONNX file without metadata."""
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", [value],
                                   [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])])  # fmt: skip
    onnx.save(onnx.helper.make_model(graph, ir_version=9, opset_imports=[onnx.helper.make_opsetid("", 17)]), path)


@pytest.mark.parametrize("kind", ["absent", "empty", "text", "cut", "foreign", "folder"])
def test_a_file_that_is_no_exported_network_ends_the_server_with_one_line(folder, exported, tmp_path, kind):
    path = tmp_path / "m.onnx"
    content = exported.path.read_bytes()
    make = {
        "empty": lambda: path.write_bytes(b""),
        "text": lambda: path.write_text("no model"),
        "cut": lambda: path.write_bytes(content[: len(content) // 2]),
        "foreign": lambda: foreign(path),
        "folder": path.mkdir,
        "absent": lambda: None,
    }
    make[kind]()
    process = start(folder, path)
    errors = process.communicate(timeout=100)[1]
    assert process.returncode == 1 and errors.count("\n") == 1
    assert errors.startswith(f"expected an ONNX file that mlgcn export wrote, found '{path}' (")


def test_metadata_of_another_network_end_the_server_with_one_line(folder, exported, tmp_path):
    model = onnx.load(exported.path)
    wrong = {"label_names": '["sea", "boat"]', "thresholds": "[0.5]", "mean": "[0.5", "std": "[0, 0, 0]",
             "image_size": "[100000, 100000]"}  # fmt: skip
    for name, value in wrong.items():
        other = onnx.ModelProto.FromString(model.SerializeToString())
        other.metadata_props.add(key=name, value=value)
        onnx.save(other, tmp_path / "m.onnx")
        process = start(folder, tmp_path / "m.onnx")
        errors = process.communicate(timeout=100)[1]
        assert process.returncode == 1 and errors.count("\n") == 1 and "that mlgcn export wrote, found" in errors, (
            name,
            errors,
        )


@pytest.mark.parametrize("words", [(), ("--help",), ("m.onnx", "many"), ("m.onnx", "65536")])
def test_wrong_arguments_show_the_usage(folder, words):
    process = start(folder, *words)
    said = process.communicate(timeout=100)[1]
    assert "python onnx_server.py model.onnx [port]" in said and process.returncode == 1
    assert f"expected a model and a port from 0 to 65535, found {' '.join(words) or 'neither'}" in said
    assert program(folder, *words[:1])[0] == 1
