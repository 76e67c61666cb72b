"""Pictures of explanations: what is drawn, for any number of labels and images."""

import numpy as np
import pytest
import torch
from PIL import Image

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.prediction import Explanation, LabelExplanation
from mlgcn_pyg.report.overlays import overlay, plot_explanation


def explained(count=3, cells=True, neighbours=7, name="label {} $x$ 犬"):
    torch.manual_seed(0)
    near = [(f"neighbour {k}", 2.0 - k) for k in range(neighbours)]
    labels = [
        LabelExplanation(name.format(k), 1.5, 0.82, 0.5, near, 0.25, torch.randn(4, 6) if cells else None)
        for k in range(count)
    ]
    return Explanation(Image.new("RGB", (60, 40), "teal"), labels)


def texts(figure):
    figure.canvas.draw()
    return [text.get_text() for axes in figure.get_axes() for text in axes.findobj(type(axes.title))]


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_a_file_of_each_format_is_written(tmp_path, ending):
    path = tmp_path / f"e{ending}"
    plot_explanation(explained(1, name="dog"), path)
    assert path.stat().st_size > 5000
    with pytest.raises(InputError, match="path: expected a name that ends in .png"):
        plot_explanation(explained(), tmp_path / "e.jpg")


@pytest.mark.filterwarnings("ignore:no installed font")
def test_every_label_has_a_map_and_the_bars_of_its_terms():
    figure = plot_explanation([explained(4), Explanation("b.jpg", error="broken"), explained(1)])
    pictures = [axes for axes in figure.get_axes() if axes.images]
    bars = [axes for axes in figure.get_axes() if axes.containers]
    assert len(pictures) == 2 + 5 and len(bars) == 5  # a photograph for each image, a map for each label
    for axes in bars:
        # own, five neighbours, the two others, bias
        assert [bar.get_width() for bar in axes.containers[0]] == [0.5, 2, 1, 0, -1, -2, -3 - 4, 0.25]
    shown = texts(figure)
    for word in ("label 3 $x$ 犬  82 %", "neighbour 4", "2 other neighbours", "bias", "logit", "+1.50", "−2.00"):
        assert word in shown, word


def test_an_image_without_maps_is_drawn_as_it_is():
    figure = plot_explanation(explained(1, cells=False, neighbours=0, name="dog"))
    photo, picture = [axes.images[0].get_array() for axes in figure.get_axes() if axes.images]
    assert np.array_equal(photo, picture)


def test_nothing_to_draw_is_refused():
    for nothing in ([], [Explanation("b.jpg", error="broken")]):
        with pytest.raises(InputError, match="explanations: expected at least one explained label, found none"):
            plot_explanation(nothing)


def test_raised_parts_are_orange_lowered_ones_blue_and_the_others_grey():
    cells = np.zeros((4, 4))
    cells[0, 0], cells[3, 3] = 2.0, -2.0
    picture = overlay(np.full((80, 80, 3), 128, np.uint8), cells, 2.0)
    red, _, blue = np.moveaxis(picture, 2, 0)
    assert picture.shape == (80, 80, 3) and picture.min() >= 0 and picture.max() <= 1
    assert red[2, 2] > blue[2, 2] + 0.3 and blue[-3, -3] > red[-3, -3] + 0.3
    assert np.ptp(picture[40, 40]) < 0.1
    assert np.isfinite(overlay(np.full((8, 9, 3), 128, np.uint8), torch.zeros(2, 2), 0.0)).all()
    assert overlay(np.full((8, 9, 3), 128, np.uint8), torch.ones(1, 1), 1.0).shape == (8, 9, 3)
