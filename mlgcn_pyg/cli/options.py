"""Help panels, options that several commands share, and options that are generated from the fields of a dataclass."""

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from inspect import Parameter, Signature, signature
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Generic, TypeVar, get_args, get_type_hints

import typer

from mlgcn_pyg.training.settings import Setting, settings

# panels of the help
DATA, MODEL, TRAINING, COMPUTATION, OUTPUT = "Data", "Model", "Training", "Computation", "Output"
EXACT = "Linear and sharing heads"

T = TypeVar("T")


def option(help: str, panel: str, *names: str, **attributes: Any) -> Any:
    """Returns a ``typer.Option`` in a panel of the help.

    Args:
        help: what the option does.
        panel: the panel.
        names: names of the option, such as ``--json``; default: derived from the parameter.
        attributes: further arguments of ``typer.Option``.
    """
    return typer.Option(*names, help=help, rich_help_panel=panel, **attributes)


def choice(help: str, panel: str, choices: Sequence[str], *names: str, **attributes: Any) -> Any:
    """Returns an :func:`option` with shell completion of its values. The command must check the value."""

    def complete(incomplete: str) -> list[str]:
        return [value for value in choices if value.startswith(incomplete)]

    vars(complete)["choices"] = choices
    return option(help, panel, *names, autocompletion=complete, **attributes)


def choices_of(annotation: Any) -> Sequence[str]:
    """Returns the values that an annotated parameter may have; none if it is not a :func:`choice`."""
    declared = (getattr(extra, "autocompletion", None) for extra in getattr(annotation, "__metadata__", ()))
    return next(filter(None, (getattr(complete, "choices", ()) for complete in declared)), ())


Json = Annotated[bool, option("Print JSON to standard output, for scripts.", OUTPUT, "--json")]
Overwrite = Annotated[bool, option("Replace results of a different setup in --out.", OUTPUT, "--overwrite")]
LogWith = Annotated[
    list[str] | None,
    option("Tracker that receives the settings and each epoch: tensorboard (curves in OUT/tensorboard), wandb, mlflow, "
           "or another that Accelerate has; repeatable.", OUTPUT, "--log-with"),
]  # fmt: skip
Device = Annotated[str, option("auto (CUDA if there is a GPU), cpu, cuda, cuda:1, …", COMPUTATION)]
NumWorkers = Annotated[int, option("Worker processes that decode images; 0 decodes in the main process.", COMPUTATION)]
AutoWorkers = Annotated[
    int | None,
    option("Worker processes that decode images; 0 decodes in the main process.", COMPUTATION,
           show_default="0, or with CUDA one per CPU core, at most 8"),
]  # fmt: skip
BatchSize = Annotated[int, option("Images per forward pass.", COMPUTATION)]
Graph = Annotated[Path | None, option("Label graph (.pt) written by mlgcn graph.", DATA)]
BackboneName = Annotated[str, option("A torchvision classification model, or timm:NAME.", MODEL)]
Weights = Annotated[
    str, option("A .pth or .safetensors file, DEFAULT (downloaded), or none for random weights.", MODEL)
]
Pool = Annotated[str, choice("Pooling of the feature map: max (the paper) or avg.", MODEL, ("max", "avg"))]
ImageSize = Annotated[str, option("Side in pixels, or HEIGHTxWIDTH.", MODEL)]
Hidden = Annotated[str, option("Widths between the GCN layers, such as 1024 or 1024,1024.", MODEL)]


@dataclass(frozen=True)
class OptionGroup(Generic[T]):
    """Options that a command receives as one object.

    Attributes:
        parameters: the options as parameters of a function.
        build: creates the object from a dict of option values.
    """

    parameters: tuple[Parameter, ...]
    build: Callable[[dict[str, Any]], T]


def takes(**groups: OptionGroup[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Returns a decorator that adds groups of options to a command. The command receives each group as one argument.

    In the help, the options of a group are at the position of this argument in the signature of the command.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        names = {parameter.name for group in groups.values() for parameter in group.parameters}
        parameters: list[Parameter] = []
        for name, parameter in signature(command).parameters.items():
            replaced = groups[name].parameters if name in groups else (parameter,)
            parameters += [p.replace(kind=Parameter.KEYWORD_ONLY) for p in replaced]

        @functools.wraps(command)
        def wrapped(**values: Any) -> None:
            objects = {
                name: group.build({p.name: values[p.name] for p in group.parameters}) for name, group in groups.items()
            }
            return command(**objects, **{name: value for name, value in values.items() if name not in names})

        vars(wrapped)["__signature__"] = Signature(parameters)
        wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return wrapped

    return decorate


def from_dataclass(cls: type[T]) -> OptionGroup[T]:
    """Returns a group whose options are the fields of a dataclass, annotated with their ``typer.Option``."""
    types = get_type_hints(cls, include_extras=True)
    parameters = tuple(
        Parameter(
            f.name,
            Parameter.KEYWORD_ONLY,
            default=Parameter.empty if f.default is MISSING else f.default,
            annotation=types[f.name],
        )
        for f in fields(cls)  # type: ignore[arg-type]  # any dataclass
    )
    return OptionGroup(parameters, lambda values: cls(**values))


def from_config(
    cls: type[T], *, without: Collection[str] = (), none: Mapping[str, object] | None = None, panel: str = TRAINING
) -> OptionGroup[Callable[..., T]]:
    """Returns a group whose options are the fields of a config class.

    The command receives a callable that creates the config. Names, types, defaults and help are those of the class.
    The word ``none`` stands for None.

    Args:
        cls: a config class, such as :class:`HeadConfig`.
        without: fields that are not options; the command may pass them to the callable.
        none: additional values that stand for None, by name of the option.
        panel: the panel of the help.
    """
    shown = [setting for setting in settings(cls) if setting.name not in without]
    special = none or {}

    def build(values: dict[str, Any]) -> Callable[..., T]:
        chosen = {n: None if n in special and values[n] == special[n] else values[n] for n in values}
        return functools.partial(cls, **chosen)

    return OptionGroup(tuple(_setting_option(setting, panel) for setting in shown), build)


def _setting_option(setting: Setting, panel: str) -> Parameter:
    kind, default = setting.type, setting.default
    attributes: dict[str, Any] = {}
    names: tuple[str, ...] = ()
    if bool in (kind, *get_args(kind)):
        flag = setting.name.replace("_", "-")
        names = (f"--{flag}",) if kind is bool else (f"--{flag}/--no-{flag}",)
        attributes = {} if kind is bool else {"show_default": setting.none}
    elif NoneType in get_args(kind):
        plain, *sequence = (option for option in get_args(kind) if option is not NoneType)
        parse = _or_none(_numbers if sequence else plain, setting.none)
        attributes = {"parser": parse, "metavar": f"<{plain.__name__}{',…' if sequence else ''}>"}
        kind = plain | None  # typer does not support other unions
        if default is None:
            default = setting.none
    if setting.choices:
        unnamed = any(name not in setting.help for name in setting.choices)
        more = f" One of {', '.join(setting.choices)}." if unnamed else ""
        declaration = choice(setting.help + more, panel, setting.choices, **attributes)
    else:
        declaration = option(setting.help, panel, *names, **attributes)
    return Parameter(setting.name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, declaration])


def _or_none(kind: Callable[[str], object], word: str = "none") -> Callable[[str], object]:
    """Returns a parser of ``kind``, and of the words ``none`` and ``word``, which stand for None."""

    def parse(text: object) -> object:
        if text is None or str(text).lower() in ("none", word):
            return None
        try:
            return kind(str(text))
        except ValueError:
            expected = "a valid int" if kind is int else "a number"
            raise typer.BadParameter(f"{text!r} is not {expected} or {word}") from None

    parse.__name__ = getattr(kind, "__name__", "value")
    return parse


def _numbers(text: str) -> float | tuple[float, ...]:
    """Parses a number, or several numbers with commas between them."""
    numbers = tuple(map(float, text.split(",")))
    return numbers if len(numbers) > 1 else numbers[0]
