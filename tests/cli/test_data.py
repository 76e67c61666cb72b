"""``mlgcn data`` as a person runs it: published data sets from a server of this machine, made small."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.cli.main import app
from mlgcn_pyg.datasets import COCO_COUNTS, VOC_COUNTS, VOC_LABELS, Scenes
from mlgcn_pyg.datasets.download import Archive
from mlgcn_pyg.datasets.published import Counts
from mlgcn_pyg.datasets.sources import COCO_ARCHIVES, VOC_ARCHIVES
from mlgcn_pyg.features import FeatureCache
from tests.cli.test_cli import SMALL, refused, run
from tests.datasets.coco_files import write_instances
from tests.datasets.server import make_tar, make_zip, serve
from tests.datasets.test_download import md5


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with serve() as files:
        yield files


def picture(folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(name)).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / name)
    return (folder / name).read_bytes()


def result_of(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def coco(tmp_path, server, monkeypatch):
    """COCO in miniature on the server: 3 train and 2 val images, one of each without an object."""
    made, categories = tmp_path / "made", {1: "person", 18: "dog", 5: "airplane"}
    images = {"train": {9: "a.jpg", 4: "b.jpg", 6: "c.jpg"}, "val": {2: "d.jpg", 3: "e.jpg"}}
    seen = {"train": [(9, 1), (9, 18), (4, 1), (4, 1)], "val": [(2, 5)]}
    files = {}
    for split in images:
        path = write_instances(made, split, images[split], seen[split], categories)
        files[f"annotations/{path.name}"] = path.read_bytes()
        pictures = {f"{split}2014/{name}": picture(made / split, name) for name in images[split].values()}
        archive = make_zip(made / f"{split}2014.zip", pictures)
        monkeypatch.setitem(COCO_ARCHIVES, split, Archive(server.offer(archive)))
    archive = make_zip(made / "annotations_trainval2014.zip", files)
    monkeypatch.setitem(COCO_ARCHIVES, "annotations", Archive(server.offer(archive)))
    monkeypatch.setitem(COCO_COUNTS, "train", Counts(3, 2, 3))
    monkeypatch.setitem(COCO_COUNTS, "val", Counts(2, 1, 1))
    return tmp_path / "coco"


@pytest.fixture
def voc(tmp_path, server, monkeypatch):
    """VOC in miniature on the server: 4 trainval and 3 test images."""
    made, rng = tmp_path / "made", np.random.default_rng(0)
    for split, count in (("trainval", 4), ("test", 3)):
        ids = [f"{split}{n}" for n in range(count)]
        marks = rng.choice([1, -1, 0], (20, count), p=[0.2, 0.6, 0.2])
        marks[0] = 1
        base = "VOCdevkit/VOC2007"
        files = {
            f"{base}/ImageSets/Main/{label}_{split}.txt": "".join(f"{i} {m}\n" for i, m in zip(ids, row, strict=True))
            for label, row in zip(VOC_LABELS, marks, strict=True)
        }
        files = {name: text.encode() for name, text in files.items()}
        files |= {f"{base}/JPEGImages/{name}.jpg": picture(made, f"{name}.jpg") for name in ids}
        archive = make_tar(made / f"VOC{split}.tar", files)
        monkeypatch.setitem(VOC_ARCHIVES, split, Archive(server.offer(archive), md5(archive)))
        monkeypatch.setitem(VOC_COUNTS, split, Counts(count, count, int((marks == 1).sum())))
    return tmp_path / "voc"


def test_coco_is_fetched_verified_and_used(coco, server, tmp_path):
    output = run("data", "coco2014", "--root", coco, "--download")
    assert output.count("as published") == 2 and "You may remove" in output
    assert len(server.requests) == 3
    for name in ("annotations_trainval2014.zip", "train2014.zip", "val2014.zip"):
        (coco / name).unlink()
    assert run("data", "coco2014", "--root", coco, "--download").count("as published") == 2
    assert len(server.requests) == 3  # nothing is missing, nothing is asked for
    words = ("--dataset", "coco2014", "--root", coco, "--split", "train")
    assert "dog → person" in run("graph", *words, "--out", tmp_path / "g.pt")
    graph = LabelGraph.load(tmp_path / "g.pt")
    assert graph.label_names == ("airplane", "dog", "person") and graph.label_counts.tolist() == [0, 1, 2]
    run("extract", *words, "--out", tmp_path / "f.h5", *SMALL)
    assert FeatureCache(tmp_path / "f.h5").targets.tolist() == [[0, 0, 1], [0, 1, 1]]
    content = json.loads(result_of("data", "inspect", *words, "--keep-empty", "--json").stdout)
    assert content["images_by_labels"] == {"0": 1, "1": 1, "2": 1} and content["broken"] == {}
    assert "3 images" in run("graph", *words, "--keep-empty", "--out", tmp_path / "g3.pt")


def test_only_the_split_that_is_asked_for_is_fetched(coco, voc, server):
    run("data", "coco2014", "--root", coco, "--split", "val", "--download")
    assert not (coco / "train2014").exists() and (coco / "val2014/d.jpg").is_file()
    run("data", "voc2007", "--root", voc, "--split", "test", "--download")
    assert [path for path, _ in server.requests] == ["/annotations_trainval2014.zip", "/val2014.zip", "/VOCtest.tar"]


def test_voc_is_fetched_and_verified(voc, server):
    output = run("data", "voc2007", "--root", voc, "--download")
    assert output.count("as published") == 2 and len(server.requests) == 2
    run("data", "voc2007", "--root", voc)
    assert "the folder that contains VOCdevkit" in refused("data", "voc2007", "--root", voc / "VOCdevkit", "--download")


def test_an_interrupted_download_is_reported_and_the_same_command_resumes(voc, server):
    server.cut["/VOCtrainval.tar"] = 2000
    assert "run again to resume the download" in refused("data", "voc2007", "--root", voc, "--download")
    assert "expected a folder with VOCdevkit/VOC2007" in refused("data", "voc2007", "--root", voc)
    assert run("data", "voc2007", "--root", voc, "--download").count("as published") == 2
    assert server.requests[1] == ("/VOCtrainval.tar", "bytes=2000-")


def test_missing_files_give_exit_code_1_and_are_downloaded_again(voc, coco, server):
    run("data", "voc2007", "--root", voc, "--download")
    (voc / "VOCdevkit/VOC2007/JPEGImages/test1.jpg").unlink()
    output = run("data", "voc2007", "--root", voc, code=1)
    assert "different" in output and "test: images missing: 1 (first: " in output and "test1.jpg" in output
    assert run("data", "voc2007", "--root", voc, "--download").count("as published") == 2
    run("data", "coco2014", "--root", coco, "--download")
    path = coco / "annotations/instances_val2014.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"annotations": []}))
    output = run("data", "coco2014", "--root", coco, code=1)
    assert "val: 0 images with labels, 1 expected; 0 labels present, 1 expected" in output
    path.write_text(path.read_text()[:100])
    assert "a complete JSON file" in refused("data", "coco2014", "--root", coco)


def test_missing_published_data_sets(tmp_path):
    assert "no file" in refused("data", "coco2014", "--root", tmp_path)
    assert "--split: expected one of train, val" in refused("data", "coco2014", "--root", tmp_path, "--split", "test")
    assert "--split: expected one of trainval, test" in refused("data", "voc2007", "--root", tmp_path, "--split", "val")
    assert "inspect" in run("data") and "--download" in run("data", "coco2014", "--help")


@pytest.fixture
def table(tmp_path):
    lines = ["image,sea,dog,emu"] + [f"{n}.png,1,{int(n < 2)},0" for n in range(4)]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    for n in range(4):
        picture(tmp_path, f"{n}.png")
    return ("data", "inspect", "--dataset", "table", "--root", tmp_path, "--labels", tmp_path / "t.csv")


def test_inspect_prints_statistics(table):
    output = run(*table, "--rare", 3)
    assert "4 images, 3 labels, 0 unknown targets" in output
    assert "Labels per image: 1.500 (images by number of labels: 1: 2, 2: 2)" in output
    assert "Most frequent labels: sea (4), dog (2)\n" in output
    assert "Labels in fewer than 3 images, rarest first: dog (2)" in output
    assert "sea → dog  P = 0.500  (2 of 4 images)" in output and "dog → sea" not in output
    assert "Warning: no image has emu" in output and "All images can be decoded" in output


def test_inspect_for_scripts(table):
    result = result_of(*table, "--rare", 2, "--json")
    assert result.exit_code == 0 and "emu" in result.stderr
    content = json.loads(result.stdout)
    assert content["positives"] == {"sea": 4, "dog": 2, "emu": 0} and content["without_positives"] == ["emu"]
    assert content["images_by_labels"] == {"1": 2, "2": 2} and content["rare"] == {} and content["broken"] == {}
    assert content["strongest_pairs"] == [
        {"i": "dog", "j": "sea", "probability": 1.0, "together": 2, "images_of_i": 2},
        {"i": "sea", "j": "dog", "probability": 0.5, "together": 2, "images_of_i": 4},
    ]


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_and_missing_photographs_end_with_1(table, tmp_path, workers):
    content = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(content[: len(content) // 2])
    (tmp_path / "3.png").unlink()
    output = run(*table, "--num-workers", workers, code=1)
    assert "2 images are broken or missing:" in output and "3.png (missing file)" in output
    result = result_of(*table, "--num-workers", workers, "--json")
    assert result.exit_code == 1 and list(json.loads(result.stdout)["broken"]) == ["1.png", "3.png"]
    result = result_of(*table, "--no-decode", "--json")
    assert result.exit_code == 1 and list(json.loads(result.stdout)["broken"]) == ["3.png"]


def test_a_long_list_of_missing_images_is_shortened(tmp_path):
    (tmp_path / "t.csv").write_text("image,sea\n" + "".join(f"{n:03d}.png,1\n" for n in range(100)))
    words = ("data", "inspect", "--dataset", "table", "--root", tmp_path, "--labels", tmp_path / "t.csv", "--no-decode")
    output = run(*words, code=1)
    assert "100 images are missing:" in output and "019.png" in output and "020.png" not in output
    assert "and 80 more; --json lists all of them" in output
    assert len(json.loads(result_of(*words, "--json").stdout)["broken"]) == 100


def test_a_photograph_that_is_a_decompression_bomb_is_broken(table, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert "DecompressionBombError" in run(*table, code=1)


def test_inspect_of_voc_counts_difficult_marks(tmp_path):
    data = Scenes(tmp_path, 12)
    path = tmp_path / "VOCdevkit/VOC2007/ImageSets/Main/boat_train.txt"
    path.write_text("".join(f"{name} 0\n" for name in data.ids))
    words = ("data", "inspect", "--dataset", "voc2007", "--root", tmp_path, "--split", "train", "--no-decode", "--json")
    content = json.loads(result_of(*words).stdout)
    assert content["num_unknown"] == 12 and content["positives"]["boat"] == 0
    content = json.loads(result_of(*words, "--difficult", "positive").stdout)
    assert content["num_unknown"] == 0 and content["positives"]["boat"] == 12


def test_the_real_sample_is_good(shared):
    root = shared / "voc2007"
    content = json.loads(
        result_of("data", "inspect", "--dataset", "voc2007", "--root", root, "--split", "sample_test", "--json").stdout
    )
    assert content["num_images"] == 120 and content["broken"] == {} and content["decoded"]


def test_an_empty_data_set_and_options_of_another_are_refused(table, tmp_path):
    (tmp_path / "e.csv").write_text("image,dog\n")
    empty = ("--dataset", "table", "--root", tmp_path, "--labels", tmp_path / "e.csv")
    assert "--dataset: expected at least one image" in refused("data", "inspect", *empty)
    assert "--dataset: expected at least one image" in refused("graph", *empty, "--out", tmp_path / "g.pt")
    assert not (tmp_path / "g.pt").exists()
    assert (
        "--keep-empty: expected no value with --dataset table, found a value, valid for coco2014 and coco only"
        in refused(*table, "--keep-empty")
    )
    assert "--difficult: expected no value with --dataset" in refused(*table, "--difficult", "positive")
    coco = ("data", "inspect", "--dataset", "coco2014", "--root", tmp_path)
    assert "--labels: expected no value" in refused(*coco, "--split", "val", "--labels", tmp_path / "t.csv")
    assert "--split: expected a split such as train or val" in refused(*coco)
    assert "--num-workers: expected an integer ≥ 0" in refused(*table, "--num-workers", -1)
    assert "--rare: expected an integer ≥ 0" in refused(*table, "--rare", -1)
    assert "--pairs: expected an integer ≥ 0" in refused(*table, "--pairs", -1)


def test_annotations_in_cocos_format_of_any_year_and_place(tmp_path):
    made = write_instances(tmp_path, "val", {3: "a.jpg", 7: "b.jpg"}, [(3, 1), (7, 2)], {1: "dog", 2: "cat"})
    path = made.rename(tmp_path / "annotations/instances_train2017.json")
    for folder in (tmp_path / "train2017", tmp_path / "photos"):
        folder.mkdir()
        for name in ("a.jpg", "b.jpg"):
            Image.new("RGB", (32, 32)).save(folder / name)
    plain = ("data", "inspect", "--dataset", "coco", "--root")
    inspect = ("data", "inspect", "--dataset", "coco", "--json", "--root")
    for words in (
        (tmp_path, "--split", "train2017"),
        (tmp_path, "--annotations", path),  # the folder of its images is named like it
        (tmp_path / "train2017", "--annotations", path),
        (tmp_path / "photos", "--annotations", shutil.copy(path, tmp_path / "any name.json")),
    ):
        content = json.loads(result_of(*inspect, *words).stdout)
        assert content["positives"] == {"cat": 1, "dog": 1} and content["broken"] == {}
    assert "2 images" in run(
        "graph", "--dataset", "coco", "--root", tmp_path, "--split", "train2017", "--out", tmp_path / "g.pt"
    )
    assert "--split: expected a split such as train2017, or the file of annotations" in refused(*plain, tmp_path)
    assert "--split: expected no value" in refused(*plain, tmp_path, "--annotations", path, "--split", "x")
    assert "--annotations: expected a file that exists" in refused(*plain, tmp_path, "--split", "val2017")
    assert "--annotations: expected no value with --dataset table" in refused(
        "data", "inspect", "--dataset", "table", "--root", tmp_path, "--annotations", path
    )
    small = refused(*plain, tmp_path, "--split", "train2017", "--max-bytes", 3)
    assert "--annotations: expected targets of at most 0.0 MiB" in small and "pass --max-bytes 4" in small


def test_ctrl_c_while_extracting_is_one_line_and_the_next_run_goes_on(coco, server, monkeypatch):
    copied, copy = [], shutil.copyfileobj

    def interrupt(source, file):
        if len(copied) == 3:
            raise KeyboardInterrupt
        copied.append(copy(source, file))

    monkeypatch.setattr(shutil, "copyfileobj", interrupt)
    output = run("data", "coco2014", "--root", coco, "--download", code=130)
    assert "mlgcn: interrupted" in output and "Traceback" not in output
    monkeypatch.setattr(shutil, "copyfileobj", copy)
    assert not list(coco.rglob("*.partial")) and len(list((coco / "train2014").iterdir())) == 1
    asked = len(server.requests)
    assert run("data", "coco2014", "--root", coco, "--download").count("as published") == 2
    assert len(server.requests) == asked + 1  # val2014.zip; the others are there


def test_an_archive_that_leads_out_of_its_folder_is_one_line(coco, server, tmp_path, monkeypatch):
    archive = make_zip(tmp_path / "evil.zip", {"annotations/x.json": b"{}", "../../evil.json": b"{}"})
    monkeypatch.setitem(COCO_ARCHIVES, "annotations", Archive(server.offer(archive)))
    line = refused("data", "coco2014", "--root", coco, "--download")
    assert "archive: expected a file below" in line and "'../../evil.json'" in line
    assert [path.name for path in coco.iterdir()] == ["evil.zip"]


def test_options_of_a_data_set_are_declared_once():
    parameters = {name: get_command(app).commands[name].params for name in ("graph",)}
    parameters["inspect"] = get_command(app).commands["data"].commands["inspect"].params
    shared = {"dataset", "root", "split", "labels", "image_column", "labels_column", "separator"}
    shared |= {"difficult", "keep_empty"}
    for options in parameters.values():
        assert shared <= {option.name for option in options}
    graph, inspect = ({o.name: (o.opts, o.help, o.default) for o in parameters[n]} for n in ("graph", "inspect"))
    assert all(graph[name] == inspect[name] for name in shared - {"dataset", "root"})
    for name in ("dataset", "root"):  # which mlgcn graph can do without
        assert graph[name][:2] == inspect[name][:2]
