"""Options made from dataclasses: names, defaults and help are those of the config classes."""

from dataclasses import fields
from typing import get_args

import pytest
import typer
from typer.testing import CliRunner

from mlgcn_pyg.cli.main import app
from mlgcn_pyg.cli.options import from_config, takes
from mlgcn_pyg.training import ExactConfig, HeadConfig, ModelConfig
from mlgcn_pyg.training.settings import settings

ROOT = typer.main.get_command(app)


@pytest.mark.parametrize(
    "command, config, without", [("train", ModelConfig, {"cpu"}), ("train-head", HeadConfig, {"seed"})]
)
def test_every_setting_is_an_option_with_its_default_and_help(command, config, without):
    parameters = {parameter.name: parameter for parameter in ROOT.commands[command].params}
    for setting in settings(config):
        if setting.name in without:
            assert setting.name not in parameters
            continue
        parameter = parameters[setting.name]
        assert parameter.opts == ["--" + setting.name.replace("_", "-")]
        if bool in get_args(setting.type):  # a pair of flags; without either, None
            assert parameter.default is None and parameter.show_default == setting.none
        else:
            assert parameter.default == (setting.none if setting.default is None else setting.default)
        assert parameter.help.startswith(setting.help)
        assert all(value in parameter.help for value in setting.choices)


@pytest.mark.parametrize("words, value", [((), None), (("--channels-last",), True), (("--no-channels-last",), False)])
def test_an_optional_flag_has_three_values(words, value):
    assert configured(*words).channels_last is value


def test_settings_of_the_exact_solver_are_options():
    parameters = {parameter.name: parameter for parameter in ROOT.commands["train-head"].params}
    for setting in settings(ExactConfig):
        if setting.name in ("l2", "per_label", "alpha", "folds", "tolerance"):
            assert parameters[setting.name].help == setting.help
            assert parameters[setting.name].default == (setting.none if setting.default is None else setting.default)
    assert "select" not in parameters  # --test decides


def configured(*words, config=ModelConfig, **more):
    """The config that the options ``words`` give."""
    chosen, application = [], typer.Typer()

    @application.command()
    @takes(config=from_config(config, none={"clip_norm": 0}))
    def command(*, config, extra: int = 1) -> None:
        chosen.append(config(**more))

    result = CliRunner().invoke(application, list(words))
    assert result.exit_code == 0, result.output
    return chosen[0]


def test_without_options_a_recipe_is_the_default_one():
    assert configured() == ModelConfig()
    assert configured(config=HeadConfig) == HeadConfig()


def test_options_reach_the_recipe():
    config = configured("--lr", "0.5", "--schedule", "cosine", "--compile", "--ema-decay", "0.9", "--epochs", "3")
    assert config == ModelConfig(lr=0.5, schedule="cosine", compile=True, ema_decay=0.9, epochs=3)
    assert configured("--lr", "0.5", cpu=True) == ModelConfig(lr=0.5, cpu=True)
    assert configured("--patience", "3", config=HeadConfig) == HeadConfig(patience=3)


@pytest.mark.parametrize("word", ["none", "None", "0"])
def test_none_is_a_word_and_so_is_zero_for_clipping(word):
    assert configured("--clip-norm", word).clip_norm is None


@pytest.mark.parametrize("word", ["recipe", "none"])
def test_a_word_stands_for_the_value_of_the_recipe(word):
    words = ["--lr", word, "--schedule", word, "--epochs", word]
    assert configured(*words, config=HeadConfig) == HeadConfig()
    chosen = configured("--schedule", "cosine", "--optimizer", "adamw", "--recipe", "paper", config=HeadConfig)
    assert chosen == HeadConfig(schedule="cosine", optimizer="adamw", recipe="paper")


def test_weights_of_labels_are_one_number_or_several():
    assert configured("--pos-weight", "2", config=HeadConfig).pos_weight == 2.0
    assert configured("--pos-weight", "2,0.5,1", config=HeadConfig).pos_weight == (2.0, 0.5, 1.0)


def test_none_for_other_settings():
    assert configured("--ema-decay", "none").ema_decay is None
    assert configured("--patience", "none", config=HeadConfig).patience is None


@pytest.mark.parametrize(
    "words, message",
    [
        (("--clip-norm", "ten"), "Invalid value for '--clip-norm': 'ten' is not a number or none"),
        (("--clip-norm", "-1"), "--clip-norm: expected a number"),
        (("--ema-decay", "2"), "--ema-decay: expected a number in [0, 1]"),
        (("--lr", "inf"), "--lr: expected a finite number"),
        (("--precision", "tf32"), "--precision: expected one of float32, bf16, fp16"),
        (("--precision", "no"), "--precision: expected one of float32, bf16, fp16"),
        (("--schedule", "warm"), "--schedule: expected one of step, cosine, one_cycle"),
    ],
)
def test_wrong_values_of_train(tmp_path, words, message):
    result = CliRunner().invoke(
        app, ["train", "--dataset", "table", "--root", str(tmp_path), "--out", str(tmp_path), "--device", "cpu", *words]
    )
    assert result.exit_code == 2 and message in result.stderr and result.stderr.count("\n") == 1


def test_each_command_has_its_precisions(tmp_path):
    data = ("--dataset", "table", "--root", str(tmp_path), "--out", str(tmp_path / "x.h5"))
    line = CliRunner().invoke(app, ["extract", *data, "--precision", "tf32"]).stderr
    assert "--precision: expected one of float32, bf16, fp16, found 'tf32'" in line
    (tmp_path / "a.h5").touch()
    caches = (
        "--train",
        str(tmp_path / "a.h5"),
        "--val",
        str(tmp_path / "a.h5"),
        "--head",
        "linear",
        "--out",
        str(tmp_path),
    )
    line = CliRunner().invoke(app, ["train-head", *caches, "--precision", "fp16"]).stderr
    assert "--precision: expected one of float32, tf32, bf16, found 'fp16'" in line


def test_the_signature_is_the_command_s_with_groups_in_place():
    @takes(config=from_config(HeadConfig))
    def command(*, first: int = 1, config, last: int = 2) -> None:
        """Does nothing."""

    names = list(command.__signature__.parameters)
    assert names == ["first", *(field.name for field in fields(HeadConfig)), "last"]
    assert command.__doc__ == "Does nothing." and "config" not in command.__annotations__
