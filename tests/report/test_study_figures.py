"""All figures of a study at once."""

import pytest

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.report.study_figures import CAPTIONS, FIGURES, write_figures
from tests.report.study_frames import joined, runs_of

QUICK = joined(runs_of("mlgcn", [0.5, 0.6]), runs_of("mlgcn p=0", [0.4, 0.6]), runs_of("linear", [0.4, 0.5]))


def test_figures_without_data_are_skipped(tmp_path):
    written = write_figures(QUICK, tmp_path, ending="svg")
    assert list(written) == ["controls"]
    assert [path.name for path in tmp_path.iterdir()] == ["controls.svg"]


def test_what_is_wrong_with_the_call_is_not_skipped(tmp_path):
    with pytest.raises(InputError, match="names: expected"):
        write_figures(QUICK, tmp_path, ["fig7"])
    with pytest.raises(InputError, match="path: expected a name that ends in"):
        write_figures(QUICK, tmp_path, ending="jpg")
    with pytest.raises(InputError, match="found no column OF1"):
        write_figures(QUICK.drop(columns="OF1"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_every_figure_has_a_caption():
    assert list(CAPTIONS) == list(FIGURES)
