"""The folder of a run in place of a checkpoint, what a head's error tells of its features, and names of backbones."""

import pytest

from mlgcn_pyg.checkpoints import save_head
from mlgcn_pyg.cli.head_setup import earlier_results
from mlgcn_pyg.cli.inputs import checkpoint_file
from mlgcn_pyg.cli.json_output import write_json
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.runs import checkpoints_in
from mlgcn_pyg.nn import Backbone, LinearHead
from mlgcn_pyg.prediction.opening import open_model


def test_the_folder_of_a_run_is_its_only_head_or_its_last_network(tmp_path, capsys):
    with pytest.raises(InputError, match="checkpoint: expected one checkpoint, found none in the folder"):
        checkpoint_file(tmp_path)
    (tmp_path / "mlgcn-seed0.pt").touch()
    assert checkpoint_file(tmp_path) == tmp_path / "mlgcn-seed0.pt"
    assert capsys.readouterr().err.split() == ["Using", str(tmp_path / "mlgcn-seed0.pt")]
    (tmp_path / "linear-seed0.pt").touch()
    with pytest.raises(InputError, match="found 2 in the folder .*choose one of linear-seed0.pt, mlgcn-seed0.pt"):
        checkpoint_file(tmp_path)
    assert len(checkpoints_in(tmp_path)) == 2
    (tmp_path / "recommended.pt").touch()
    assert checkpoints_in(tmp_path) == [tmp_path / "recommended.pt"] == [checkpoint_file(tmp_path)]
    for name in ("best.pt", "last.pt"):
        (tmp_path / name).touch()
    assert checkpoint_file(tmp_path) == tmp_path / "last.pt" and checkpoint_file(tmp_path / "x") == tmp_path / "x"


def test_a_head_alone_tells_where_its_features_are_from(tmp_path):
    features = {"backbone": "resnet18", "weights_sha256": "0123456789abcdef" * 4}
    save_head(tmp_path / "h.pt", LinearHead(2, 512), config={"features": features})
    with pytest.raises(InputError) as refused:
        open_model(tmp_path / "h.pt")
    assert refused.value.argument == "weights"
    assert refused.value.found.endswith("features were computed by resnet18 with weights of SHA-256 0123456789ab…")
    save_head(tmp_path / "bare.pt", LinearHead(2, 512))
    with pytest.raises(InputError, match=r"found none in .*bare.pt; pass the backbone and weights"):
        open_model(tmp_path / "bare.pt")


def test_results_of_another_setup_name_what_differs(tmp_path):
    setup, own = {"config": {"lr": 0.1}}, {"linear": {}, "mlgcn": {"tau": 0.4, "p": 0.2}}
    content = {"setup": setup, "heads": {kind: {"setup": own[kind]} for kind in own}}
    write_json(tmp_path / "metrics.json", content)
    assert earlier_results(tmp_path / "metrics.json", setup, own) == content["heads"]
    for other_setup, other_own, expected in [
        ({"config": {"lr": 0.2}}, own, "a different config.lr: 0.1 stored, 0.2 given"),
        (setup | {"exact": {"l2": 0.2}}, own, "a different exact: None stored, {'l2': 0.2} given"),
        (setup, own | {"mlgcn": {"tau": 0.5, "p": 0.2}}, "a different mlgcn.tau: 0.4 stored, 0.5 given"),
    ]:
        with pytest.raises(InputError) as refused:
            earlier_results(tmp_path / "metrics.json", other_setup, other_own)
        assert expected in refused.value.found


@pytest.mark.parametrize("name, near", [("resnet7", "resnet"), ("mobilenetv2", "mobilenet_v2"), ("vgg-16", "vgg16")])
def test_the_nearest_backbones_are_suggested(name, near):
    with pytest.raises(InputError) as refused:
        Backbone(name)
    assert near in refused.value.fix[0] and len(str(refused.value)) < 250


def test_the_nearest_timm_models_are_suggested():
    pytest.importorskip("timm")
    with pytest.raises(InputError, match="for example timm:mobilenetv3_small_050"):
        Backbone("timm:mobilenetv3_small_50")
