"""The section of a model card that says how to use the model. Its programs and commands run as they are printed."""

import json
import shlex

from mlgcn_pyg.checkpoints import Checkpoint
from mlgcn_pyg.errors import printable_line
from mlgcn_pyg.hub.markdown import code

PHOTO, WEIGHTS = "photo.jpg", "weights.pth"


def usage_lines(checkpoint: Checkpoint, source: str) -> list[str]:
    """Returns the lines of the section.

    Args:
        checkpoint: the model.
        source: what :func:`mlgcn_pyg.load` loads the model by.
    """
    lines = _of_head(checkpoint, source) if checkpoint.backbone is None else _of_network(source)
    return [f"To install the package: {code('pip install mlgcn_pyg')}", "", *lines]


def _of_network(source: str) -> list[str]:
    program = [
        "import mlgcn_pyg",
        "",
        f"predictor = mlgcn_pyg.load({_quoted(source)})",
        f'print(predictor.predict("{PHOTO}")[0])',
    ]
    return [*_block("python", program), "", "On the command line:", "", *_block("sh", [_command(source)])]


def _of_head(checkpoint: Checkpoint, source: str) -> list[str]:
    head, known = checkpoint.head, checkpoint.provenance
    program = [
        "import torch",
        "from mlgcn_pyg.hub import HubModel",
        "",
        f"head = HubModel.from_pretrained({_quoted(source)}).head",
        f"features = torch.zeros(1, {head.num_features})  # of the backbone, one row per image",
        "logits = head(features)  # one column per label; the probability is logits.sigmoid()",
    ]
    backbone = known.get("backbone")
    if backbone is None:
        text = "To predict photographs, name the backbone that computed the features of the head, and its weights:"
        more = " --backbone NAME"
    else:
        digest = known.get("weights_sha256")
        sum_ = f", whose parameters have the SHA-256 {code(digest)}" if digest else ""
        text = f"To predict photographs, give the weights of the backbone {code(backbone)}{sum_}. "
        text += f"{code('DEFAULT')} stands for the ImageNet weights of torchvision; other weights are refused:"
        more = ""
    command = f"{_command(source)}{more} --weights {WEIGHTS}"
    return [*_block("python", program), "", text, "", *_block("sh", [command])]


def _quoted(text: str) -> str:
    """Returns a text as a literal of Python."""
    return json.dumps(printable_line(text), ensure_ascii=False)


def _command(source: str) -> str:
    return f"mlgcn predict {PHOTO} --checkpoint {shlex.quote(printable_line(source))}"


def _block(language: str, lines: list[str]) -> list[str]:
    return [f"```{language}", *(line.replace("```", "` ` `") for line in lines), "```"]
