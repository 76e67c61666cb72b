"""Boxes in a plot: none overlap, and they fill the area."""

import networkx as nx
import numpy as np
import pytest

from mlgcn_pyg.report.layout import in_columns, packed, packed_layout, separated


def overlaps(centres, sizes):
    """The largest overlap of two boxes, in both directions."""
    gap = (sizes[:, None] + sizes[None]) / 2 - np.abs(centres[:, None] - centres[None])
    gap = gap.min(axis=2)
    np.fill_diagonal(gap, -1)
    return gap.max(initial=-1)


@pytest.mark.parametrize("number", [1, 2, 30, 200])
def test_packed_boxes_do_not_overlap_and_use_most_of_the_area(number):
    areas = np.random.default_rng(number).uniform(0.2, 2, (number, 2))
    corners, width, height = packed(areas, 1.3)
    assert overlaps(corners + areas / 2, areas) < 1e-9
    assert (corners >= 0).all() and ((corners + areas) <= [width + 1e-9, height + 1e-9]).all()
    assert number < 30 or areas.prod(axis=1).sum() > 0.6 * width * height


def test_separated_boxes_do_not_overlap():
    random = np.random.default_rng(0)
    sizes = random.uniform(0.2, 1, (60, 2))
    assert overlaps(separated(random.normal(size=(60, 2)), sizes), sizes) < 0.02
    apart = np.arange(20.0).reshape(10, 2) * 5
    assert np.array_equal(separated(apart, np.ones((10, 2))), apart)


def test_columns_do_not_overlap():
    random = np.random.default_rng(0)
    sizes = random.uniform(0.2, 1, (300, 2))
    assert overlaps(in_columns(random.normal(size=(300, 2)), sizes), sizes) < 1e-9


@pytest.mark.parametrize("network", [
    nx.DiGraph(),
    nx.empty_graph(3, create_using=nx.DiGraph),
    nx.path_graph(2, create_using=nx.DiGraph),
    nx.star_graph(30, create_using=nx.DiGraph),
    nx.path_graph(300, create_using=nx.DiGraph),
    nx.disjoint_union_all([nx.path_graph(k, create_using=nx.DiGraph) for k in (1, 5, 2, 1, 9)]),
], ids=["none", "no edge", "one edge", "a star", "a long path", "components"])  # fmt: skip
def test_layouts_of_awkward_graphs(network):
    sizes = np.tile([[0.8, 0.3]], (network.number_of_nodes(), 1))
    centres, width, height = packed_layout(network, sizes, 1.0)
    assert centres.shape == sizes.shape and overlaps(centres, sizes) < 0.02
    assert not len(sizes) or ((centres >= 0) & (centres <= [width, height])).all()
    assert np.array_equal(packed_layout(network, sizes, 1.0)[0], centres)  # the same each time
