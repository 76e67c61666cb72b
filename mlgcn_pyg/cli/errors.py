"""Errors on the command line: one line on stderr, exit code 2, and with ``--json`` a JSON object on stdout.

Errors of the library name Python arguments. This module replaces them with options of the running command.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import typer
from typer.core import TyperCommand

from mlgcn_pyg.cli.embedding_options import check_embedding_options
from mlgcn_pyg.cli.json_output import print_json
from mlgcn_pyg.cli.paths import prepare_paths
from mlgcn_pyg.cli.processes import print_once
from mlgcn_pyg.cli.streams import check_standard_output
from mlgcn_pyg.cli.values import check_values
from mlgcn_pyg.errors import Argument, InputError, first_line, printable_line

# for each command, arguments of the library whose option has a different name; a call in which an argument may stand
# for several options uses `renamed_arguments`
OPTION_NAMES: dict[str, dict[str, str]] = {
    "graph": {"path": "out", "x": "embeddings", "aliases": "alias", "format": "embeddings_format"},
    "embed": {"path": "out", "label_names": "names", "aliases": "alias", "format": "embeddings_format"},
    "import-released": {"path": "out", "label_names": "names"},
    "extract": {"path": "out", "label_names": "graph", "name": "backbone"},
    "train-head": {"folder": "out", "hidden_channels": "hidden"},
    "study": {
        "folder": "out",
        "num_images": "images",
        "num_splits": "splits",
        "presets": "preset",
        "contenders": "contender",
        "smallest": "effect",
        "cache": "features",
        "x": "embeddings",
        "aliases": "alias",
        "format": "embeddings_format",
    },
    "train": {
        "folder": "out",
        "val": "val_split",
        "hidden_channels": "hidden",
        "cpu": "device",
        "label_names": "graph",
        "name": "backbone",
    },
    "evaluate": {"path": "out"},
    "report": {"path": "out"},
    "classifiers": {"plot": "out", "k": "neighbours", "aliases": "alias", "format": "embeddings_format"},
    "retrieve": {"plot": "out", "paths": "root"},
    "calibrate": {"path": "out"},
    "check-labels": {"num_folds": "folds"},
    "predict": {"path": "checkpoint", "paths": "images"},
    "export": {"path": "out"},
    "demo": {"folder": "out", "path": "out"},
    "inspect": {"rare_below": "rare"},
    "split": {"path": "table", "folder": "out"},
}
PROCESS_GONE = "another process of this run has ended"


@dataclass(frozen=True)
class KnownFailure:
    """An error that is neither invalid input nor a bug: a MemoryError, or a RuntimeError of torch.

    Args:
        words: part of its type and message.
        report: the text to print instead of the message; ``{error}`` stands for its first line.
        advice: text before the remedies.
        remedies: pairs of a verb and an argument. Arguments that the command does not have are omitted.
    """

    words: str
    report: str = ""
    advice: str = ""
    remedies: tuple[tuple[str, str], ...] = ()


KNOWN_FAILURES = (
    KnownFailure(
        "DataLoader worker",
        advice="if memory ran out, ",
        remedies=(("reduce", "num_workers"), ("reduce", "batch_size")),
    ),
    KnownFailure("CUDA out of memory", remedies=(("reduce", "batch_size"), ("increase", "accumulate"))),
    KnownFailure("MemoryError", report="out of memory ({error})", remedies=(("reduce", "batch_size"),)),
    # torch's, on the CPU
    KnownFailure("allocate memory", report="out of memory ({error})", remedies=(("reduce", "batch_size"),)),
    KnownFailure("can't start new thread", remedies=(("reduce", "num_workers"),)),
    # raised by gloo and NCCL if another process has ended after its own error
    KnownFailure("Connection closed by", report=PROCESS_GONE),
    KnownFailure("Connection reset by", report=PROCESS_GONE),
    KnownFailure("remote process exit", report=PROCESS_GONE),
)


@dataclass(frozen=True)
class CommandOptions:
    """The options of one command, for formatting the arguments in errors.

    Args:
        parameters: the Click parameters of the command by name.
        names: arguments of the library whose parameter has a different name.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def show(self, argument: Argument) -> str:
        """Returns an argument as an option of this command, or as in Python if there is no such option."""
        parameter = self.parameters.get(self.names.get(argument.name, argument.name))
        if parameter is None:
            return str(argument)
        if parameter.param_type_name == "argument":
            return str(parameter.metavar or parameter.name.upper())
        option = next((o for o in parameter.opts if o.startswith("--")), parameter.opts[0])
        if not argument.has_value:
            return str(option)
        if parameter.is_flag:
            return _show_flag(parameter, option, argument)
        return f"{option} {_show_value(argument.value)}"

    def has(self, argument: Argument) -> bool:
        """Whether the command has an option for the argument."""
        return self.names.get(argument.name, argument.name) in self.parameters

    def fields(self, error: InputError) -> dict[str, str]:
        """Returns the text and the fields of an error for scripts, each on one line."""
        return {"error": error.text(self.show)} | error.parts(self.show)


def _show_flag(parameter: Any, option: str, argument: Argument) -> str:
    if argument.value:
        return option
    return str(parameter.secondary_opts[0]) if parameter.secondary_opts else str(argument)


def _show_value(value: object) -> str:
    """Quotes a value for a shell. Entries of a dict become ``name=value``; entries of a list are joined by commas."""
    if isinstance(value, dict):
        return " ".join(shlex.quote(f"{name}={content}") for name, content in value.items())
    if isinstance(value, list | tuple):
        return shlex.quote(",".join(map(str, value)))
    return shlex.quote(str(value))


def options_of(context: Any) -> CommandOptions:
    """Returns the options of the command that runs in a Click context."""
    parameters = {parameter.name: parameter for parameter in context.command.params}
    return CommandOptions(parameters, OPTION_NAMES.get(context.command.name, {}))


def failure_text(error: Exception, options: CommandOptions) -> str | None:
    """Returns the report of a :class:`KnownFailure`, or None for any other error."""
    message = f"{type(error).__name__}: {error}"
    failure = next((known for known in KNOWN_FAILURES if known.words in message), None)
    if failure is None:
        return None
    text = failure.report.replace("{error}", first_line(error)) or first_line(error)
    remedies = [(verb, Argument(name)) for verb, name in failure.remedies]
    steps = [f"{verb} {options.show(argument)}" for verb, argument in remedies if options.has(argument)]
    return f"{text}; {failure.advice}{' or '.join(steps)}" if steps else text


class Command(TyperCommand):
    """A command that reports invalid input and failing files on one line and ends with exit code 2."""

    def invoke(self, ctx: Any) -> Any:  # Click's Context, which typer bundles or imports, depending on its version
        options = options_of(ctx)
        try:
            if ctx.params.get("json"):
                check_standard_output("json")
            check_values(ctx.command, ctx.params)
            prepare_paths(ctx.command, ctx.params)
            check_embedding_options(ctx.params)
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader of standard output has what it wanted
            raise typer.Exit(1) from None
        except (InputError, OSError, RuntimeError, MemoryError) as error:
            report = _report(error, options)
            if report is None:
                raise
            cause = error
        if print_once(report["error"]) and ctx.params.get("json"):
            print_json(report)
        raise typer.Exit(2) from cause


def _report(error: Exception, options: CommandOptions) -> dict[str, str] | None:
    """Returns the text of an error and the fields of an InputError, or None for a bug."""
    if isinstance(error, InputError):
        return options.fields(error)
    text = str(error) if isinstance(error, OSError) else failure_text(error, options)
    return None if text is None else {"error": printable_line(text)}
