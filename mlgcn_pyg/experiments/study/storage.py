"""The finished runs of a study on disk, from which an interrupted study is resumed.

The folder ``runs`` has one file per run. ``setup.json`` records what all runs share: a folder with different data or
settings is refused.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.experiments.study.records import Run, RunKey
from mlgcn_pyg.files.atomic import atomic_path, write_text

SETUP = "setup.json"
GROWING = "further_embeddings"  # by name; a later study in the same folder may have others
NUMBERS = ("val_mAP", "seconds", "factor", "num_parameters")


def run_path(folder: Path, key: RunKey) -> Path:
    """Returns the file of a run.

    >>> from mlgcn_pyg.experiments.study.records import Condition
    >>> run_path(Path("out"), RunKey("mlgcn p=0", Condition(300, 0.9), split=2)).name
    'mlgcn_p=0-n300-u0.9-split2-draw0.npz'
    """
    images = "all" if key.condition.num_images is None else key.condition.num_images
    name = re.sub(r"[^\w=.]", "_", key.contender)
    return folder / "runs" / f"{name}-n{images}-u{key.condition.unknown:g}-split{key.split}-draw{key.draw}.npz"


def write_run(folder: Path, run: Run) -> None:
    """Writes a finished run atomically."""
    numbers = np.array([getattr(run, name) for name in NUMBERS], np.float64)
    with atomic_path(run_path(folder, run.key)) as partial, open(partial, "wb") as file:
        np.savez(file, key=np.array(_text(run.key)), rows=run.rows, logits=run.logits, numbers=numbers)


def read_run(folder: Path, key: RunKey, num_labels: int) -> Run | None:
    """Returns a finished run; None if it is missing or damaged, so that it is computed again."""
    try:
        with open(run_path(folder, key), "rb") as file, np.load(file, allow_pickle=False) as content:
            rows, logits, numbers = content["rows"], content["logits"], content["numbers"].tolist()
            is_right = str(content["key"]) == _text(key) and rows.dtype == np.int64 and logits.dtype == np.float32
        values = dict(zip(NUMBERS, numbers, strict=True))
        run = Run(key, rows, logits, **(values | {"num_parameters": int(values["num_parameters"])}))
    except Exception:  # NumPy raises nearly anything for a damaged file
        return None
    return run if is_right and logits.shape == (len(rows), num_labels) else None


def check_setup(folder: Path, setup: Mapping[str, Any]) -> None:
    """Records what all runs in a folder share, or compares it with what the folder records.

    Raises:
        InputError: if the folder has runs of a different setup; the error names the differences.
    """
    path = folder / SETUP
    wanted = json.loads(json.dumps(setup))
    if not path.is_file():
        write_text(path, json.dumps(wanted, indent=2) + "\n")
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    fix = ("choose a different ", Argument("folder"), ", or remove it")
    if not isinstance(found, dict):
        raise InputError("folder", "the folder of a study", f"an invalid {path}", fix)
    known, given = found.get(GROWING) or {}, wanted.get(GROWING) or {}
    if known | given == given | known:  # the same for common names
        found[GROWING] = wanted[GROWING] = known | given
    different = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    if different:
        expected = "a folder of a study of the same data and settings"
        raise InputError("folder", expected, f"different {', '.join(different)} in {path}", fix)
    if given.keys() - known.keys():
        write_text(path, json.dumps(wanted, indent=2) + "\n")


def _text(key: RunKey) -> str:
    return json.dumps(asdict(key), sort_keys=True)
