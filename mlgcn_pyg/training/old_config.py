"""Stored settings of earlier versions."""

from dataclasses import asdict

from mlgcn_pyg.training.config import HeadSettings

OLD_PRECISIONS = {"bfloat16": "bf16", "no": "float32"}  # names in files of earlier versions


def current_names(stored: dict) -> dict:
    """Returns a stored config with the current names of its precision settings, also in nested dicts.

    Earlier versions wrote ``"bfloat16"`` for ``"bf16"``, and ``mixed_precision`` with ``"no"`` for ``"float32"``. They
    had no recipes: the config of a head without one is completed to a config of the recipe ``"paper"``.

    >>> current_names({"recipe": {"lr": 0.01, "mixed_precision": "no"}})
    {'recipe': {'lr': 0.01, 'precision': 'float32'}}
    """
    current = {}
    for name, value in stored.items():
        if isinstance(value, dict):
            value = current_names(value)
        elif isinstance(value, str) and name in ("precision", "mixed_precision"):
            name, value = "precision", OLD_PRECISIONS.get(value, value)
        current[name] = value
    if current.keys() >= {"lr", "patience", "views"} and "recipe" not in current:
        current = asdict(HeadSettings(recipe="paper")) | current
        if "seed" not in stored:
            del current["seed"]
    return current
