import pytest
import torch

from mlgcn_pyg import MLGCN, LabelGraph, MLGCNHead
from mlgcn_pyg.datasets import Scenes, eval_transform
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import Backbone
from mlgcn_pyg.training import ModelConfig, fit_model


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes")
    transform = eval_transform(32)
    return [Scenes(root, n, split=s, image_size=32, transform=transform) for n, s in ((96, "train"), (40, "test"))]


def model(scenes):
    torch.manual_seed(0)
    backbone = Backbone("resnet18")
    graph = LabelGraph.from_targets(scenes.targets, label_names=scenes.label_names)
    return MLGCN(backbone, MLGCNHead(graph, backbone.num_features, (64,)))


def test_training_end_to_end_learns_more_than_chance(scenes):
    train, test = scenes
    net, steps = model(train), []
    config = ModelConfig(lr=0.05, backbone_lr_factor=1.0, epochs=5, batch_size=16, lr_step=4, cpu=True)
    history = fit_model(net, train, test, config, progress=steps.append)
    assert [r["epoch"] for r in history.epochs] == [1, 2, 3, 4, 5] and [s["step"] for s in steps] == [6] * 5
    assert history.last["loss"] < 0.75 * history.epochs[0]["loss"]
    assert history.last["mAP"] > 1.4 * float((test.targets == 1).double().mean())


def test_the_same_seed_gives_the_same_network(scenes):
    def trained(seed):
        net = model(scenes[0])
        fit_model(net, scenes[0], config=ModelConfig(epochs=1, batch_size=48, seed=seed, cpu=True, channels_last=False))
        return net.head.classifiers()

    assert torch.equal(trained(0), trained(0)) and not torch.equal(trained(0), trained(1))


def test_labels_that_disagree_are_refused(scenes):
    net = model(scenes[0])
    net.head.label_names = tuple(reversed(net.head.label_names))
    with pytest.raises(
        InputError, match="train_set: expected the 16 labels of the model, found the same labels in a different"
    ):
        fit_model(net, scenes[0], config=ModelConfig(epochs=1, cpu=True))


def test_a_second_run_may_have_a_different_precision_and_leaves_the_model_unwrapped(scenes):
    net = model(scenes[0])
    for precision in ("bf16", "float32"):
        fit_model(net, scenes[0], config=ModelConfig(epochs=1, batch_size=48, precision=precision, cpu=True))
        images = torch.stack([scenes[1][n][0] for n in range(2)])
        net.eval()
        assert torch.equal(net(images), net.head(net.backbone(images)))
    with pytest.raises(InputError, match="precision: expected one of float32, bf16, fp16"):
        ModelConfig(precision="int4")


def test_a_last_batch_of_one_image(scenes, tmp_path):
    data = Scenes(tmp_path, 17, image_size=32, transform=eval_transform(32))
    assert len(fit_model(model(data), data, config=ModelConfig(epochs=1, batch_size=16, cpu=True)).epochs) == 1
