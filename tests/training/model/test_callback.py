"""Callbacks of the training of a whole network."""

import json
import signal

import pytest
import torch

from mlgcn_pyg.checkpoints import load_checkpoint
from mlgcn_pyg.training import fit_model
from mlgcn_pyg.training.run_folder import RunFolder
from tests.training.model.test_trainer import TWO, Stop, config, data, network, root, same, start_worker  # noqa: F401


def trained(root, folder=None, seed=0, **options):  # noqa: F811
    train, val = data(root)
    net = network(root, seed=seed)
    return net, fit_model(net, train, val, config(epochs=3), folder=folder, **options)


def test_true_ends_the_run_which_then_counts_as_finished(root, tmp_path):  # noqa: F811
    seen = []

    def end(record):
        lines = (tmp_path / "history.jsonl").read_text().splitlines()
        assert json.loads(lines[-1]) == record and load_checkpoint(tmp_path / "last.pt").config["epoch"] == len(lines)
        seen.append(record["epoch"])
        return record["epoch"] == 2

    net, history = trained(root, tmp_path, callback=end)
    assert seen == [1, 2] and len(history.epochs) == 2
    assert same(load_checkpoint(tmp_path / "last.pt").model, net)
    other, again = trained(root, tmp_path, seed=1, callback=pytest.fail)
    assert same(other, net) and again == history


@pytest.mark.parametrize("epoch", [1, 3])
def test_an_exception_keeps_the_state_and_the_call_is_repeated(root, tmp_path, epoch):  # noqa: F811
    whole, expected = trained(root)
    called = []

    def fail(record):
        if record["epoch"] == epoch:
            raise Stop

    with pytest.raises(Stop):
        trained(root, tmp_path, callback=fail)
    net, history = trained(root, tmp_path, seed=1, callback=lambda record: called.append(record["epoch"]))
    assert called == list(range(epoch, 4))
    assert same(net, whole) and history == expected


def test_interrupted_at_every_step_it_ends_the_run_at_the_same_epoch(root, tmp_path, monkeypatch):  # noqa: F811
    save_or_end, calls = RunFolder.save_or_end, 0

    def ended(folder, stop, save):
        stop.received = signal.SIGTERM
        save_or_end(folder, stop, save)

    while calls < 9:
        calls += 1
        with monkeypatch.context() as patch:
            patch.setattr(RunFolder, "save_or_end", ended)
            try:
                net, history = trained(root, tmp_path, seed=calls - 1, callback=lambda record: record["epoch"] == 2)
                break
            except SystemExit:
                continue
    whole, expected = trained(root, callback=lambda record: record["epoch"] == 2)
    assert history == expected and same(net, whole) and len(history.epochs) == 2


def test_with_two_processes_the_first_one_decides_and_tracks(root, tmp_path):  # noqa: F811
    worker = start_worker(root, tmp_path, "--epochs", 4, "--end-after", 2, "--log-with", "tensorboard", launcher=TWO)
    output, errors = worker.communicate()
    assert worker.returncode == 0, errors
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 2
    assert output.splitlines() == ["epoch 1 in process 0", "epoch 2 in process 0"]
    assert torch.load(tmp_path / "state.pt", weights_only=True)["ended"] is True
    assert len(list((tmp_path / "tensorboard").glob("events*"))) == 1
