"""What notebooks show of a history."""

import math

from mlgcn_pyg.training import History
from tests.test_html import Parsed


def test_epochs_are_rows_and_missing_values_are_dashes():
    history = History([{"epoch": 1, "lr": 0.1, "loss": 0.5}, {"epoch": 2, "lr": 0.05, "loss": 0.25, "mAP": math.nan}])
    assert Parsed(history._repr_html_()).texts == [
        "2 epochs", "epoch", "lr", "loss", "mAP", "1", "0.10000", "0.50000", "–", "2", "0.05000", "0.25000", "–",
    ]  # fmt: skip


def test_the_last_epochs_of_many_are_listed():
    html = History([{"epoch": epoch, "lr": 0.1, "loss": 1.0} for epoch in range(1, 101)])._repr_html_()
    assert "100 epochs, the last 20" in html and html.count("<tr>") == 21 and ">100<" in html and ">80<" not in html


def test_no_epoch():
    assert Parsed(History([])._repr_html_()).texts == ["0 epochs"]
