"""Trains the test's network in a process of its own: python trainer_worker.py ROOT FOLDER [options of the recipe]."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from mlgcn_pyg.training import fit_model
from tests.training.test_trainer import config, data, network


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("folder")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--freeze-batchnorm", action="store_true")
    options = vars(parser.parse_args())
    root, folder = options.pop("root"), options.pop("folder")
    train, val = data(root)
    fit_model(network(root), train, val, config(**options), folder=folder, save_seconds=0)


if __name__ == "__main__":
    main()
