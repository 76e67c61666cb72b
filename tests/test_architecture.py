"""The arrows between the package's parts, and what importing the root may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mlgcn_pyg

ROOT = Path(mlgcn_pyg.__file__).parent
ANY = {"checks", "files", "seeding", "_version"}
ALLOWED = {
    "graph": set(),
    "datasets": set(),
    "features": set(),
    "evaluation": set(),
    "nn": {"graph"},
    "training": {"nn", "features", "evaluation"},
    "experiments": {"graph", "nn", "features", "training", "evaluation"},
    "report": {"graph", "evaluation"},
    "cli": {"graph", "nn", "features", "training", "evaluation", "datasets", "experiments", "report"},
}
PARTS = sorted(path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__")


def imported_parts(path: Path) -> set[str]:
    """Parts of the package that a file imports, inside functions and for type checkers too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            # `from mlgcn_pyg import X` names a part or something that the root takes from one
            names = [f"mlgcn_pyg.{a.name}" for a in node.names] if node.module == "mlgcn_pyg" else [node.module]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("mlgcn_pyg.")}
    return found


def test_every_part_is_in_the_plan():
    assert set(PARTS) <= set(ALLOWED)


@pytest.mark.parametrize("part", PARTS)
def test_arrows(part):
    for path in (ROOT / part).rglob("*.py"):
        strange = imported_parts(path) - ALLOWED[part] - ANY - {part}
        assert not strange, f"{path.relative_to(ROOT)} may not import {', '.join(sorted(strange))}"


def test_root_modules_import_no_part_eagerly():
    for name in ANY:
        assert imported_parts(ROOT / f"{name}.py") <= ANY


HEAVY = ("torchvision", "h5py", "matplotlib", "accelerate", "torchmetrics", "pandas", "PIL", "sklearn", "typer", "rich")


def loaded_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_the_root_loads_nothing_heavy_that_torch_geometric_does_not():
    names = "from mlgcn_pyg import LabelGraph, MLGCNHead, MLGCN, ReweightedConv, __version__"
    extra = loaded_by(names) - loaded_by("import torch_geometric")
    assert not extra & set(HEAVY), extra & set(HEAVY)


def test_help_needs_no_torch():
    assert "torch" not in loaded_by("import mlgcn_pyg.cli.main")


def test_functions_and_files_stay_short():
    for path in ROOT.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 260, f"{path.relative_to(ROOT)} is too long for one idea"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.body:
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = node.end_lineno - body[0].lineno + 1 if body else 0
                assert lines <= 40, f"{path.relative_to(ROOT)}: {node.name} has {lines} lines"
