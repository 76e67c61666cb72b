"""Arguments of every type, and what each check returns or raises for them."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from mlgcn_pyg.checks import (
    all_finite,
    check_choice,
    check_count,
    check_finite,
    check_number,
    check_positive,
    check_targets,
    check_text,
)
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.labels import check_label_names, check_same_labels

NUMBERS = [
    0.5,
    Fraction(1, 2),
    np.float16(0.5),
    np.float32(0.5),
    np.float64(0.5),
    np.array(0.5),
    torch.tensor(0.5),
    torch.tensor(0.5, dtype=torch.bfloat16),
]
NOT_NUMBERS = [
    ("0.5", "'0.5'"),
    ("", "''"),
    (None, "None"),
    (True, "True"),
    (np.True_, "np.True_|True"),
    (torch.tensor(True), "bool|tensor"),
    (float("nan"), "nan"),
    (np.float32("nan"), "nan"),
    (torch.tensor(float("nan")), "nan"),
    (0.5 + 0j, "complex"),
    ([0.5], "list"),
    ({}, "dict"),
    (torch.tensor([0.5]), r"a Tensor of shape \(1,\)"),
    (np.array([0.5, 0.5]), r"a ndarray of shape \(2,\)"),
    (10**400, "1000"),
    (object(), "object"),
]


@pytest.mark.parametrize("value", NUMBERS, ids=lambda value: type(value).__name__)
def test_real_numbers_of_every_type_become_floats(value):
    number = check_number("tau", value, 0, 1)
    assert type(number) is float and number == 0.5


@pytest.mark.parametrize("value", [1, np.int8(1), np.uint64(1), torch.tensor(1)])
def test_integers_are_numbers(value):
    number = check_number("tau", value, 0, 1)
    assert type(number) is float and number == 1


@pytest.mark.parametrize("value, found", NOT_NUMBERS)
def test_other_values_are_not_numbers(value, found):
    with pytest.raises(InputError, match=rf"tau: expected a number in \[0, 1\], found .*({found})"):
        check_number("tau", value, 0, 1)


@pytest.mark.parametrize(
    "value, low, high, open_low, expected",
    [
        (-0.1, 0, 1, False, r"a number in \[0, 1\], found -0.1"),
        (1.5, 0, 1, False, r"a number in \[0, 1\], found 1.5"),
        (0, 0, 1, True, r"a number in \(0, 1\], found 0"),
        (-1, 0, float("inf"), False, "a number ≥ 0, found -1"),
        (0, 0, float("inf"), True, "a number > 0, found 0"),
        (float("-inf"), 0, float("inf"), True, "a number > 0, found -inf"),
    ],
)
def test_numbers_outside_the_range(value, low, high, open_low, expected):
    with pytest.raises(InputError, match=f"lr: expected {expected}"):
        check_number("lr", value, low, high, open_low=open_low)


def test_the_ends_of_the_range():
    assert check_number("p", 0, 0, 1) == 0 and check_number("p", 1, 0, 1) == 1
    assert check_number("p", 1, 0, 1, open_low=True) == 1


@pytest.mark.parametrize("value", [3, np.int8(3), np.int64(3), np.uint16(3)])
def test_integers_of_every_type(value):
    for check in (check_positive, check_count):
        number = check("k", value)
        assert type(number) is int and number == 3


@pytest.mark.parametrize("value", ["3", None, True, np.True_, 3.0, np.float64(3), 1.5, float("nan"), [3], -1, {}])
def test_other_values_are_not_counts(value):
    with pytest.raises(InputError, match="k: expected an integer ≥ 0, found"):
        check_count("k", value)
    with pytest.raises(InputError, match="k: expected an integer ≥ 1, found"):
        check_positive("k", value)


def test_zero_is_a_count_but_not_positive():
    assert check_count("k", 0) == 0
    with pytest.raises(InputError, match="an integer ≥ 1, found 0"):
        check_positive("k", 0)


def test_choices():
    assert check_choice("weighting", "a", {"a": 1, "b": 2}) == "a"
    for value in ("c", "", None, 1, True, ["a"], ("a",), {"a": 1}, np.array(["a"]), torch.tensor(1), b"a"):
        with pytest.raises(InputError, match="weighting: expected one of a, b, found "):
            check_choice("weighting", value, ["a", "b"])


@pytest.mark.parametrize(
    "targets, message",
    [
        ("abc", "a tensor, an array or nested lists of numbers, found 'abc'"),
        (None, "a tensor, an array or nested lists of numbers, found None"),
        ([["a"]], "a tensor, an array or nested lists"),
        ([[1], [1, 0]], "a tensor, an array or nested lists"),
        (1, r"a matrix of shape \(num_images, 2\), found shape \(\)"),
        ([[1]], r"found shape \(1, 1\)"),
        ([[0, 2]], "found 2 at image 0, label 1"),
        ([[0, 1j]], "found 1j at image 0, label 1"),
        ([[0.0, float("nan")]], "found nan at image 0, label 1"),
        ([[0.5, 0]], "found 0.5 at image 0, label 0"),
    ],
)
def test_refused_targets(targets, message):
    with pytest.raises(InputError, match=f"targets: expected .*{message}"):
        check_targets("targets", targets, 2)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int8, torch.int64, torch.float16, torch.complex64])
def test_targets_of_every_type_become_int8(dtype):
    targets = check_targets("targets", torch.tensor([[1, 0]]).to(dtype))
    assert targets.dtype == torch.int8 and targets.tolist() == [[1, 0]]


def test_unknown_targets_and_no_image():
    assert check_targets("targets", [[-1.0, 1.0]]).tolist() == [[-1, 1]]
    assert check_targets("targets", np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("text, message", [("\udcff", r"'\\udcff'"), (3, "a string, found 3"), (None, "a string")])
def test_refused_texts(text, message):
    with pytest.raises(InputError, match=f"ids: expected .*{message}"):
        check_text("ids", text)


def test_finite_values():
    bad = torch.tensor([[1.0, 2.0], [float("nan"), 1.0], [1.0, float("inf")]])
    assert all_finite(bad[:1]) and not all_finite(bad) and all_finite(torch.zeros(0, 3))
    check_finite("x", bad[:1])
    check_finite("x", torch.tensor([1, 2]))
    with pytest.raises(
        InputError, match=r"x: expected finite numbers, found NaN or Inf in 2 of 3 rows \(first: row 1\)"
    ):
        check_finite("x", bad)
    with pytest.raises(InputError, match=r"in 1 of 2 rows \(first: row 1\)"):
        check_finite("x", torch.tensor([0, float("inf")]))
    with pytest.raises(InputError, match="in 1 of 1 rows"):
        check_finite("x", torch.tensor(float("nan")))


@pytest.mark.parametrize(
    "names, num_labels, message",
    [
        (["a"], 2, "2 names, one per label, found 1"),
        (["a", "a"], None, "unique names, found 'a' twice"),
        (["a", 1], None, r"strings, found 1 \(int\)"),
        (["\ud800"], None, "encoded in UTF-8"),
        (3, None, "a sequence of strings, found 3"),
        (None, None, "a sequence of strings, found None"),
    ],
)
def test_refused_label_names(names, num_labels, message):
    with pytest.raises(InputError, match=f"label_names: expected .*{message}"):
        check_label_names(names, num_labels)


def test_label_names():
    assert check_label_names(None, 2) == ("0", "1")
    assert check_label_names(["b", "a"]) == check_label_names(("b", "a"), 2) == ("b", "a")


@pytest.mark.parametrize(
    "names, message",
    [
        (["a"], "found 1 labels"),
        (["b", "a"], "found the same labels in a different order"),
        (["a", "c"], "found 'c' instead of 'b' as label 1"),
    ],
)
def test_lists_of_labels_that_differ(names, message):
    check_same_labels("x", ("a", "b"), ["a", "b"], "the graph")
    with pytest.raises(InputError, match=f"x: expected the 2 labels of the graph, {message}"):
        check_same_labels("x", names, ["a", "b"], "the graph")
