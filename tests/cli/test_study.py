"""``mlgcn study``: its files, its verdict, what it omits, and wrong input."""

import csv
import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mlgcn_pyg.cli.main import app
from mlgcn_pyg.cli.study import PRESETS
from mlgcn_pyg.experiments.study import ALL
from mlgcn_pyg.experiments.study import PRESETS as LIBRARY_PRESETS
from mlgcn_pyg.features import FeatureCache

NAMES = ["a", "b", "c", "d"]


def run(*words, code=0):
    result = CliRunner().invoke(app, ["study", *(str(word) for word in words)])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setattr("mlgcn_pyg.experiments.study.building.WIDTH", 8)
    monkeypatch.setattr("mlgcn_pyg.training.heads.recipe.STEPS", 6)
    monkeypatch.setattr("mlgcn_pyg.training.heads.recipe.EPOCHS", 2)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    for seed, (name, count) in enumerate({"train": 60, "val": 30, "test": 40, "all": 120}.items()):
        generator = np.random.default_rng(seed)
        features = generator.normal(size=(count, 10)).astype(np.float32)
        targets = features[:, :4] + 0.5 * generator.normal(size=(count, 4)) > 0.4
        targets[0] = True  # a pair of labels that occur together
        ids = [f"{name}{k}" for k in range(count)]
        FeatureCache.from_arrays(folder / f"{name}.h5", features, targets.astype(np.int8), NAMES, ids=ids)
    return folder


def parts(made):
    return "--train", made / "train.h5", "--val", made / "val.h5", "--test", made / "test.h5"


def common(out):
    return "--workers", 1, "--replicates", 50, "--device", "cpu", "--out", out


def test_a_quick_study_of_one_file_writes_all_results_and_is_read_again(made, tmp_path):
    words = ("--features", made / "all.h5", "--splits", 2, *common(tmp_path))
    printed = run(*words)
    content = json.loads((tmp_path / "study.json").read_text())
    assert content["verdict"][0] in printed and content["setup"]["shared_test"] is False
    assert {one["contender"] for one in content["contenders"]} >= {"linear", "mlgcn", "sharing", "mlgcn shuffled"}
    pairs = {(one["a"], one["b"]) for one in content["comparisons"] if one["primary"]}
    assert ("mlgcn", "linear") in pairs and len(pairs) == 5
    with open(tmp_path / "runs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * (4 + 2 * 10) == len(list((tmp_path / "runs").glob("*.npz")))
    page = (tmp_path / "study.md").read_text()
    assert content["verdict"][0] in page and "controls.png" in page and (tmp_path / "controls.png").stat().st_size > 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.suffix in (".json", ".csv", ".md")}
    assert "Trained in" not in run(*words)
    assert before == {path: path.read_bytes() for path in before}


def test_json_is_the_file(made, tmp_path):
    words = ("--features", made / "all.h5", "--splits", 2, "--contender", "linear", "--contender", "mlgcn p=0")
    result = CliRunner()
    found = result.invoke(app, ["study", *map(str, (*words, *common(tmp_path), "--json"))])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout) == json.loads((tmp_path / "study.json").read_text())


def test_curves_and_sweeps_are_drawn(made, tmp_path):
    words = (
        *parts(made),
        "--splits",
        2,
        "--preset",
        "table3",
        "--contender",
        "mlgcn tau=0",
        "--contender",
        "mlgcn p=1",
    )
    run(*words, *common(tmp_path))
    assert {path.stem for path in tmp_path.glob("*.png")} >= {"depth", "fig5", "fig6"}
    assert "Table 3" in (tmp_path / "study.md").read_text()


def test_contenders_without_their_features_or_embeddings_are_named(made, tmp_path):
    printed = run(*parts(made), "--splits", 2, "--preset", "table1", *common(tmp_path))
    assert "Omitted: linear average, since no features with average pooling are given." in printed
    content = json.loads((tmp_path / "study.json").read_text())
    assert list(content["omitted"]) == ["linear average"]


def test_average_pooling_is_a_contender(made, tmp_path):
    words = ("--features", made / "all.h5", "--average", made / "all.h5", "--contender", "linear average")
    run(*words, "--splits", 2, *common(tmp_path))
    assert "linear average" in (tmp_path / "study.csv").read_text()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "--features: expected a feature file to divide, or files to train and to report on, found neither"),
        (("--contender", "resnet"), "--contender: expected names of linear, linear average, mlgcn,"),
        (("--preset", "fig9"), "--preset: expected one of quick, table1,"),
        (("--images", 500), "--images: expected at most"),
        (("--splits", 0), "--splits: expected"),
        (("--effect", 0), "--effect: expected a number"),
        (("--unknown", 1.5), "--unknown: expected a number"),
        (("--workers", 0), "--workers: expected"),
        (("--replicates", 0), "--replicates: expected"),
    ],
)
def test_wrong_input_is_one_line(made, tmp_path, words, text):
    data = ("--features", made / "all.h5") if words else ()
    printed = run(*data, *common(tmp_path), *words, code=2)
    assert text in printed and printed.startswith("mlgcn: error:")


def test_an_error_is_json_with_json(made, tmp_path):
    words = ("--features", made / "all.h5", "--contender", "resnet", "--json", *common(tmp_path))
    found = CliRunner().invoke(app, ["study", *map(str, words)])
    assert found.exit_code == 2 and "--contender" in json.loads(found.stdout)["error"]


def test_the_presets_are_those_of_the_library():
    assert (*LIBRARY_PRESETS, ALL) == PRESETS


def test_one_file_and_parts_exclude_each_other(made, tmp_path):
    printed = run("--features", made / "all.h5", *parts(made), *common(tmp_path), code=2)
    assert "--features: expected no other feature files, since it is divided, found train, val, test" in printed


def test_other_data_in_the_folder_is_refused_unless_overwritten(made, tmp_path):
    words = ("--splits", 2, "--contender", "linear", *common(tmp_path))
    run("--features", made / "all.h5", *words)
    printed = run(*parts(made), *words, code=2)
    assert "--out: expected a folder of a study of the same data and settings" in printed
    run(*parts(made), *words, "--overwrite")
    assert json.loads((tmp_path / "study.json").read_text())["setup"]["shared_test"] is True


def test_a_label_without_positives_among_the_test_images_is_named(tmp_path):
    features = torch.randn(40, 10, generator=torch.Generator().manual_seed(0))
    targets = (features[:, :4] > 0).to(torch.int8)
    targets[:, 3] = 0
    targets[0, 3] = 1  # of one image only, which is a training image of each split
    FeatureCache.from_arrays(tmp_path / "f.h5", features, targets, NAMES)
    run("--features", tmp_path / "f.h5", "--splits", 2, "--contender", "linear", *common(tmp_path / "out"))
    content = json.loads((tmp_path / "out" / "study.json").read_text())
    assert content["verdicts"][0]["undefined"] == {"d": 2}


def test_errors_name_the_options_of_the_data(made, tmp_path):
    printed = run("--train", made / "train.h5", *common(tmp_path), code=2)
    assert (
        "--features: expected a feature file to divide, or files to train and to report on, found train only" in printed
    )
    averages = ("--average", made / "all.h5", "--average", made / "all.h5")
    printed = run("--features", made / "all.h5", *averages, *common(tmp_path), code=2)
    assert "--average: expected one file for each of features, found 2 files" in printed
    FeatureCache.from_arrays(tmp_path / "one.h5", torch.ones(1, 3), torch.ones(1, 4), NAMES)
    printed = run("--features", tmp_path / "one.h5", *common(tmp_path), code=2)
    assert "--features: expected at least 4 images" in printed
    np.save(tmp_path / "zeros.npy", np.zeros((4, 7), np.float32))
    printed = run("--features", made / "all.h5", "--embeddings", tmp_path / "zeros.npy", *common(tmp_path), code=2)
    assert "--embeddings: expected an embedding other than 0" in printed


def test_few_test_images_are_no_evidence_and_splits_without_labels_are_left_out(tmp_path):
    features = torch.randn(10, 6, generator=torch.Generator().manual_seed(0))
    targets = torch.zeros(10, 4, dtype=torch.int8)
    targets[:4] = 1  # one of four images with labels tests in some of the splits
    FeatureCache.from_arrays(tmp_path / "f.h5", features, targets, NAMES)
    words = ("--splits", 4, "--contender", "linear", "--contender", "sharing")
    printed = run("--features", tmp_path / "f.h5", *words, *common(tmp_path / "out"))
    assert "cannot be told with this data" in printed and "a test over images requires 20 of them" in printed


def test_several_embeddings_and_numbers_of_images_are_compared_in_one_study(made, tmp_path):
    for k, name in enumerate(("one", "two")):
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(k).normal(size=(4, 5)).astype(np.float32))
    words = (*parts(made), "--embeddings", tmp_path / "one.npy", "--splits", 2, *common(tmp_path / "out"))
    sizes = ("--images", 20, "--images", 40)
    printed = run(*words, "--embeddings", tmp_path / "two.npy", *sizes, "--preset", "fig4")
    assert "Differences in mAP by label embeddings, 20 images" in printed and "mlgcn embeddings=two − mlgcn" in printed
    content = json.loads((tmp_path / "out" / "study.json").read_text())
    found = {(one["contender"], one["num_images"]) for one in content["contenders"]}
    names = {"linear", "mlgcn", "mlgcn one-hot", "mlgcn random embeddings", "mlgcn embeddings=two"}
    assert found == {(name, size) for name in names for size in (20, 40)}
    assert content["setup"]["embeddings"] == ["one", "two"]
    page = (tmp_path / "out" / "study.md").read_text()
    assert "mlgcn embeddings=two − mlgcn" in page and "fig4.png" in page and '["one", "two"]' in page
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "one.npy").write_bytes((tmp_path / "two.npy").read_bytes())
    printed = run(*words, "--embeddings", tmp_path / "more" / "one.npy", code=2)
    assert "--embeddings: expected files and encoders with different names, found 'one' twice" in printed
    printed = run(*words, "--images", 20, "--images", 61, code=2)
    assert "--images: expected at most 60, the training images, found 61" in printed
