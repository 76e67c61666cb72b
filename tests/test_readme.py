"""What the README says runs as it says."""

import re
from pathlib import Path

import torch

from tests.cli.test_export_and_thresholds import SERVE

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_first_snippet_runs_and_prints_what_it_says(capsys):
    code = re.search(r"```python\n(.*?)```", README, re.S).group(1)
    assert 15 <= len(code.splitlines()) <= 20
    scope = {}
    exec(compile(code, "README.md", "exec"), scope)
    printed = capsys.readouterr().out
    assert re.search(r"tie → person +P = 1\.000", printed) and re.search(r"dog → person +P = 0\.500", printed)
    assert scope["logits"].shape == (1, 3) and isinstance(scope["linear"], torch.nn.Linear)


def test_every_file_that_the_readme_links_exists():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (Path(__file__).parents[1] / target).exists(), target


def test_the_program_that_serves_an_onnx_file_is_the_one_that_is_tested():
    assert SERVE.strip() in README
