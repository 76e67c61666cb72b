"""The finished runs of a study on disk."""

import json
import math

import numpy as np
import pytest

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.experiments.study import CONTENDERS, Condition, Run, RunKey
from mlgcn_pyg.experiments.study.storage import check_setup, read_run, run_path, write_run

KEY = RunKey("mlgcn p=0", Condition(300, 0.9), 2, 1)
ROWS = np.array([3, 5, 9])


def a_run(key=KEY, **changes):
    values = {"val_mAP": 0.5, "seconds": 1.25, "factor": 3.0, "num_parameters": 123_456_789}
    return Run(key, ROWS, np.arange(6, dtype=np.float32).reshape(3, 2), **values | changes)


@pytest.mark.parametrize("value", [0.1 + 0.2, math.nan])
def test_a_run_is_read_as_it_was_written(tmp_path, value):
    write_run(tmp_path, a_run(val_mAP=value))
    found = read_run(tmp_path, KEY, 2)
    assert found.key == KEY and found.num_parameters == 123_456_789 and found.seconds == 1.25 and found.factor == 3
    assert found.val_mAP == value or math.isnan(value) and math.isnan(found.val_mAP)
    assert np.array_equal(found.rows, ROWS) and np.array_equal(found.logits, a_run().logits)
    assert found.rows.dtype == np.int64 and found.logits.dtype == np.float32


def test_every_contender_has_a_file_of_its_own(tmp_path):
    conditions = [Condition(), Condition(300), Condition(300, 0.5)]
    keys = [RunKey(name, one, split, draw) for name in CONTENDERS for one in conditions for split, draw in ((0, 0), (0, 1), (1, 0))]  # fmt: skip # noqa: E501
    paths = [run_path(tmp_path, key) for key in keys]
    assert len({path.name.lower() for path in paths}) == len(keys)  # also on disks that ignore case
    assert all(path.parent == tmp_path / "runs" and not set(path.name) & set('/\\:*?"<>| ') for path in paths)


def test_missing_damaged_and_foreign_files_are_no_runs(tmp_path):
    assert read_run(tmp_path, KEY, 2) is None
    write_run(tmp_path, a_run())
    path = run_path(tmp_path, KEY)
    good = path.read_bytes()
    assert read_run(tmp_path, KEY, 3) is None  # of other labels
    for size in (0, 1, 100, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:size])
        assert read_run(tmp_path, KEY, 2) is None
    damaged = bytearray(good)
    damaged[good.index(a_run().logits.tobytes()) + 3] ^= 1  # its checksum tells
    for content in (bytes(damaged), b"junk" * 100):
        path.write_bytes(content)
        assert read_run(tmp_path, KEY, 2) is None
    write_run(tmp_path, a_run(RunKey("linear", Condition(), 0)))
    run_path(tmp_path, RunKey("linear", Condition(), 0)).rename(path)  # a run, of another contender
    assert read_run(tmp_path, KEY, 2) is None
    np.save(path.with_suffix(".npy"), ROWS)
    path.with_suffix(".npy").rename(path)
    assert read_run(tmp_path, KEY, 2) is None
    whole = {"key": np.array("{}"), "rows": ROWS, "logits": a_run().logits, "numbers": np.ones(4)}
    for change in ({"numbers": np.ones(3)}, {"rows": ROWS + 0.5}, {"logits": np.array([object()])}, {}):
        with open(path, "wb") as file:
            np.savez(file, **whole | change)
        assert read_run(tmp_path, KEY, 2) is None
    path.unlink()
    path.mkdir()
    assert read_run(tmp_path, KEY, 2) is None


def test_a_folder_of_a_different_study_is_refused_by_the_names_of_what_differs(tmp_path):
    setup = {"features": {"features": ["a"]}, "labels": ["x", "y"], "seed": 0}
    check_setup(tmp_path, setup)
    check_setup(tmp_path, setup)
    written = (tmp_path / "setup.json").read_text()
    assert json.loads(written) == setup
    with pytest.raises(InputError) as caught:
        check_setup(tmp_path, setup | {"labels": ["x", "z"], "seed": 1, "graph": "g"})
    assert str(caught.value) == (
        "folder: expected a folder of a study of the same data and settings, "
        f"found different labels, seed, graph in {tmp_path / 'setup.json'}; choose a different folder, or remove it"
    )
    assert (tmp_path / "setup.json").read_text() == written
    for content in ("{", "[]", "\xff"):
        (tmp_path / "setup.json").write_bytes(content.encode("latin-1"))
        with pytest.raises(InputError, match="folder: expected the folder of a study, found an invalid"):
            check_setup(tmp_path, setup)
