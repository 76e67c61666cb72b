"""Which parts of the package may import which, what importing the root may load, and the length of files."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import mlgcn_pyg

ROOT = Path(mlgcn_pyg.__file__).parent
# modules of the root, which all parts may import, as they may import `files`
BASE = {
    "_version",
    "allocator",
    "checks",
    "distributed",
    "errors",
    "html",
    "imagenet",
    "label_allocation",
    "labels",
    "lazy",
    "loading",
    "parcels",
    "seeding",
    "stratification",
    "system",
    "tensor_checks",
    "text",
    "typing",
    "values",
}
# the graph imports the reader of released pickles; the other modules of `released` import the network
LOW_RELEASED = {"released.pickles"}
ALLOWED = {
    "files": set(),
    "released.pickles": set(),
    "graph": {"released.pickles"},
    "datasets": set(),
    "features": set(),
    "evaluation": {"graph"},  # labels that are suspicious beside their neighbours
    "nn": {"graph"},
    "checkpoints": {"graph", "nn"},
    "released": {"released.pickles", "graph", "nn"},
    "prediction": {"datasets", "nn", "checkpoints"},
    "training": {"graph", "nn", "checkpoints", "features", "evaluation"},
    "experiments": {"graph", "nn", "features", "training", "evaluation"},
    "report": {"graph", "evaluation"},
    # what a page about a run shows comes from all that the run wrote
    "run_report": {
        "checkpoints", "datasets", "evaluation", "experiments", "features", "graph", "nn", "report", "training",
    },
    "hub": {"checkpoints", "graph", "nn", "report", "run_report"},  # model cards show the results of runs
    "cli": {
        "checkpoints", "datasets", "evaluation", "experiments", "features", "graph", "hub", "nn", "prediction",
        "released", "report", "run_report", "training",
    },
}  # fmt: skip
PARTS = sorted(path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__")
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
    if path != ROOT / "__init__.py"
}


def imports(path: Path) -> set[str]:
    """Returns the modules of the package that a file imports, also inside functions and for type checkers.

    >>> sorted(imports(FILES["errors"]))
    []
    """
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {_module(name.removeprefix("mlgcn_pyg.")) for name in names if name.startswith("mlgcn_pyg.")}
    return found


def _module(name: str) -> str:
    """Returns the module that ``name`` is, or that has it as an attribute."""
    return name if name in FILES or "." not in name else name.rpartition(".")[0]


def part_of(module: str) -> str:
    return module if module in LOW_RELEASED else module.partition(".")[0]


def test_every_part_is_in_the_plan():
    assert set(PARTS) <= set(ALLOWED)
    assert {name for name in FILES if "." not in name} - set(PARTS) == BASE | {"__main__"}


@pytest.mark.parametrize("module", sorted(set(FILES) - BASE - {"__main__"}))
def test_arrows_point_down(module):
    part = part_of(module)
    unplanned = {part_of(name) for name in imports(FILES[module])} - ALLOWED[part] - BASE - {part, "files"}
    if module == "released":  # its __init__ exports from both levels, from the upper one on first use
        unplanned = set()
    assert not unplanned, f"{module} may not import {', '.join(sorted(unplanned))}"


@pytest.mark.parametrize("module", sorted(BASE))
def test_root_modules_import_no_part(module):
    assert imports(FILES[module]) <= BASE


def test_no_circular_imports():
    """Imports for type checkers and inside functions count; those of a package's ``__init__`` do not."""
    arrows = {name: imports(path) & set(FILES) for name, path in FILES.items() if path.name != "__init__.py"}
    done: set[str] = set()

    def walk(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " → ".join((*way[way.index(module) :], module))
        if module in done:
            return
        for other in sorted(arrows.get(module, ())):
            walk(other, (*way, module))
        done.add(module)

    for module in sorted(arrows):
        walk(module, ())


def test_tests_mirror_the_package():
    """Every folder of the package has a folder of the same name under ``tests`` with at least one file of tests."""
    tests = Path(__file__).parent
    for folder in {path.parent for path in FILES.values()} - {ROOT}:
        mirrored = tests / folder.relative_to(ROOT)
        assert list(mirrored.glob("test_*.py")), f"no test in {mirrored.relative_to(tests.parent)}"


HEAVY = (
    "torchvision", "h5py", "matplotlib", "accelerate", "torchmetrics", "pandas", "PIL", "sklearn", "typer", "rich",
    "huggingface_hub",
)  # fmt: skip


def loaded_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_importing_the_root_loads_no_heavy_library():
    names = "from mlgcn_pyg import LabelGraph, MLGCNHead, MLGCN, ReweightedConv, __version__"
    extra = loaded_by(names) - loaded_by("import torch_geometric")
    assert not extra & set(HEAVY), extra & set(HEAVY)


@pytest.mark.parametrize("package", ["mlgcn_pyg", "mlgcn_pyg.nn", "mlgcn_pyg.released", "mlgcn_pyg.training"])
def test_names_that_are_loaded_on_first_use_are_visible(package):
    module = importlib.import_module(package)
    assert set(module.__all__) <= set(dir(module))
    assert all(getattr(module, name) is not None for name in module.__all__)
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'absent'"):
        module.absent  # noqa: B018


def test_help_needs_no_torch():
    assert "torch" not in loaded_by("import mlgcn_pyg.cli.main")


def test_functions_and_files_stay_short():
    for path in ROOT.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 260, f"{path.relative_to(ROOT)} has more than 260 lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.body:
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = node.end_lineno - body[0].lineno + 1 if body else 0
                assert lines <= 40, f"{path.relative_to(ROOT)}: {node.name} has {lines} lines"
