"""The README's programs run, its commands parse, and its links lead somewhere."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.main import get_command

from mlgcn_pyg import MLGCN
from mlgcn_pyg.checkpoints import save_model
from mlgcn_pyg.cli.main import app
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.nn import Backbone, LinearHead

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for path in (*ROOT.glob("*.md"), *ROOT.glob("[!.]*/README.md")))
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.S)


def commands(page: str) -> list[str]:
    """The ``mlgcn`` command lines of a page's shell blocks: continued lines joined, comments and ``…`` removed."""
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", page, re.S)).replace("\\\n", " ")
    lines = [re.sub(r"^torchrun .*-m mlgcn_pyg", "mlgcn", line) for line in blocks.splitlines()]
    return [" ".join(line.replace("…", "").split()) for line in lines if line.startswith("mlgcn ")]


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def parse(line: str) -> None:
    """Raises click's error for an unknown command or option, and for a value of the wrong type."""
    words, command = shlex.split(line, comments=True)[1:], get_command(app)
    context = command.make_context("mlgcn", [], resilient_parsing=True)
    while hasattr(command, "commands"):
        name = words.pop(0)
        assert name in command.commands, f"no command {name}: {line}"
        command = command.commands[name]
        context = command.make_context(name, [], parent=context, resilient_parsing=True)
    context.resilient_parsing = False  # which only served to get here without required options
    values, rest, _ = command.make_parser(context).parse_args(list(words))
    assert not rest, f"{rest} left over: {line}"
    for parameter in command.get_params(context):
        if values.get(parameter.name):
            parameter.process_value(context, values[parameter.name])


def test_the_first_program_runs_and_prints_what_its_comments_state(capsys):
    assert 15 <= len(PROGRAMS[0].splitlines()) <= 20
    scope = {}
    exec(compile(PROGRAMS[0], "README.md", "exec"), scope)
    printed = capsys.readouterr().out
    assert re.search(r"tie → person +P = 1\.000", printed) and re.search(r"dog → person +P = 0\.500", printed)
    assert scope["logits"].shape == (1, 3) and isinstance(scope["linear"], torch.nn.Linear)


def test_the_program_on_cached_features_runs(tmp_path, monkeypatch, capsys):
    """On small files with the names that the program uses."""
    monkeypatch.chdir(tmp_path)
    names = ["person", "tie", "dog"]
    for name in ("train.h5", "val.h5"):
        FeatureCache.from_arrays(name, torch.randn(8, 512), torch.randint(0, 2, (8, 3)), names)
    Path("runs/net").mkdir(parents=True)
    Path("new-photos").mkdir()
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save("new-photos/a.png")
    network = MLGCN(Backbone("squeezenet1_1"), LinearHead(3, 512, label_names=names))
    save_model("runs/net/last.pt", network, image_size=64)
    scope = {}
    exec(compile(PROGRAMS[0], "README.md", "exec"), scope)
    exec(compile(PROGRAMS[1], "README.md", "exec"), scope)
    assert scope["history"].last["gradient"] <= 1e-5 and len(scope["histories"]) == 3
    assert "new-photos/a.png" in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_parses(page):
    lines = commands(page.read_text(encoding="utf-8"))
    assert lines or page.parent == ROOT.joinpath("benchmarks") or page.name in ("CHANGELOG.md", "CONTRIBUTING.md")
    for line in lines:
        parse(line)


def test_a_command_that_does_not_exist_is_noticed():
    for line in ("mlgcn train-head --trainn a.h5", "mlgcn cache look a.h5", "mlgcn train-head --epochs many"):
        with pytest.raises(Exception, match=r"No such option|no command|valid int"):
            parse(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page):
    for target in re.findall(r"\]\(([^)\s:]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.M)
            assert anchor in {slug(heading) for heading in headings}, target


def test_every_make_target_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert set(re.findall(r"\bmake ([a-z-]+)", README)) <= targets


def test_the_readme_is_short_and_its_pictures_are_small():
    assert len(README.splitlines()) <= 350
    pictures = re.findall(r"!\[.+\]\((.+)\)", README)
    assert len(pictures) == 2
    for picture in pictures:
        assert 10_000 < (ROOT / picture).stat().st_size < 150_000
