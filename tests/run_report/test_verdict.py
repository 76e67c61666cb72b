"""The sentences about the heads of a run: every case of the verdict, from metrics written by hand."""

import pytest

from mlgcn_pyg.run_report.metrics import RunMetrics
from mlgcn_pyg.run_report.verdict import selected_on, verdict
from tests.run_report.plain import difference, plain


def lines(**changes):
    return verdict(RunMetrics.of(plain(**changes)))


def test_a_clearly_better_head():
    first, labels, others = lines()
    assert first == (
        "Recommended: the mlgcn head, 75.0 [70.0, 80.0] mAP on val.h5: +5.0 [+1.0, +9.0] against the linear head, "
        "paired over images and seeds."
    )
    assert labels == (
        "AP against the linear head (corrected for the number of labels, 2): higher for cat +25.0 (12 positive images);"
        " lower for dog – (0 positive images)."
    )
    assert others == "Not recommended: sharing +2.0 [-1.0, +5.0] (not clearly different) mAP against the linear head."


def test_a_head_that_is_better_only_where_it_was_selected():
    first, labels, _ = lines(mlgcn=difference(0.01, -0.02, 0.04))
    assert first.endswith(
        " On these images it is not clearly better: it was selected by +3.0 ± 2.0 on 5 folds of the training images."
    )
    assert labels == "No label has a clearly different AP (corrected for the number of labels, 2)."
    assert "it was selected by +3.0 ± 2.0 on val.h5." in lines(images="val", mlgcn=difference(0.01, -0.02, 0.04))[0]


def test_a_standard_error_that_could_not_be_estimated_is_left_out():
    content = plain(mlgcn=difference(0.01, -0.02, 0.04))
    for error in (None, float("inf")):
        content["recommendation"]["selection"]["standard_error"]["mlgcn"] = error
        assert "selected by +3.0 on 5 folds" in verdict(RunMetrics.of(content))[0]


def test_the_simplest_head():
    first, others = lines(recommended="linear", sharing=difference(-0.02, -0.03, -0.01))
    assert first == "Recommended: the linear head, 75.0 [70.0, 80.0] mAP on val.h5."
    assert others == (
        "Not recommended: sharing -2.0 [-3.0, -1.0] (worse), mlgcn +5.0 [+1.0, +9.0] (better here, but not on the "
        "images that select) mAP against the linear head."
    )


def test_the_only_head():
    content = plain(recommended="linear", images="none")
    for part in ("heads", "differences"):
        for kind in ("sharing", "mlgcn"):
            content["intervals"][part].pop(kind)
    content["heads"] = {"linear": content["heads"]["linear"]}
    metrics = RunMetrics.of(content)
    assert verdict(metrics) == ["Recommended: the linear head, the only one, 75.0 [70.0, 80.0] mAP on val.h5."]
    assert selected_on(metrics) == ""


def test_heads_of_several_commands():
    content = plain()
    content["recommendation"] = None
    metrics = RunMetrics.of(content)
    (line,) = verdict(metrics)
    assert line.startswith("No head is recommended, since earlier commands trained other heads")
    assert selected_on(metrics) == ""


def test_images_that_select_and_report():
    assert lines(images="val")[-1].startswith("val.h5 both selected this head and reports its metrics.")
    assert "both selected" not in " ".join(lines(images="val", test=True))


@pytest.mark.parametrize(
    "images, test, expected",
    [
        ("folds", False, "were selected on 5 folds of the training images; val.h5 only reports."),
        ("val", True, "were selected on val.h5; test.h5 only reports."),
        ("val", False, ""),
    ],
)
def test_what_selected(images, test, expected):
    found = selected_on(RunMetrics.of(plain(images=images, test=test)))
    assert expected in found and bool(found) == bool(expected)


def test_few_training_images_have_as_many_folds():
    content = plain()
    content["setup"]["train"]["images"] = 3
    assert "selected on 3 folds" in selected_on(RunMetrics.of(content))
