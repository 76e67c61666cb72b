import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import retrieve
from mlgcn_pyg.report.retrieval_grid import OTHER, SHARED, plot_retrieval, summary

TARGETS = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 1], [0, 0, 0]])
NAMES = ["sea", "boat", "a very long name of a label, indeed"]
ANGLES = np.radians([0, 5, 12, 20, 60])
FEATURES = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)


@pytest.fixture
def paths(tmp_path):
    found = []
    for number, (mode, size) in enumerate((("RGB", (40, 30)), ("L", (9, 90)), ("RGBA", (500, 300)), ("P", (1, 1)))):
        found.append(tmp_path / f"{number}.png")
        Image.new(mode, size, 100).save(found[-1])
    Image.new("CMYK", (30, 30)).save(tmp_path / "4.jpg")
    return [*found, tmp_path / "4.jpg"]


def texts(axes):
    return axes.get_xlabel().split("\n")


def test_a_row_per_query_and_network(paths, tmp_path):
    found = {"first": retrieve(FEATURES, TARGETS, k=3), "second": retrieve(FEATURES[:, ::-1] ** 3, TARGETS, k=3)}
    figure = plot_retrieval(found, paths, TARGETS, NAMES, tmp_path / "grid.png", queries=[0, 3], shown=2)
    cells = np.array(figure.axes).reshape(4, 3)
    assert found["first"].neighbours[0].tolist() == [1, 2, 3]
    assert [texts(axes) for axes in cells[0]] == [["sea", "boat"], ["✓ sea"], ["a very long name of a…"]]
    assert [to_hex(axes.spines["left"].get_edgecolor()) for axes in cells[0][1:]] == [SHARED, OTHER]
    assert cells[0][2].spines["left"].get_linestyle() == "--"  # told apart without colours, too
    assert [axes.get_ylabel().split("\n")[0] for axes in cells[:, 0]] == ["first", "second"] * 2
    assert f"AP@3 {found['first'].AP[0]:.2f}, nDCG {found['first'].gains[0]:.2f}" in cells[0, 0].get_ylabel()
    assert summary(found["second"]) in figure.get_suptitle() and (tmp_path / "grid.png").stat().st_size > 1000


def test_the_first_four_queries_that_all_networks_have(paths):
    found = {"a": retrieve(FEATURES, TARGETS, k=4, queries=[3, 0, 2]), "b": retrieve(FEATURES, TARGETS, k=2)}
    figure = plot_retrieval(found, paths, TARGETS, NAMES)
    queries = [texts(axes)[0] for axes in np.array(figure.axes).reshape(6, 3)[:, 0]]
    assert queries == ["boat", "boat", "sea", "sea", "a very long name of a…", "a very long name of a…"]  # rows 3, 0, 2


def test_many_labels_are_cut(paths):
    targets = np.ones((5, 9), dtype=int)
    figure = plot_retrieval({"a": retrieve(FEATURES, targets, k=1)}, paths, targets, list("abcdefghi"), queries=[0])
    assert texts(figure.axes[1]) == ["✓ a", "✓ b", "✓ c", "and 6 more"]


def test_a_photograph_is_turned_upright(tmp_path, paths):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    picture = Image.new("RGB", (60, 30))
    picture.paste((255, 0, 0), (0, 0, 30, 30))
    picture.save(tmp_path / "turned.png", exif=exif)
    files = [tmp_path / "turned.png", *paths[1:]]
    figure = plot_retrieval({"a": retrieve(FEATURES, TARGETS, k=1)}, files, TARGETS, NAMES, queries=[0])
    drawn = figure.axes[0].images[0].get_array()
    assert drawn[20, 120, 0] > 200 > 50 > drawn[-20, 120, 0]  # red is above


def test_invalid_arguments(paths, tmp_path):
    found = {"a": retrieve(FEATURES, TARGETS, k=2)}
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"paths: expected image files, found .*broken\.jpg"):
        plot_retrieval(found, [tmp_path / "broken.jpg"] * 5, TARGETS, NAMES)
    with pytest.raises(InputError, match="paths: expected 5 files, one per row of targets, found 2"):
        plot_retrieval(found, paths[:2], TARGETS, NAMES)
    with pytest.raises(InputError, match="queries: expected queries that have a label and a match, found row 4"):
        plot_retrieval(found, paths, TARGETS, NAMES, queries=[0, 4])
    with pytest.raises(InputError, match="found: expected at least one network"):
        plot_retrieval({}, paths, TARGETS, NAMES)
    with pytest.raises(InputError, match="queries: expected at least one query"):
        plot_retrieval(found, paths, TARGETS, NAMES, queries=[])
    with pytest.raises(InputError, match="shown: expected an integer ≥ 1"):
        plot_retrieval(found, paths, TARGETS, NAMES, shown=0)
