"""The recipes: every value is converted or refused, and the command line can read the settings without torch."""

import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features.batches import VIEWS
from mlgcn_pyg.nn import LOSSES
from mlgcn_pyg.training import HeadConfig, ModelConfig, config
from mlgcn_pyg.training.config import PAPER, HeadSettings
from mlgcn_pyg.training.old_config import current_names
from mlgcn_pyg.training.settings import settings

NEW = {"recipe", "optimizer", "schedule", "warmup_epochs", "loss", "pos_weight"}  # not in configs of earlier versions


@pytest.mark.parametrize("recipe", [HeadConfig, ModelConfig])
@pytest.mark.parametrize(
    "name, value",
    [
        ("lr", "0.01"), ("lr", None), ("lr", True), ("lr", 0), ("lr", -1), ("lr", float("inf")), ("lr", float("nan")),
        ("momentum", 2), ("momentum", "0.9"), ("weight_decay", None), ("weight_decay", -1e-4), ("lr_gamma", 0),
        ("epochs", 0), ("epochs", True), ("epochs", "10"), ("batch_size", 1.5), ("lr_step", None), ("clip_norm", 0),
        ("clip_norm", "10"), ("seed", 0.5), ("seed", None), ("val_every", 0),
        ("precision", None), ("precision", "int4"),
    ],
)  # fmt: skip
def test_refused_values(recipe, name, value):
    if recipe is HeadConfig and value is None and name in PAPER:
        assert HeadConfig(**{name: None}) == HeadConfig()  # the recipe's value
        return
    with pytest.raises(InputError) as error:
        recipe(**{name: value})
    assert error.value.argument == name


@pytest.mark.parametrize(
    "name, value",
    [
        ("schedule", "warm"), ("loss", "hinge"), ("accumulate", 0), ("ema_decay", 1.5), ("frozen_epochs", -1),
        ("cpu", 1), ("compile", "no"), ("freeze_batchnorm", None), ("num_workers", -1), ("seed", -1),
        ("precision", "tf32"), ("backbone_lr_factor", float("inf")),
    ],
)  # fmt: skip
def test_refused_values_of_model_config(name, value):
    with pytest.raises(InputError, match=name):
        ModelConfig(**{name: value})


@pytest.mark.parametrize(
    "name, value",
    [
        ("patience", 0), ("views", "last"), ("precision", "fp16"), ("recipe", "best"), ("recipe", None),
        ("optimizer", "adam"), ("schedule", "warm"), ("warmup_epochs", -1), ("warmup_epochs", None), ("loss", "hinge"),
        ("pos_weight", 0), ("pos_weight", (1.0, -1.0)), ("pos_weight", "2"), ("pos_weight", float("inf")),
    ],
)  # fmt: skip
def test_refused_values_of_head_config(name, value):
    with pytest.raises(InputError, match=name):
        HeadConfig(**{name: value})


def test_pos_weight_is_a_number_or_a_tuple_and_belongs_to_one_loss():
    assert HeadConfig(pos_weight=2).pos_weight == 2.0
    for weights in ([1, 2], np.array([1, 2]), torch.tensor([1.0, 2.0])):
        assert HeadConfig(pos_weight=weights).pos_weight == (1.0, 2.0)
    with pytest.raises(InputError, match="pos_weight: expected None for the loss asymmetric"):
        HeadConfig(loss="asymmetric", pos_weight=2)


def test_settings_that_are_given_replace_those_of_the_recipe():
    assert (
        HeadConfig(recipe="paper").filled(PAPER) == HeadSettings(recipe="paper") == HeadConfig(recipe="paper").known()
    )
    assert HeadConfig(lr=0.5, epochs=3).filled(PAPER) == HeadSettings(lr=0.5, epochs=3)
    assert HeadConfig().known() == HeadConfig()


def test_the_paper_s_settings():
    """Sec. 4.2, and the released code for the batch size and the clipping."""
    s = HeadSettings()
    assert (s.lr, s.momentum, s.weight_decay, s.epochs, s.lr_step, s.lr_gamma) == (0.01, 0.9, 1e-4, 100, 40, 0.1)
    assert (s.optimizer, s.schedule, s.batch_size, s.clip_norm, s.warmup_epochs) == ("sgd", "step", 32, 10.0, 0.0)


@pytest.mark.parametrize("schedule", ["step", "cosine", "one_cycle"])
def test_heads_and_networks_have_the_same_schedules(schedule):
    head = HeadSettings(schedule=schedule, epochs=5, lr_step=2)
    model = ModelConfig(schedule=schedule, epochs=5, lr_step=2)
    assert [head.lr_factor(k, 7) for k in range(35)] == [model.lr_factor(k, 7) for k in range(35)]


def test_warm_up_is_a_factor_that_rises_to_1():
    config = HeadSettings(schedule="cosine", epochs=2, warmup_epochs=0.5)
    plain = HeadSettings(schedule="cosine", epochs=2)
    factors = [config.lr_factor(k, 8) / plain.lr_factor(k, 8) for k in range(16)]
    assert factors == pytest.approx([0.25, 0.5, 0.75] + [1.0] * 13)


def test_configs_of_versions_without_recipes_are_read_as_the_paper_s():
    old = {name: value for name, value in asdict(HeadSettings(lr=0.3)).items() if name not in NEW}
    assert current_names({"heads": {"a": {"config": old}}}) == {
        "heads": {"a": {"config": asdict(HeadSettings(recipe="paper", lr=0.3))}}
    }
    del old["seed"]
    assert "seed" not in current_names(old) and current_names(old)["recipe"] == "paper"


def test_numbers_are_stored_as_plain_python_numbers():
    recipe = HeadConfig(lr=np.float32(0.5), epochs=np.int64(3), momentum=0, clip_norm=None, patience=None)
    assert [type(value) for value in (recipe.lr, recipe.epochs, recipe.momentum)] == [float, int, float]
    assert recipe == HeadConfig(lr=0.5, epochs=3, momentum=0.0, clip_norm=None)


def test_names_of_choices_are_those_of_the_package():
    assert tuple(LOSSES) == config.LOSSES and config.VIEWS == VIEWS


@pytest.mark.parametrize("recipe", [HeadConfig, ModelConfig])
def test_every_setting_has_a_help_text_and_a_line_in_the_docstring(recipe):
    for setting in settings(recipe):
        assert setting.help.endswith((".", ")")) and f"\n    {setting.name} (" in recipe.__doc__
        assert getattr(recipe(), setting.name) == setting.default
        assert not setting.choices or setting.default in (None, *setting.choices)


def test_settings_and_dir_need_neither_torch_nor_accelerate():
    code = "import sys, mlgcn_pyg.training.config, mlgcn_pyg.training as t; print('torch' in sys.modules, dir(t)); "
    code += "t.fit_head; print('torch' in sys.modules, 'accelerate' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first.startswith("False") and "'fit_model'" in first and "'fit_heads'" in first
    assert second == "True False"


def test_names_of_earlier_versions_are_read():
    stored = {"precision": "bfloat16", "lr": 0.1}
    assert current_names(stored) == {"precision": "bf16", "lr": 0.1} and stored["precision"] == "bfloat16"
    for name, current in (("no", "float32"), ("bf16", "bf16"), ("fp16", "fp16")):
        assert current_names({"heads": {"mixed_precision": {"mixed_precision": name}}}) == {
            "heads": {"mixed_precision": {"precision": current}}
        }
    assert current_names({"AP": {"precision": 0.5}}) == {"AP": {"precision": 0.5}}
