"""The example models, made once."""

import pytest

from tests.prediction.example import make_backbone, make_models


@pytest.fixture(scope="session")
def backbone():
    return make_backbone()


@pytest.fixture(scope="session")
def made(backbone, tmp_path_factory):
    return make_models(tmp_path_factory.mktemp("predict"), backbone)
