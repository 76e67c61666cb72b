"""Packages import some of their names on first use."""

import subprocess
import sys

import pytest

import mlgcn_pyg
from mlgcn_pyg import nn, released, training


@pytest.mark.parametrize("package", [mlgcn_pyg, nn, released, training], ids=lambda package: package.__name__)
def test_every_public_name_is_listed_and_importable(package):
    assert set(package.__all__) <= set(dir(package))
    assert all(getattr(package, name) is not None for name in package.__all__)


def test_an_unknown_name_is_an_attribute_error_of_the_package():
    with pytest.raises(AttributeError, match="module 'mlgcn_pyg.nn' has no attribute 'Backbones'"):
        nn.Backbones  # noqa: B018


def test_a_name_is_imported_on_first_use_only():
    program = (
        "import mlgcn_pyg, sys; print('torch' in sys.modules); mlgcn_pyg.LabelGraph; print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "False\nTrue\n"
