"""InputError is an object with fields, on one line, and survives processes."""

import pickle

import pytest

from mlgcn_pyg.datasets import ImageError
from mlgcn_pyg.errors import Argument, InputError, first_line, printable_line, renamed_arguments, shortened


def test_fields_survive_pickling_with_subclass_and_suggested_arguments():
    fix = ["pass ", Argument("overwrite", True), " or a smaller ", Argument("batch_size")]
    error = ImageError("path", "a new file", "a.h5", fix)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is ImageError and str(again) == str(error)
    assert (again.argument, again.expected, again.found, again.fix) == ("path", "a new file", "a.h5", tuple(fix))
    assert str(again).endswith("pass overwrite=True or a smaller batch_size")


def test_the_command_line_writes_arguments_in_its_own_way():
    error = InputError("path", "a new file", "a.h5", [Argument("overwrite", True), " replaces it"])
    assert (
        error.text(lambda argument: f"--{argument.name}")
        == "--path: expected a new file, found a.h5; --overwrite replaces it"
    )


def test_the_text_is_one_line_without_control_characters():
    error = InputError("label_names", "unique names", "'a\nb\x1b[31m\x9b\u202e' twice")
    assert str(error).isprintable()
    assert printable_line("a\r\n\tb\x00") == "a b\\x00"


def test_what_was_found_is_kept_as_text():
    assert InputError("k", "an integer", 3).found == "3"


def test_renamed_arguments_are_renamed_in_text_fields_and_pickles():
    error = ImageError("path", "a new file", "a.h5", fix=["pass ", Argument("overwrite", True), " for this path"])
    with pytest.raises(ImageError) as raised, renamed_arguments(path="out", overwrite="force"):
        raise error
    text = "out: expected a new file, found a.h5; pass force=True for this path"
    for each in (raised.value, pickle.loads(pickle.dumps(raised.value))):
        assert str(each) == text and each.argument == "out" and each.found == "a.h5"


def test_other_arguments_and_other_errors_stay_as_they_are():
    with pytest.raises(InputError, match="^p: expected a number, found path; see path$"), renamed_arguments(path="adj"):
        raise InputError("p", "a number", "path", fix="see path")
    with pytest.raises(KeyError, match="path"), renamed_arguments(path="adj"):
        raise KeyError("path")


def test_the_first_line_of_any_exception():
    assert first_line(ValueError("one\ntwo")) == "ValueError: one"
    assert first_line(ValueError()) == "ValueError"
    assert len(first_line(ValueError("x" * 1000))) == len("ValueError: ") + 120


def test_a_reason_is_not_cut_within_a_sentence_or_a_word():
    assert first_line(RuntimeError("Error(s) in loading:\n\tMissing key(s): a. \n\tmore")) == (
        "RuntimeError: Error(s) in loading: Missing key(s): a."
    )
    reason = first_line(ValueError("word " * 100))
    assert reason.endswith("word …") and len(reason) <= len("ValueError: ") + 120


def test_long_parts_are_shortened_and_the_others_kept():
    error = InputError("label_names", "e" * 5000, "f" * 10**6 + "last", fix="do this")
    assert len(str(error)) < 1300 and str(error).endswith("last; do this") and " … " in str(error)
    assert error.found.endswith("last") and len(error.found) > 10**6  # the fields are whole
    assert [len(shortened("x" * n, 20)) for n in (19, 20, 21, 1000)] == [19, 20, 20, 20]
