"""Models in folders and on the Hugging Face Hub."""

from pathlib import Path
from typing import Any, Self

from huggingface_hub import ModelCard, ModelHubMixin
from huggingface_hub.utils import validate_repo_id

from mlgcn_pyg.checkpoints import Checkpoint, load_checkpoint
from mlgcn_pyg.checkpoints.files import checkpoint_content
from mlgcn_pyg.checkpoints.pretrained import write_pretrained
from mlgcn_pyg.checks import check_path, check_text
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.hub import LOGIN, PREFIX, folder_or_hub_name, hub_folder, is_refused, no_connection, reason
from mlgcn_pyg.files.pretrained import CARD, RESULTS, is_pretrained
from mlgcn_pyg.files.runs import checkpoint_file
from mlgcn_pyg.hub.card import model_card
from mlgcn_pyg.hub.card_file import Origin, checked_line, is_edited, read_card, with_source, write_card
from mlgcn_pyg.hub.results import RunResults
from mlgcn_pyg.nn import StandardizedHead
from mlgcn_pyg.tensor_checks import check_module

LIBRARY = "mlgcn_pyg"


class HubModel(ModelHubMixin, library_name=LIBRARY, pipeline_tag="image-classification"):
    """A head or a whole network that is saved to a folder, pushed to the Hugging Face Hub, and loaded from there.

    A model has the files ``model.safetensors`` (all tensors), ``config.json`` (label names, settings, graph,
    thresholds; :mod:`mlgcn_pyg.files.pretrained`), a model card ``README.md`` (:func:`model_card`), and
    ``metrics.json`` if the results of its run are known. Its logits are those of the checkpoint, bit for bit. No code
    in the files is executed. :func:`mlgcn_pyg.load` and the commands of ``mlgcn`` accept the folder, and
    ``hub:OWNER/NAME``.

    Args:
        checkpoint: a checkpoint, or a head.
        results: the results of the run, for the model card.
        license: the licence of the model, such as ``"mit"``, for the model card. Default: not stated.
        dataset_name: the name of the data set, for the model card. Default: the file of the images that the results
            are reported on.
        card: the text of a model card, which is used as it is. Default: :func:`model_card` makes it.

    Raises:
        InputError: if ``checkpoint`` is neither, another argument is no text, or ``license`` or ``dataset_name`` is
            given with ``card``.

    Source: the mixin of https://huggingface.co/docs/huggingface_hub/package_reference/mixins.

    >>> import tempfile, torch
    >>> from mlgcn_pyg.nn import LinearHead
    >>> folder = tempfile.mkdtemp()
    >>> HubModel(LinearHead(2, 4, ["cat", "dog"])).save_pretrained(folder)  # or .push_to_hub("me/pets")
    >>> HubModel.from_pretrained(folder).head(torch.zeros(1, 4)).shape
    torch.Size([1, 2])
    """

    _hub_mixin_config: dict[str, Any] = {}  # noqa: RUF012  # else the mixin copies the checkpoint to make a config

    def __init__(
        self,
        checkpoint: Checkpoint | StandardizedHead,
        *,
        results: RunResults | None = None,
        license: str | None = None,
        dataset_name: str | None = None,
        card: str | None = None,
    ):
        if not isinstance(checkpoint, Checkpoint):
            checkpoint = Checkpoint(check_module("checkpoint", checkpoint, "label_names", "to_linear"))
        self.checkpoint, self.results = checkpoint, results
        self.license, self.dataset_name = checked_line("license", license), checked_line("dataset_name", dataset_name)
        self.card = None if card is None else check_text("card", card)
        for name, value in (("license", license), ("dataset_name", dataset_name)):
            if card is not None and value is not None:
                expected = "no value, since the model has a card that was edited"
                raise InputError(name, expected, repr(value), f"change it in the card, {CARD}")

    def __repr__(self) -> str:
        head, backbone = self.head, self.checkpoint.backbone
        gnn = f" {name}" if (name := getattr(head, "gnn_name", None)) else ""
        network = "" if backbone is None else f", backbone {backbone.name}"
        return f"HubModel({type(head).__name__}{gnn}, {head.num_labels} labels, {head.num_features} features{network})"

    @property
    def head(self) -> StandardizedHead:
        """The head."""
        return self.checkpoint.head

    @classmethod
    def from_checkpoint(cls, path: str | Path, *, license: str | None = None, dataset_name: str | None = None) -> Self:
        """Returns the model of a checkpoint, with the results of its run where they are known.

        The card of a saved model is kept if it was edited. Else it is made anew, with its licence and name of the data.

        Args:
            path: a file, the folder of a run or of a saved model, or ``hub:OWNER/NAME``.
            license: see :class:`HubModel`.
            dataset_name: see :class:`HubModel`.

        Raises:
            InputError: if there is no checkpoint, it is damaged, a model on the hub cannot be read, or ``license`` or
                ``dataset_name`` is given for a saved model whose card was edited.
        """
        file = checkpoint_file(path)
        results = RunResults.of_checkpoint(file)
        card = read_card(file) if is_pretrained(file) else None
        if card is not None and not is_edited(card) and (origin := Origin.of(card)) is not None:
            card, license = None, origin.license if license is None else license
            dataset_name = origin.dataset_name if dataset_name is None else dataset_name
        return cls(load_checkpoint(file), results=results, license=license, dataset_name=dataset_name, card=card)

    @classmethod
    def from_pretrained(  # type: ignore[override]  # the arguments of the mixin, without those for other classes
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
    ) -> Self:
        """Returns a model from a folder or from the hub. Files are only read.

        Args:
            pretrained_model_name_or_path: a folder, or a string ``OWNER/NAME`` or ``hub:OWNER/NAME``. A folder that
                exists has precedence. ``./x``, ``/x``, ``~x`` and names without exactly one slash are folders.
            force_download: download files that are in the local cache, too.
            token: the token for a private model. Default: that of ``hf auth login`` or ``HF_TOKEN``.
            cache_dir: the folder of the cache.
            local_files_only: use the cache only.
            revision: a branch, tag or commit. Default: ``main``.

        Raises:
            InputError: if there is no such model, it cannot be reached, its files are damaged, or those of other
                software.
        """
        path = check_path("pretrained_model_name_or_path", pretrained_model_name_or_path)
        if not path.is_dir():
            name = folder_or_hub_name("pretrained_model_name_or_path", pretrained_model_name_or_path)
            path = hub_folder(
                name, revision, token=token, cache_dir=cache_dir, force_download=force_download,
                local_files_only=local_files_only,
            )  # fmt: skip
        return cls.from_checkpoint(path)

    def save_pretrained(  # type: ignore[override]
        self,
        save_directory: str | Path,
        *,
        config: None = None,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        model_card_kwargs: dict[str, Any] | None = None,
        **push_to_hub_kwargs: Any,
    ) -> str | None:
        """Writes the files of the model to a folder, each atomically.

        A ``README.md`` that was edited is kept. If it is not that of this model, an
        :class:`~mlgcn_pyg.errors.InputWarning` says so.

        Args:
            save_directory: the folder, which is created if it does not exist.
            config: None. The checkpoint has the configuration.
            repo_id: the name on the hub, with ``push_to_hub=True``. Default: that of the folder.
            push_to_hub: push the model, too.
            model_card_kwargs: ``source``, the name that the model card loads the model by. Default: that of the folder.
            push_to_hub_kwargs: further arguments of :meth:`push_to_hub`.

        Returns:
            The URL of the commit, or None.

        Raises:
            InputError: if the checkpoint has content that the files cannot hold, or see :meth:`push_to_hub`.
            OSError: if the files cannot be written.
        """
        if config is not None:
            raise InputError("config", "None, since the checkpoint has the configuration", type(config).__name__)
        folder = check_path("save_directory", save_directory)
        content = checkpoint_content(self.checkpoint)
        card = self._card(**{"source": folder.resolve().name, **(model_card_kwargs or {})})
        folder.mkdir(parents=True, exist_ok=True)
        write_pretrained(folder, content)
        if self.results is not None:
            self.results.save(folder)
        else:
            (folder / RESULTS).unlink(missing_ok=True)
        write_card(folder, card)
        return self.push_to_hub(repo_id or folder.resolve().name, **push_to_hub_kwargs) if push_to_hub else None

    def generate_model_card(self, source: str = "FOLDER") -> ModelCard:  # type: ignore[override]
        """Returns the model card.

        Args:
            source: what :func:`mlgcn_pyg.load` in the card loads the model by.

        Raises:
            InputError: if the card was edited and its metadata are not valid.
        """
        try:
            return ModelCard(self._card(source))
        except Exception as error:  # of the parser of YAML, or the fields
            raise InputError("card", "a card with valid metadata", first_line(error), f"correct {CARD}") from error

    def _card(self, source: str) -> str:
        """Returns the text of the model card, which is not parsed if it was edited."""
        if self.card is not None:
            return with_source(self.card, self.checkpoint, source)
        card = model_card(
            self.checkpoint, self.results, source=source, license=self.license, dataset_name=self.dataset_name
        )
        return str(card)

    def push_to_hub(  # type: ignore[override]  # the arguments of the mixin, without patterns of files
        self,
        repo_id: str,
        *,
        config: None = None,
        commit_message: str = "Upload a model of mlgcn_pyg",
        private: bool | None = None,
        token: str | None = None,
        branch: str | None = None,
        create_pr: bool | None = None,
    ) -> str:
        """Uploads the files of the model to the hub in one commit, and creates the repository if there is none.

        Args:
            repo_id: ``OWNER/NAME``.
            config: None. The checkpoint has the configuration.
            commit_message: the message of the commit.
            private: whether a new repository is private. Default: that of the account.
            token: the token with write access. Default: that of ``hf auth login`` or ``HF_TOKEN``.
            branch: the branch. Default: ``main``.
            create_pr: open a pull request instead.

        Returns:
            The URL of the commit.

        Raises:
            InputError: if the hub cannot be reached, or refuses the name, the token or the upload.
        """
        repo_id = check_text("repo_id", repo_id).removeprefix(PREFIX)
        self.generate_model_card(f"{PREFIX}{repo_id}")  # before anything is created on the hub
        expected = "a repository on the hub that can be written"
        try:
            validate_repo_id(repo_id)
            if (problem := no_connection()) is not None:
                found = f"{repo_id} (the hub cannot be reached: {problem})"
                raise InputError("repo_id", expected, found, "check the network")
            commit = super().push_to_hub(
                repo_id, config=config, commit_message=commit_message, private=private, token=token, branch=branch,
                create_pr=create_pr, model_card_kwargs={"source": f"{PREFIX}{repo_id}"},
            )  # fmt: skip
            return str(getattr(commit, "commit_url", commit))  # before 1.0, the text was the URL of the branch
        except InputError:
            raise
        except Exception as error:  # of the network, the server, or the name
            fix = LOGIN.format(access="write") if is_refused(error) else ""
            raise InputError("repo_id", expected, f"{repo_id} ({reason(error)})", fix) from error
