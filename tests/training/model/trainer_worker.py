"""Trains the test's network in a process of its own: python trainer_worker.py ROOT FOLDER [options of the recipe].

``{rank}`` in FOLDER is the process's number. With --scored FILE it scores only, on statistics that differ by process.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[3]))

from mlgcn_pyg.training import fit_model
from mlgcn_pyg.training.model.scoring import model_logits
from mlgcn_pyg.training.model.trainee import Trainee
from tests.training.model.test_trainer import config, data, network


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("folder")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--frozen-epochs", type=int, default=0)
    parser.add_argument("--accumulate", type=int, default=1)
    parser.add_argument("--freeze-batchnorm", action="store_true")
    parser.add_argument("--stop-after", type=int, help="steps after which this is asked to stop")
    parser.add_argument("--end-after", type=int, help="the epoch after which a callback ends the run")
    parser.add_argument("--log-with")
    parser.add_argument("--scored")
    options = vars(parser.parse_args())
    root, folder, scored, last = (options.pop(name) for name in ("root", "folder", "scored", "stop_after"))
    end, log_with = options.pop("end_after"), options.pop("log_with")
    rank = int(os.environ.get("RANK", 0))
    folder, (train, val) = folder.format(rank=rank), data(root)
    if scored:
        trainee = Trainee(network(root), config(**options))
        for name, buffer in trainee.model.named_buffers():
            if name.endswith("running_mean"):
                buffer += rank
        logits = model_logits(trainee, val)
        return torch.save(logits, scored) if rank == 0 else None
    if last is not None:
        step = Trainee.step

        def asked(trainee, pieces, number, lr_factor):
            if number == last - 1 and rank == 1:  # one of the processes is enough
                signal.raise_signal(signal.SIGTERM)
            return step(trainee, pieces, number, lr_factor)

        Trainee.step = asked

    def callback(record):
        print("epoch", record["epoch"], "in process", rank, flush=True)
        return record["epoch"] == end

    fit_model(
        network(root), train, val, config(**options), folder=folder, save_seconds=0, log_with=log_with,
        callback=None if end is None else callback,
    )  # fmt: skip


if __name__ == "__main__":
    main()
