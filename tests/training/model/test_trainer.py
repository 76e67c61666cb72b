"""End-to-end training: the result does not depend on processes, workers, parts of batches or interruptions."""

import functools
import json
import math
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.utils.data._utils import signal_handling

from mlgcn_pyg import MLGCN, LabelGraph, MLGCNHead
from mlgcn_pyg.checkpoints import load_checkpoint, store_thresholds
from mlgcn_pyg.datasets import VOC2007, Scenes, eval_transform, train_transform
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.locks import locked_folder
from mlgcn_pyg.loading import load_batches
from mlgcn_pyg.nn import Backbone
from mlgcn_pyg.training import ModelConfig, fit_model
from mlgcn_pyg.training.model.scoring import model_logits
from mlgcn_pyg.training.model.shares import shares
from mlgcn_pyg.training.model.trainee import Trainee
from mlgcn_pyg.training.run_folder import RunFolder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes")
    for split, count in (("train", 22), ("test", 9)):
        Scenes(root, count, split=split, image_size=32)
    return root


def data(root):
    return VOC2007(root, "train", train_transform(32)), VOC2007(root, "test", eval_transform(32))


def network(root, name="shufflenet_v2_x0_5", seed=0, train=None):
    torch.manual_seed(seed)
    train = data(root)[0] if train is None else train
    backbone = with_statistics(Backbone(name), torch.randn(16, 3, 32, 32))
    graph = LabelGraph.from_targets(train.targets, label_names=train.label_names)
    return MLGCN(backbone, MLGCNHead(graph, backbone.num_features, (16,)))


@torch.no_grad()
def with_statistics(backbone, images):
    """Batch statistics of ``images`` in place of 0 and 1, with which untrained layers hand on next to nothing."""
    layers = [layer for layer in backbone.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for layer in layers:
        layer.momentum = 1.0
    backbone.train()(images)
    for layer in layers:
        layer.momentum = 0.1
    return backbone


def config(**options):
    fixed = {"epochs": 2, "batch_size": 8, "lr": 0.02, "cpu": True, "channels_last": False}  # no trial, to repeat runs
    return ModelConfig(**(fixed | options))


def trained(root, folder=None, net=None, **options):
    net = network(root) if net is None else net
    train, val = data(root)
    return net, fit_model(net, train, val, config(**options), folder=folder)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


class Stop(Exception):
    pass


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ema_decay": 0.9, "schedule": "one_cycle"},
        {"frozen_epochs": 1, "schedule": "cosine", "accumulate": 2, "loss": "asymmetric"},
        {"precision": "bf16"},
        {"channels_last": True, "ema_decay": 0.9},
    ],
)
def test_interrupted_at_every_step_and_resumed_equals_uninterrupted_bit_for_bit(root, tmp_path, options, monkeypatch):
    whole, history = trained(root, tmp_path / "whole", **options)
    train, val = data(root)
    save_or_end = RunFolder.save_or_end

    def ended(folder, stop, save):
        stop.received = signal.SIGTERM  # after every step
        save_or_end(folder, stop, save)

    for _ in range(2 * 3 + 2):  # each call takes one step, and some end an epoch
        begun = (tmp_path / "run" / "state.pt").exists()
        net = network(root, seed=int(begun))  # weights that the state replaces
        with monkeypatch.context() as patch:
            patch.setattr(RunFolder, "save_or_end", ended)
            try:
                fit_model(net, train, val, config(**options), folder=tmp_path / "run")
            except SystemExit as error:
                assert error.code == 143
                continue
        break
    net, again = trained(root, tmp_path / "run", network(root, seed=2), **options)
    assert same(net, whole) and again.epochs == history.epochs
    lines = (tmp_path / "run" / "history.jsonl").read_text()
    assert lines == (tmp_path / "whole" / "history.jsonl").read_text() and len(lines.splitlines()) == 2
    assert same(
        load_checkpoint(tmp_path / "run" / "last.pt").model, load_checkpoint(tmp_path / "whole" / "last.pt").model
    )


def test_a_killed_run_resumes(root, tmp_path):
    whole, _ = trained(root, tmp_path / "whole", epochs=4)
    for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143), (signal.SIGINT, 1)):
        worker = start_worker(root, tmp_path / "run", "--epochs", 4)
        while worker.poll() is None and not (tmp_path / "run" / "state.pt").exists():
            time.sleep(0.02)
        worker.send_signal(number)
        worker.wait()
        # it may have been finished by then, or not yet started
        assert worker.returncode in (code, 0, -number)
    net, history = trained(root, tmp_path / "run", network(root, seed=1), epochs=4)
    assert same(net, whole) and len(history.epochs) == 4


def test_a_signal_during_validation_ends_the_run_before_the_next_batch(root, tmp_path):
    """Validation may take longer than a launcher waits."""
    whole, expected = trained(root, tmp_path / "whole")
    train, val = data(root)
    read, seen = val.image, []
    before_training = len(val) + 1  # every image is decoded once, and the first one is looked at for its size

    def image(index):
        if len(seen) == before_training + 1:
            signal.raise_signal(signal.SIGTERM)
        seen.append(index)
        return read(index)

    val.image = image
    with pytest.raises(SystemExit):
        fit_model(network(root), train, val, config(), folder=tmp_path / "run")
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    assert (state["epoch"], state["step"]) == (1, 3)
    assert seen[before_training:] == [*range(8)]  # a batch of nine images
    net, history = trained(root, tmp_path / "run", network(root, seed=1))
    assert same(net, whole) and history.epochs == expected.epochs


@pytest.mark.parametrize("writes", range(1, 5))  # state, history, last.pt, best.pt
def test_killed_at_the_end_of_an_epoch_no_file_is_ahead_of_the_state(root, tmp_path, monkeypatch, writes):
    from mlgcn_pyg.files import atomic as files

    whole, _ = trained(root, tmp_path / "whole", epochs=1)
    publish, made = files.publish, []

    def killed(partial, path):
        made.append(path.name)
        if len(made) == 1 + writes:  # the first is the empty history
            raise Stop
        publish(partial, path)

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(files, "publish", killed)
        trained(root, tmp_path / "run", epochs=1)
    known = []
    if (tmp_path / "run" / "state.pt").exists():
        known = torch.load(tmp_path / "run" / "state.pt", weights_only=True)["history"]
    lines = (tmp_path / "run" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] in (known, [])
    assert known or not list((tmp_path / "run").glob("*t.pt"))
    (tmp_path / "run" / f".{made[-1]}.1.partial").touch()  # as SIGKILL leaves it
    trained(root, tmp_path / "run", network(root, seed=int(bool(known))), epochs=1)
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == ["best.pt", "history.jsonl", "last.pt", "state.pt"]
    for name in ("best.pt", "last.pt"):
        assert same(load_checkpoint(tmp_path / "run" / name).model, whole)


def test_a_finished_run_keeps_its_networks_and_restores_missing_ones(root, tmp_path):
    net, _ = trained(root, tmp_path)
    store_thresholds(tmp_path / "last.pt", torch.ones(net.head.num_labels))
    trained(root, tmp_path, network(root, seed=1))
    assert load_checkpoint(tmp_path / "last.pt").thresholds is not None
    (tmp_path / "last.pt").unlink()
    trained(root, tmp_path, network(root, seed=1))
    assert same(load_checkpoint(tmp_path / "last.pt").model, net)


def start_worker(root, folder, *more, launcher=()):
    script = Path(__file__).with_name("trainer_worker.py")
    words = [sys.executable, *launcher, str(script), str(root), str(folder), *map(str, more)]
    env = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.Popen(
        words, cwd=script.parents[3], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_two_processes_follow_one_and_score_each_image_once(root, tmp_path):
    """One step an epoch, so that a history holds the loss of every step; batch statistics as they were; the backbone
    is unfrozen on the way; the run is stopped once and resumed with other numbers of processes."""
    options = {"epochs": 4, "batch_size": 22, "freeze_batchnorm": True, "momentum": 0.5, "frozen_epochs": 1}
    net, history = trained(root, tmp_path / "one", **options)
    words = ("--epochs", 4, "--batch-size", 22, "--freeze-batchnorm", "--momentum", 0.5, "--frozen-epochs", 1)
    folder = tmp_path / "two"
    worker = start_worker(root, folder, *words, "--accumulate", 3, "--stop-after", 2, launcher=TWO)
    _, errors = worker.communicate()
    assert worker.returncode != 0 and "InputError" not in errors, errors
    state = torch.load(folder / "state.pt", weights_only=True)
    assert (state["epoch"], state["step"]) == (2, 1)
    shutil.copytree(folder, tmp_path / "alone")
    alone, resumed = trained(root, tmp_path / "alone", network(root, seed=1), **options)
    worker = start_worker(root, folder, *words, launcher=TWO)
    _, errors = worker.communicate()
    assert worker.returncode == 0, errors
    records = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    for one, *others in zip(history.epochs, records, resumed.epochs, strict=True):
        for other in others:
            assert abs(one["loss"] - other["loss"]) < 1e-4 and abs(one["mAP"] - other["mAP"]) < 1e-3
    for other in (alone, load_checkpoint(folder / "last.pt").model):
        for a, b in zip(net.parameters(), other.parameters(), strict=True):
            assert torch.allclose(a, b, atol=1e-4)


TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")


def test_every_process_scores_with_the_statistics_that_are_kept(root, tmp_path):
    worker = start_worker(root, tmp_path, "--scored", tmp_path / "logits.pt", launcher=TWO)
    _, errors = worker.communicate()
    assert worker.returncode == 0, errors
    alone = model_logits(Trainee(network(root), config()), data(root)[1])
    found = torch.load(tmp_path / "logits.pt", weights_only=True)
    assert torch.allclose(found, alone, rtol=1e-3, atol=0) and alone.abs().min() > 0


def test_processes_that_see_different_folders_are_refused(root, tmp_path):
    """The first machine's folder holds a state, the second machine's none: without a check they would wait forever."""
    trained(root, tmp_path / "0", epochs=2)
    worker = start_worker(root, tmp_path / "{rank}", launcher=TWO)
    _, errors = worker.communicate(timeout=120)
    assert worker.returncode != 0 and "a folder that all processes share" in errors
    assert len((tmp_path / "0" / "history.jsonl").read_text().splitlines()) == 2


def test_a_folder_takes_one_run_at_a_time(root, tmp_path):
    with locked_folder(tmp_path), pytest.raises(InputError, match="folder that no other run is using"):
        trained(root, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size, accumulate", [(1, 1), (2, 1), (3, 2), (5, 3)])
@pytest.mark.parametrize("num_images", [1, 8, 22])
def test_every_image_is_in_one_piece_of_one_process(num_images, size, accumulate):
    recipe = config(accumulate=accumulate)
    everyone = [shares(num_images, recipe, 3, rank, size) for rank in range(size)]
    assert {len(steps) for steps in everyone} == {math.ceil(num_images / 8)}
    for step in zip(*everyone, strict=True):
        assert all(len(pieces) >= 1 for pieces in step)
        assert sum(piece.weight for pieces in step for piece in pieces) == pytest.approx(1)
    seen = [i for steps in everyone for pieces in steps for piece in pieces if piece.weight for i in piece.items]
    assert sorted(seen) == list(range(num_images))
    one = [sorted(i for piece in pieces for i in piece.items) for pieces in shares(num_images, recipe, 3)]
    many = [sorted(i for own in step for p in own if p.weight for i in p.items) for step in zip(*everyone, strict=True)]
    assert one == many and shares(num_images, recipe, 3)[0][0].items == shares(num_images, recipe, 3)[0][0].items


def test_pieces_of_a_batch_are_the_batch(root):
    a, one = trained(root, freeze_batchnorm=True)
    b, two = trained(root, freeze_batchnorm=True, accumulate=3)
    assert all(abs(x["loss"] - y["loss"]) < 1e-4 for x, y in zip(one.epochs, two.epochs, strict=True))
    assert all(torch.allclose(x, y, atol=1e-4) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_workers_change_nothing(root):
    assert same(trained(root)[0], trained(root, num_workers=2)[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_survives_a_signal_while_it_starts(monkeypatch, number):
    """Launchers signal every process of a run, at any moment of it."""
    monkeypatch.setattr(signal_handling, "_set_worker_signal_handlers", lambda: os.kill(os.getpid(), number))
    assert torch.cat(list(load_batches(torch.arange(6), num_workers=2, batch_size=2))).tolist() == list(range(6))
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


class Signalled(torch.utils.data.Dataset):
    """Items that send a signal to the process that loads them."""

    def __init__(self, number):
        self.number = number

    def __len__(self):
        return 6

    def __getitem__(self, index):
        os.kill(os.getpid(), self.number)
        return index


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_survives_a_signal_while_it_works(number):
    assert torch.cat(list(load_batches(Signalled(number), num_workers=2, batch_size=2))).tolist() == list(range(6))


def test_a_worker_ends_when_its_run_ends_it():
    batches = load_batches(torch.arange(600), num_workers=1, batch_size=2)
    next(batches)
    (worker,) = multiprocessing.active_children()
    worker.terminate()
    worker.join(30)
    assert worker.exitcode == 0


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_image_that_does_not_decode_is_reported_in_one_line(tmp_path, num_workers):
    train = Scenes(tmp_path, 8, image_size=32, transform=train_transform(32))
    path = train.image_paths[5]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError) as refused:
        fit_model(network(tmp_path, train=train), train, config=config(num_workers=num_workers))
    reason = f"image: expected an image that can be decoded, found {path}"
    found = f"1 of 8 that cannot be decoded: {train.ids[5]} (the first: {reason}"
    assert str(refused.value).startswith(f"train_set: expected images that can be decoded, found {found}")
    assert "\n" not in str(refused.value)


def test_a_step_equals_one_written_with_torch(root):
    """One step written out: the paper's loss, clipping, SGD with the backbone at a tenth."""
    net, history = trained(root, epochs=1, batch_size=22, clip_norm=0.3)
    twin, (train, _) = network(root).train(), data(root)
    train.seed, train.epoch = 0, 1
    items = shares(22, config(batch_size=22), 1)[0][0].items
    images, targets = torch.stack([train[i][0] for i in items]), train.targets[items].float()
    loss = torch.nn.functional.multilabel_soft_margin_loss(twin(images), targets)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.3)
    with torch.no_grad():
        for part, lr in ((twin.backbone, 0.002), (twin.head, 0.02)):
            for p in part.parameters():
                p -= lr * (p.grad + 1e-4 * p)
    assert history.last["loss"] == pytest.approx(loss.item(), rel=1e-4)
    assert all(torch.allclose(x, y, atol=1e-5) for x, y in zip(net.parameters(), twin.parameters(), strict=True))


def test_a_frozen_backbone_stays_as_it_is_to_the_last_statistic(root):
    before = network(root).backbone
    net, _ = trained(root, epochs=1, frozen_epochs=1)
    assert same(net.backbone, before) and all(p.requires_grad for p in net.parameters())
    net, _ = trained(root, epochs=2, frozen_epochs=1)
    assert not same(net.backbone, before)


def test_frozen_batch_statistics_stay_and_weights_learn(root):
    before, (net, _) = network(root), trained(root, freeze_batchnorm=True)
    for (name, a), b in zip(net.state_dict().items(), before.state_dict().values(), strict=True):
        if "running" in name or "num_batches" in name:
            assert torch.equal(a, b)
    assert not torch.equal(next(net.backbone.parameters()), next(before.backbone.parameters()))


def test_frozen_parameters_of_the_caller_stay_frozen(root, tmp_path):
    net = network(root)
    fixed = [net.head.convs[0].weight, *list(net.backbone.parameters())[:4]]
    for p in fixed:
        p.requires_grad_(False)
    before = {name: p.clone() for name, p in net.named_parameters()}
    trained(root, tmp_path, net, frozen_epochs=1)
    changed = {name for name, p in net.named_parameters() if not torch.equal(p, before[name])}
    held = {name for name, p in net.named_parameters() if any(p is other for other in fixed)}
    assert changed == before.keys() - held and not any(p.requires_grad for p in fixed)
    with pytest.raises(InputError, match="a different network.fixed"):
        trained(root, tmp_path, frozen_epochs=1)


def test_a_model_without_trainable_parameters_is_refused(root):
    net = network(root)
    net.head.requires_grad_(False)
    with pytest.raises(InputError, match="model: expected a trainable parameter in every epoch, found none"):
        trained(root, net=net, frozen_epochs=1)
    trained(root, net=net, epochs=1)
    with pytest.raises(InputError, match="model: expected a trainable parameter in every epoch, found none"):
        trained(root, net=net.requires_grad_(False))


def test_averaged_weights_are_the_exponential_average(root, monkeypatch):
    seen, step = [], Trainee.step

    def recorded(self, *args):
        loss = step(self, *args)
        seen.append(self.model.head.convs[0].weight.detach().clone())
        return loss

    monkeypatch.setattr(Trainee, "step", recorded)
    net, _ = trained(root, ema_decay=0.7)
    average = seen[0]  # torch's average begins with the first weights it is given
    for weight in seen[1:]:
        average = 0.7 * average + 0.3 * weight
    assert torch.allclose(net.head.convs[0].weight, average, atol=1e-6) and not torch.equal(average, seen[-1])


@pytest.mark.parametrize("options", [{"channels_last": True}, {"precision": "bf16"}])
def test_other_ways_to_compute_learn_the_same_to_their_precision(root, options):
    plain, other = trained(root)[1], trained(root, **options)[1]
    assert abs(plain.last["loss"] - other.last["loss"]) < 0.05


def test_a_different_recipe_data_or_network_is_refused_and_named(root, tmp_path):
    trained(root, tmp_path, epochs=1)
    train, val = data(root)
    for change, message in [
        (lambda: trained(root, tmp_path, epochs=1, lr=0.5), "a different recipe.lr: 0.02 stored, 0.5 given"),
        (
            lambda: trained(root, tmp_path, network(root, "squeezenet1_1"), epochs=1),
            "a different network.backbone.name",
        ),
        (lambda: fit_model(network(root), train, None, config(epochs=1), folder=tmp_path), "a different val"),
    ]:
        with pytest.raises(InputError, match=message):
            change()
    trained(root, tmp_path, network(root, seed=1), epochs=1, num_workers=1)  # num_workers is not part of the setup
    (tmp_path / "state.pt").write_bytes((tmp_path / "state.pt").read_bytes()[:1000])
    with pytest.raises(InputError, match="folder: expected a file of plain tensors"):
        trained(root, tmp_path, epochs=1)


def test_a_full_disk_is_named_and_costs_no_good_file(root, tmp_path):
    trained(root, tmp_path, epochs=1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large: .*last.pt"):
            store_thresholds(tmp_path / "last.pt", torch.ones(16))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_incomplete_state_is_refused(root, tmp_path):
    trained(root, tmp_path, epochs=1)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    del state["trainee"], state["losses"]
    torch.save(state, tmp_path / "state.pt")
    with pytest.raises(InputError, match="folder: expected a complete state, found .*state.pt without losses, trainee"):
        trained(root, tmp_path, epochs=1)


def test_compiled_steps_are_equal_and_leave_the_model_unwrapped(root, monkeypatch):
    """Uses torch.compile without its last stage, which takes minutes and a C++ compiler."""
    options = {"precision": "bf16", "frozen_epochs": 1, "freeze_batchnorm": True}
    net, expected = trained(root, **options)
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    compiled, history = trained(root, compile=True, **options)
    # not bit for bit: compiled steps of torch 2.6 and 2.11 round differently, which bf16 enlarges
    assert history.last["loss"] == pytest.approx(expected.last["loss"], abs=1e-2)
    images = torch.randn(2, 3, 32, 32)
    for model in (net, compiled):
        assert "forward" not in vars(model)
        assert torch.equal(model.eval()(images), model.head(model.backbone(images)))


def test_divergence_is_named_and_never_written_over_a_good_state(root, tmp_path):
    with pytest.raises(InputError, match=r"lr: expected a learning rate at which training converges, found loss"):
        trained(root, tmp_path, lr=1e12, clip_norm=None, epochs=3)
    if (tmp_path / "state.pt").exists():
        state = torch.load(tmp_path / "state.pt", weights_only=True)
        assert all(v.isfinite().all() for v in state["trainee"]["model"].values() if v.is_floating_point())


def test_no_image_and_one_image(root, tmp_path):
    train, val = data(root)
    with pytest.raises(InputError, match="train_set: expected at least one image, found none"):
        fit_model(network(root), Scenes(tmp_path / "none", 0, transform=eval_transform(32)), config=config())
    one = Scenes(tmp_path / "one", 1, image_size=32, transform=eval_transform(64))
    assert len(fit_model(network(root), one, one, config(epochs=1)).epochs) == 1


@pytest.mark.parametrize(
    "name, value",
    [("schedule", "warm"), ("loss", "hinge"), ("accumulate", 0), ("ema_decay", 1.5), ("frozen_epochs", -1)],
)
def test_refused_recipes(name, value):
    with pytest.raises(InputError, match=name):
        ModelConfig(**{name: value})


def test_one_cycle_goes_up_and_down():
    recipe = ModelConfig(epochs=10, schedule="one_cycle")
    factors = [recipe.lr_factor(step, 10) for step in range(100)]
    assert max(factors) == factors[30] == 1.0 and factors[0] == pytest.approx(1 / 25) and factors[-1] < 0.01
    assert factors[:31] == sorted(factors[:31]) and factors[30:] == sorted(factors[30:], reverse=True)


def test_trackers_are_finished_whether_training_ends_or_fails(root, tmp_path, monkeypatch):
    from torch.utils.tensorboard import SummaryWriter

    closed, close = [], SummaryWriter.close
    monkeypatch.setattr(SummaryWriter, "close", lambda writer: closed.append(close(writer)))
    train, val = data(root)
    before = len(closed)
    fit_model(network(root), train, val, config(epochs=1), folder=tmp_path, log_with="tensorboard")
    assert list((tmp_path / "tensorboard").glob("events*")) and len(closed) > before
    with pytest.raises(InputError, match="log_with: expected a folder for the files of tensorboard, found none; pass"):
        fit_model(network(root), train, val, config(epochs=1), log_with="tensorboard")
    before = len(closed)
    with pytest.raises(InputError, match="lr: expected a learning rate"):
        fit_model(
            network(root), train, config=config(lr=1e30, clip_norm=None), folder=tmp_path / "b", log_with="tensorboard"
        )
    assert len(closed) > before + 1  # one by the settings, one by the end


@pytest.mark.parametrize("seed, epoch", [(None, 0), (7, 3)])
def test_seed_and_epoch_of_the_data_set_are_restored(root, seed, epoch):
    train, val = data(root)
    train.seed = seed
    if seed is not None:
        train.epoch = epoch
    fit_model(network(root), train, None, config(epochs=1, seed=5))
    assert (train.seed, train.epoch) == (seed, epoch)
    with pytest.raises(InputError, match="lr: expected a learning rate"):
        fit_model(network(root), train, None, config(lr=1e30, clip_norm=None))
    assert (train.seed, train.epoch) == (seed, epoch) and val.seed is None


def test_an_image_that_is_scored_twice_is_an_error(root, monkeypatch):
    trainee, val = Trainee(network(root), config()), data(root)[1]
    original = type(val).__getitem__
    monkeypatch.setattr(type(val), "__getitem__", lambda self, index: original(self, min(index, 7)))
    with pytest.raises(RuntimeError, match="of 9 images, some were scored twice or not at all"):
        model_logits(trainee, val)


def test_a_network_of_an_earlier_version_resumes(root, tmp_path):
    """Its recipe has ``mixed_precision``; everything else in its state has the same names."""
    whole, history = trained(root, epochs=2)
    trained(root, tmp_path, epochs=1)
    stored = torch.load(tmp_path / "state.pt", weights_only=True)
    assert stored.pop("ended") is False and stored.pop("awaits_callback") is False
    keys = {"format", "version", "setup", "trainee", "epoch", "step", "losses", "history"}
    assert stored.keys() == keys and stored["format"] == "mlgcn_pyg.model_training"
    assert stored["setup"]["recipe"].pop("precision") == "float32"
    stored["setup"]["recipe"] |= {"epochs": 2, "mixed_precision": "no"}
    torch.save(stored, tmp_path / "state.pt")
    net, resumed = trained(root, tmp_path, network(root, seed=1), epochs=2)
    assert same(net, whole) and resumed.epochs == history.epochs
