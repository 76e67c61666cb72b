"""Counters of parts of a table, added in any order and grouping, in one process or in several."""

import functools
import multiprocessing
import operator
import pickle
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import CooccurrenceCounter, LabelGraph
from mlgcn_pyg.graph.counts import count_targets
from mlgcn_pyg.graph.shares import Share, merged

NAMES = ("a", "b", "c", "d")


def same_counts(a, b):
    """Whether two counters agree in every number, and in the graph."""
    graphs = [LabelGraph.from_counter(counter, tau=0.2) for counter in (a, b)]
    return (
        a.num_images == b.num_images
        and torch.equal(a.label_counts, b.label_counts)
        and (a.pair_counts != b.pair_counts).nnz == 0
        and (a.unknown_counts != b.unknown_counts).nnz == 0
        and torch.equal(graphs[0].edge_index, graphs[1].edge_index)
        and torch.equal(graphs[0].edge_prob, graphs[1].edge_prob)
    )


def tree(counters):
    """Adds neighbours, then neighbours of the sums, and so on."""
    while len(counters) > 1:
        counters = [functools.reduce(operator.add, counters[k : k + 2]) for k in range(0, len(counters), 2)]
    return counters[0]


@settings(max_examples=40, deadline=None)
@given(
    arrays(np.int8, st.tuples(st.integers(0, 20), st.just(4)), elements=st.integers(-1, 1)),
    st.lists(st.integers(0, 20), min_size=3, max_size=6),
)
def test_any_partition_order_and_grouping_equals_one_counter(targets, cuts):
    whole = CooccurrenceCounter(4).update(targets)
    parts = [CooccurrenceCounter(4).update(part) for part in np.split(targets, sorted(cuts))]  # some are empty
    for total in (
        functools.reduce(operator.add, parts),
        functools.reduce(operator.add, parts[::-1]),
        functools.reduce(lambda sum, part: part + sum, parts),
        tree(parts),
        sum(parts, CooccurrenceCounter(4)),
    ):
        assert same_counts(total, whole)


def test_a_sum_changes_neither_counter():
    a, b = CooccurrenceCounter(2).update([[1, 1]]), CooccurrenceCounter(2).update([[1, 0], [1, -1]])
    total = a + b
    assert total.num_images == 3 and (a.num_images, b.num_images) == (1, 2)
    assert a.label_counts.tolist() == [1, 1] and b.label_counts.tolist() == [2, 0]
    total.update([[1, 1]])
    assert (a + b).num_images == 3  # a repeated task of an engine counts nothing twice


@pytest.mark.parametrize("other", [CooccurrenceCounter(3), None, 0])
def test_a_sum_with_other_labels_or_no_counter_is_refused(other):
    with pytest.raises(InputError, match="other: expected a"):
        CooccurrenceCounter(2) + other


def test_a_counter_in_read_only_memory():
    """As engines with shared memory pass arrays on."""
    counter = CooccurrenceCounter(3).update([[1, 1, -1], [0, 1, 1]])
    buffers = []
    text = pickle.dumps(counter, protocol=5, buffer_callback=buffers.append)
    read_only = pickle.loads(text, buffers=[memoryview(bytes(buffer.raw())).toreadonly() for buffer in buffers])
    expected = CooccurrenceCounter(3).update([[1, 1, -1], [0, 1, 1], [1, 1, -1], [0, 1, 1]])
    assert same_counts(read_only + read_only, expected)


FORMS = {
    "dense": lambda part: part,
    "sparse": sp.csr_array,
    "lists": lambda part: [np.flatnonzero(row == 1).tolist() for row in part],
}


def test_four_worker_processes_equal_one_counter():
    """Each worker counts one part; workers also add the counters, as a tree."""
    generator = np.random.default_rng(0)
    targets = (generator.random((1000, 12)) < 0.3).astype(np.int8)
    parts = np.array_split(targets, 7)  # more parts than workers, of unequal sizes
    whole = count_targets(targets)
    with ProcessPoolExecutor(4, multiprocessing.get_context("forkserver")) as pool:
        for form in FORMS.values():
            counters = list(pool.map(count_targets, map(form, parts), [12] * len(parts)))
            while len(counters) > 1:
                odd = counters[len(counters) // 2 * 2 :]
                counters = list(pool.map(operator.add, counters[0:-1:2], counters[1::2])) + odd
            assert same_counts(counters[0], whole)
    pairs = whole.pair_counts.toarray() + np.diag(whole.label_counts.numpy())
    graph, other = (LabelGraph.from_counts(whole.label_counts, pairs), LabelGraph.from_counter(counters[0]))
    assert torch.equal(graph.edge_index, other.edge_index) and torch.equal(graph.edge_prob, other.edge_prob)


@pytest.mark.parametrize("num_images, size", [(0, 2), (1, 2), (5, 2), (5, 4), (2, 5)])
def test_shares_together_are_all_images(num_images, size):
    targets = torch.randint(-1, 2, (num_images, 4), generator=torch.Generator().manual_seed(0))
    shares = [Share.of(targets, NAMES, rank, size) for rank in range(size)]
    sizes = [share.counter.num_images for share in shares]
    assert sum(sizes) == num_images and max(sizes) - min(sizes) <= 1
    assert same_counts(merged(shares), CooccurrenceCounter(4).update(targets))


def test_shares_of_other_data_sets_are_refused():
    targets = torch.ones(4, 4)
    shares = [Share.of(targets, NAMES, 0, 2), Share.of(targets, ("a", "b", "d", "c"), 1, 2)]
    with pytest.raises(InputError, match="dataset: expected the same labels .*, found other labels in process 1"):
        merged(shares)
    shares[1] = Share.of(targets[:, :3], NAMES[:3], 1, 2)
    with pytest.raises(InputError, match="found other labels in process 1"):
        merged(shares)
    shares[1] = Share.of(torch.ones(3, 4), NAMES, 1, 2)
    with pytest.raises(InputError, match="found 4 images, and 3 in process 1"):
        merged(shares)
