"""``metrics.json`` as typed values, and everything that a damaged or foreign file may be."""

import copy
import json
import math

import pytest

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.run_report.json_files import read_lines
from mlgcn_pyg.run_report.metrics import RunMetrics, number
from tests.run_report.plain import plain


def test_typed_values():
    metrics = RunMetrics.of(plain(test=True))
    assert metrics.label_names == ("cat", "dog") and list(metrics.heads) == ["linear", "sharing", "mlgcn"]
    assert metrics.reported == "test" and metrics.reported_file == "test.h5" and metrics.reference == "linear"
    assert metrics.interval("mlgcn").high == 0.8 and math.isnan(metrics.intervals["mlgcn"].AP[1].value)
    assert metrics.differences["mlgcn"].gained == (0,) and metrics.differences["mlgcn"].lost == (1,)
    assert metrics.choice.kind == "mlgcn" and metrics.positives == {"cat": 12, "dog": 0}


def test_a_head_of_an_earlier_command_has_no_limits():
    content = plain()
    for part in ("heads", "differences"):
        content["intervals"][part].pop("mlgcn")
    content["recommendation"] = None
    found = RunMetrics.of(content).interval("mlgcn")
    assert found.value == 0.75 and math.isnan(found.low) and math.isnan(found.high)


def test_a_file_without_intervals():
    content = plain() | {"intervals": None, "recommendation": None}
    assert RunMetrics.of(content).intervals == {}


def damaged(*path, value=...):
    content = copy.deepcopy(plain())
    inner = content
    for name in path[:-1]:
        inner = inner[name]
    if value is ...:
        inner.pop(path[-1])
    else:
        inner[path[-1]] = value
    return content


@pytest.mark.parametrize(
    "content",
    [
        {},
        damaged("setup"),
        damaged("setup", "val", "sha256"),
        damaged("heads", value={}),
        damaged("heads", value=[1]),
        damaged("heads", "linear", "seeds", value=[]),
        damaged("heads", "linear", "mean", "AP", value={"cat": 1, "cow": 1}),
        damaged("heads", "linear", "mean", "all", "mAP", value="0.7"),
        damaged("heads", "linear", "mean", "all", "mAP", value=True),
        damaged("intervals", "heads", "linear", "AP", "cat"),
        damaged("intervals", "heads", value={"tree": plain()["intervals"]["heads"]["linear"]}),
        damaged("intervals", "differences", "mlgcn", "gained", value=["cow"]),
        damaged("recommendation", "head", value="tree"),
        damaged("recommendation", "selection"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path, content):
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    with pytest.raises(InputError) as refused:
        RunMetrics.read(tmp_path)
    assert refused.value.argument == "run" and "metrics.json" in refused.value.found
    assert refused.value.expected == "a metrics.json of mlgcn train-head" and "\n" not in str(refused.value)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[1]", b"[" * 100_000, b'{"a": 1' + b"\0" * 9])
def test_what_is_no_json_is_one_line(tmp_path, text):
    (tmp_path / "metrics.json").write_bytes(text)
    with pytest.raises(InputError, match="^run: expected a metrics.json of mlgcn train-head, found .*metrics.json"):
        RunMetrics.read(tmp_path)


def test_numbers():
    assert number(1) == 1.0 and math.isnan(number(None)) and math.isnan(number(float("inf")))
    for value in ("1", True, [1], {}):
        with pytest.raises(ValueError, match="instead of a number"):
            number(value)


def test_histories(tmp_path):
    path = tmp_path / "h.jsonl"
    assert read_lines(path, "a history") == []
    path.write_text('{"epoch": 1}\n\n{"epoch": 2, "mAP": null}\n')
    assert read_lines(path, "a history") == [{"epoch": 1}, {"epoch": 2, "mAP": None}]
    for text in ('{"epoch": 1}\n{"ep', "[1]\n", "NaN\n"):
        path.write_text(text)
        with pytest.raises(InputError, match="run: expected a history, found"):
            read_lines(path, "a history")
