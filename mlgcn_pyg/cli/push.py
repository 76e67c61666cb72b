"""``mlgcn push``: writes a model to a folder as on the Hugging Face Hub, or uploads it."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mlgcn_pyg.cli import console
from mlgcn_pyg.cli.inputs import checkpoint_file
from mlgcn_pyg.cli.options import DATA, MODEL, OUTPUT, option
from mlgcn_pyg.cli.verdict import backbone_options
from mlgcn_pyg.errors import Argument, Fix, InputError, renamed_arguments
from mlgcn_pyg.files.hub import PREFIX
from mlgcn_pyg.files.new_folder import new_folder
from mlgcn_pyg.files.pretrained import PRETRAINED

if TYPE_CHECKING:  # this loads torch
    from mlgcn_pyg.hub import HubModel


def push(
    checkpoint: Annotated[
        Path, option("A network, a head, the folder of a run or of a saved model, or hub:OWNER/NAME.", MODEL)
    ],
    repo: Annotated[str | None, option("Upload to this repository on the hub, OWNER/NAME.", OUTPUT)] = None,
    out: Annotated[Path | None, option("Write the files to this folder, and upload nothing.", OUTPUT)] = None,
    private: Annotated[
        bool | None,
        option("Whether a new repository is private.", OUTPUT, "--private/--public", show_default="as in the account"),
    ] = None,
    license: Annotated[
        str | None, option("Licence of the model for the model card, such as mit.", DATA, show_default="not stated")
    ] = None,
    dataset: Annotated[
        str | None,
        option("Name of the data set for the model card.", DATA, "--dataset-name", show_default="the feature file"),
    ] = None,
    overwrite: Annotated[bool, option("Replace the model and its card in --out.", OUTPUT, "--overwrite")] = False,
) -> None:
    """Upload a head or a network with a model card to the Hugging Face Hub, or write the files to a folder.

    The card has the results of the run with their intervals, if --checkpoint is a folder of train-head or a head in
    one. A card that was edited in the folder of a saved model is uploaded as it is.
    The other commands read the model with --checkpoint FOLDER or --checkpoint hub:OWNER/NAME.
    """
    if (repo is None) == (out is None):
        fix: Fix = ["give ", Argument("repo", "OWNER/NAME"), " to upload, or ", Argument("out", "FOLDER")]
        raise InputError("repo", "one of the two results", "none" if repo is None else "both", fix)
    from mlgcn_pyg.hub import HubModel

    if repo is None and private is not None:
        raise InputError("private", "no value with --out", private)
    file = checkpoint_file(checkpoint)
    with renamed_arguments(path="checkpoint", dataset_name="dataset"):
        model = HubModel.from_checkpoint(file, license=license, dataset_name=dataset)
    if model.card is not None:
        console.note(f"The model card is README.md of {checkpoint}, which was edited.")
    elif model.results is None:
        console.note("The model card has no results: none are recorded beside the checkpoint.")
    if out is not None:
        _write(model, out, overwrite)
    elif repo is not None:
        _upload(model, repo, private)


def _write(model: "HubModel", out: Path, overwrite: bool) -> None:
    with renamed_arguments(path="out"), new_folder(out, PRETRAINED, overwrite=overwrite) as folder:
        model.save_pretrained(folder, model_card_kwargs={"source": out.resolve().name})
    size = sum(file.stat().st_size for file in out.iterdir())
    console.say(f"Wrote {out} ({size / 1e6:.1f} MB): {', '.join(sorted(file.name for file in out.iterdir()))}")
    name = shlex.quote(str(out))
    console.say(f"Read {out / 'README.md'} and add what it says to be unknown. Next:")
    console.say(f"  mlgcn push --checkpoint {name} --repo OWNER/NAME")
    console.say(f"  {_predict(model, name)}")


def _upload(model: "HubModel", repo: str, private: bool | None) -> None:
    with console.status(f"uploading to {repo}"), renamed_arguments(repo_id="repo", card="checkpoint"):
        url = model.push_to_hub(repo, private=private)
    console.say(f"Uploaded: {url}")
    console.say(f"Next: {_predict(model, shlex.quote(f'{PREFIX}{repo}'))}")


def _predict(model: "HubModel", name: str) -> str:
    """Returns the command that predicts photographs."""
    command = f"mlgcn predict PHOTOS --checkpoint {name}"
    return command if model.checkpoint.backbone is not None else command + backbone_options(model.checkpoint.provenance)
