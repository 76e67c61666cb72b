"""Prints the lowest versions that setup.cfg allows, as a pip constraints file: ``numpy>=1.26`` becomes ``numpy==1.26``.

Used by ``make test-lowest``. Requirements without a lower bound, and extras that only developers need, are left to pip.
"""

import configparser
import re
from pathlib import Path

SETUP = Path(__file__).parents[1] / "setup.cfg"
# A source archive that takes minutes to build, and tools that check or document the code but do not run with it.
LEFT_OUT = {"torch-scatter", "mypy", "ruff", "sphinx", "furo", "pre-commit"}


def lowest() -> list[str]:
    config = configparser.ConfigParser()
    config.read(SETUP, encoding="utf-8")
    groups = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    bounds = re.findall(r"^([A-Za-z0-9_.-]+)>=([0-9.]+)", "\n".join(groups), re.MULTILINE)
    return sorted({f"{name}=={version}" for name, version in bounds if name not in LEFT_OUT})


if __name__ == "__main__":
    print("\n".join(lowest()))
