"""
Trackers, callbacks, and a folder for the hub
=============================================

This guide follows a training in an experiment tracker, ends it early from a function of
yours, resumes it, and saves the head in the format of the Hugging Face Hub.
"""

# %%
# Data
# ----
#
# The label statistics are those of generated scenes. A random map of the labels, with
# noise, stands in for the features of a backbone.

import tempfile
from pathlib import Path

import numpy as np
import torch

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.datasets.scene_model import SCENE_LABELS, sample_labels
from mlgcn_pyg.training import HeadConfig, fit_head

targets = torch.from_numpy(sample_labels(900, np.random.default_rng(0))).to(torch.int8)
torch.manual_seed(0)
features = targets.float() @ torch.randn(16, 64) + 3 * torch.randn(900, 64)
train, val = (features[:600], targets[:600]), (features[600:], targets[600:])
graph = LabelGraph.from_targets(train[1], label_names=SCENE_LABELS)
folder = Path(tempfile.mkdtemp())


def new_head():
    torch.manual_seed(0)
    return MLGCNHead(graph, num_features=64, hidden_channels=(32,))


# %%
# Trackers
# --------
#
# ``log_with`` takes the names of trackers that Accelerate has: ``"tensorboard"``,
# ``"wandb"``, ``"mlflow"``, ``"comet_ml"`` and others. They receive the settings, and
# the loss, the learning rate and the mAP of each epoch. TensorBoard writes to the
# folder of the run: ``tensorboard --logdir FOLDER``.

run = {"config": HeadConfig(epochs=8), "folder": folder / "run"}
history = fit_head(new_head(), train, val, **run, log_with="tensorboard")
print(sorted(path.name for path in (folder / "run").iterdir()))
history

# %%
# A tracker of your own is a subclass of Accelerate's ``GeneralTracker``. If it raises
# an exception in ``log``, for example since the network is down, a warning names it,
# and training continues without it.

from accelerate.tracking import GeneralTracker


class Table(GeneralTracker):
    """Prints one line per epoch."""

    name, requires_logging_directory = "table", False

    @property
    def tracker(self):
        return None

    def store_init_configuration(self, values):
        print(
            "recipe",
            values["head/recipe"],
            "learning rate",
            round(values["head/lr"], 4),
        )

    def log(self, values, step=None, **options):
        print(
            f"{step:3d}  loss {values['head/loss']:.4f}  mAP {values['head/mAP']:.3f}"
        )


history = fit_head(new_head(), train, val, HeadConfig(epochs=3), log_with=Table())

# %%
# A resumed run sends what is missing, and nothing twice. Here, the run from above has
# finished. ``Table`` was not a tracker of it, so it receives all of its epochs now.

history = fit_head(new_head(), train, val, **run, log_with=["tensorboard", Table()])

# %%
# Callbacks
# ---------
#
# ``callback`` is called after each epoch, when its files are written. If it returns
# True, training ends there, and the run counts as finished.


def good_enough(record):
    return record["mAP"] > 0.84


history = fit_head(new_head(), train, val, HeadConfig(epochs=40), callback=good_enough)
print(len(history.epochs), "epochs, mAP", round(history.last["mAP"], 3))

# %%
# If it raises an exception, training ends with this exception after the state is saved.
# This is what pruning requires. With Optuna, the callback is two lines:
#
# .. code-block:: python
#
#    trial.report(record["mAP"], int(record["epoch"]))
#    if trial.should_prune(): raise optuna.TrialPruned


class Pruned(Exception):
    pass


def prune(record):
    if record["epoch"] == 3:
        raise Pruned


run = {"config": HeadConfig(epochs=8), "folder": folder / "pruned"}
try:
    fit_head(new_head(), train, val, **run, callback=prune)
except Pruned:
    lines = (folder / "pruned" / "head.jsonl").read_text().splitlines()
    print("pruned after", len(lines), "epochs")

# %%
# The same call without the callback resumes the run. The result is that of a run
# without interruption, bit for bit.

whole, resumed = new_head(), new_head()
fit_head(whole, train, val, HeadConfig(epochs=8))
fit_head(resumed, train, val, **run)
print(torch.equal(whole.classifiers(), resumed.classifiers()))

# %%
# A folder for the hub
# --------------------
#
# :class:`~mlgcn_pyg.hub.HubModel` writes the head as ``model.safetensors`` and
# ``config.json`` with a model card. ``push_to_hub("me/scenes")`` uploads the same
# files. Nothing in them is executed when they are loaded.

from mlgcn_pyg.hub import HubModel

HubModel(whole).save_pretrained(folder / "scenes")
print(sorted(path.name for path in (folder / "scenes").iterdir()))

loaded = HubModel.from_pretrained(folder / "scenes").head
print(torch.equal(loaded(val[0]), whole(val[0])))

# %%
# The beginning of the model card:

print((folder / "scenes" / "README.md").read_text()[:600])
