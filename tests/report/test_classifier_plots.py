import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.decomposition import PCA

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import neighbour_purity
from mlgcn_pyg.report.classifier_plots import plot_classifiers, project, purity_text

NAMES = [f"label {i}" for i in range(9)]
GROUPS = ["x", "x", "x", "y", "y", "y", "z", None, None]


def classifiers(num=9, width=6, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(num, width)))


def test_two_heads_side_by_side_with_purities(tmp_path):
    heads = {"linear": classifiers(), "ML-GCN": classifiers(seed=1).requires_grad_()}
    figure = plot_classifiers(heads, NAMES, GROUPS, tmp_path / "c.png", k=2)
    tsne_linear, tsne_gcn, pca_linear, _ = figure.axes
    assert [axes.get_title() for axes in (tsne_linear, tsne_gcn)] == ["linear", "ML-GCN"]
    assert (tsne_linear.get_ylabel(), pca_linear.get_ylabel()) == ("t-SNE", "PCA")
    purity = neighbour_purity(classifiers(), GROUPS, k=2)
    assert f"\n{100 * purity.value:.0f} % (by chance {100 * purity.expected:.0f} %; p = " in tsne_linear.get_xlabel()
    assert sorted(text.get_text() for text in figure.legends[0].texts) == ["none", "x", "y", "z"]
    assert [text.get_text() for text in pca_linear.texts] == NAMES
    with Image.open(tmp_path / "c.png") as picture:
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 50


def test_pca_is_that_of_vectors_of_length_1():
    figure = plot_classifiers({"linear": classifiers()}, NAMES)
    drawn = np.concatenate([points.get_offsets() for points in figure.axes[1].collections])
    unit = classifiers().numpy()
    expected = PCA(2).fit_transform(unit / np.linalg.norm(unit, axis=1, keepdims=True))
    assert np.allclose(np.abs(drawn), np.abs(expected)) and not figure.legends


@pytest.mark.parametrize("methods", [("PCA",), ("t-SNE",), ("PCA", "t-SNE")])
def test_the_chosen_methods_are_drawn(methods):
    figure = plot_classifiers({"a": classifiers(), "b": classifiers(seed=1)}, NAMES, GROUPS, methods=methods, k=2)
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == list(methods)
    assert figure.axes[0].get_title() == "a" and "by chance" in figure.axes[0].get_xlabel()


def test_groups_have_different_looks():
    names = [str(i) for i in range(40)]
    figure = plot_classifiers({"a": classifiers(40)}, names, names)
    points = figure.axes[1].collections
    looks = {(str(p.get_facecolor()), str(p.get_paths()[0].vertices.round(2).tolist())) for p in points}
    assert len(points) == 40 == len(looks)


def test_tsne_keeps_clusters_together_and_depends_on_the_seed_only():
    random = np.random.default_rng(0)
    vectors = np.repeat(5 * np.eye(3), 8, axis=0) + 0.1 * random.normal(size=(24, 3))
    places = project(vectors, "t-SNE", 0)
    assert neighbour_purity(places - places.mean(axis=0), ["a"] * 8 + ["b"] * 8 + ["c"] * 8, k=3).value > 0.8
    assert np.array_equal(places, project(vectors, "t-SNE", 0)) and not np.allclose(
        places, project(vectors, "t-SNE", 1)
    )


@pytest.mark.parametrize("vectors", [torch.ones(3, 1), torch.zeros(4, 2), torch.ones(3, 5), classifiers(3)])
def test_few_equal_and_narrow_classifiers(vectors):
    figure = plot_classifiers({"linear": vectors}, NAMES[: len(vectors)], ["x"] * len(vectors))
    assert all(np.isfinite(p.get_offsets()).all() for axes in figure.axes for p in axes.collections)


def test_without_groups_of_two_labels_there_is_no_purity():
    assert purity_text(classifiers(3), ["a", "b", "c"], 2) == purity_text(classifiers(3), [None] * 3, 2) == ""


def test_names_are_text_not_formulas(tmp_path):
    names = ["$x^", "a\x1b[2J", "label_{", "$$"]
    plot_classifiers({"$head^": classifiers(4)}, names, ["$a^", "$a^", None, None], tmp_path / "c.svg")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"classifiers": {}}, "classifiers: expected at least one head, found none"),
        (
            {"classifiers": {"a": classifiers(3)}},
            r"classifiers: expected shape \(9, D\), one row per label, found shape",
        ),
        ({"classifiers": {"a": classifiers() * torch.nan}}, "classifiers: expected finite numbers"),
        ({"groups": ["a"]}, "groups: expected 9 super-categories, one per label, found 1"),
        ({"methods": ()}, "methods: expected some of t-SNE, PCA, found none"),
        ({"methods": ("UMAP",)}, "methods: expected one of t-SNE, PCA, found"),
        ({"path": "c.bmp"}, "path: expected a name that ends in .png"),
        ({"seed": -1}, "seed: expected an integer ≥ 0"),
        ({"k": 0, "groups": GROUPS}, "k: expected an integer ≥ 1"),
    ],
)
def test_invalid_arguments(options, message):
    with pytest.raises(InputError, match=f"^{message}"):
        plot_classifiers(**{"classifiers": {"a": classifiers()}, "label_names": NAMES} | options)
    with pytest.raises(InputError, match="label_names: expected at least three labels, found 2"):
        plot_classifiers({"a": classifiers(2)}, ["a", "b"])
