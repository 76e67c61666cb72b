"""How many images and splits an interval of a given width takes, and what is too few."""

import math

import pytest

from mlgcn_pyg.evaluation.significance import Error
from mlgcn_pyg.experiments.study.design import Design, Needed

SHARED, OVERLAPPING = Design(shared_test=True), Design(shared_test=False, overlap=0.25)


@pytest.mark.parametrize("images, splits", [(0.01, 0.0005), (0.01, 0.02), (0.001, 0.02)])
def test_the_needed_numbers_give_the_wanted_interval(images, splits):
    needed = SHARED.needed(Error(images), Error(splits, 9), 0.003, 5000, 10)
    variance = images**2 * 5000 / needed.images + splits**2 * 10 / needed.splits
    assert 1.96 * math.sqrt(variance) <= 0.003
    if min(needed.images / 5000, needed.splits / 10) > 1:
        assert 1.96 * math.sqrt(variance) > 0.0027  # numbers are rounded up to two digits


def test_more_images_are_enough_where_splits_hardly_differ():
    assert SHARED.needed(Error(0.003), Error(0.0, 9), 0.00588, 1000, 10) == Needed(1000, 10)
    assert SHARED.needed(Error(0.006), Error(0.0, 9), 0.00588, 1000, 10) == Needed(4000, 10)
    assert SHARED.needed(Error(0.006), None, 0.00588, 1000, 1) == Needed(4000, 1)


def test_overlapping_splits_need_more_images():
    assert OVERLAPPING.needed(Error(0.003), Error(0.006, 9), 0.00588, 1000, 10) == Needed(4000, 10)


def test_nothing_is_known_of_undefined_errors():
    assert SHARED.needed(Error(math.nan), None, 0.003, 1000, 0) == Needed(0, 0)


def test_the_smallest_p_of_sign_flips():
    assert SHARED.least_p(6) == 2 / 64 and SHARED.least_p(21) == OVERLAPPING.least_p(6) == 0


def test_few_test_images_are_not_tested_even_where_splits_do_not_differ():
    for design in (SHARED, OVERLAPPING):
        assert design.problem(10, 20) == design.problem(10, 20, constant=True) == ""
        assert design.problem(10, 19, constant=True) == "a test over images requires 20 of them, not 19"
    assert "requires 6" in SHARED.problem(5, 20) and SHARED.problem(5, 20, constant=True) == ""
