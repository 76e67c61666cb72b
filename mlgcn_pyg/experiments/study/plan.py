"""Which contenders a study trains, under which conditions, and what is compared."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.experiments.study.contenders import EMBEDDINGS, MLGCN, SWEEPS, WITH, Contender, find_contender
from mlgcn_pyg.experiments.study.data import StudyData
from mlgcn_pyg.experiments.study.records import Condition, RunKey
from mlgcn_pyg.graph.kernel import KERNEL, MAX_LABELS
from mlgcn_pyg.nn.label_gnn import GNNS, MAX_ONE_HOT

NUM_CONTROLS = 20  # the least number of control graphs
MANY_IMAGES, FEW_SPLITS = 5000, 3  # from so many training images on, heads that are trained by SGD have fewer splits
CURVE = (300, 1000, 5000, 20_000)  # numbers of training images of a learning curve
UNKNOWN = (0.0, 0.5, 0.9)  # shares of unknown training targets
QUICK = ("linear", "mlgcn", "mlgcn p=0", "mlgcn shuffled", "sharing", "sharing shuffled")
GNN = ("linear", "sharing", "mlgcn", "mlgcn binary", *GNNS)
TABLE1 = ("linear", "linear average", "mlgcn binary", "mlgcn", "mlgcn released")
CONTROLS = (*QUICK, "mlp", "mlgcn random graph", "mlgcn permuted embeddings", "mlgcn learned edges", "mlgcn learned p",
            "sharing paper")  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """The runs of a study.

    Attributes:
        entries: a contender's name and a condition, each once.
        omitted: contenders that the data does not allow, with the reason.
    """

    entries: tuple[tuple[str, Condition], ...]
    omitted: Mapping[str, str]

    @property
    def contenders(self) -> dict[str, Contender]:
        """The contenders by name."""
        return {name: find_contender(name) for name, _ in self.entries}

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions, in order."""
        return tuple(dict.fromkeys(condition for _, condition in self.entries))

    def keys(self, data: StudyData) -> list[RunKey]:
        """Returns the runs of all entries, split by split, so that an interrupted study has complete splits."""
        found = []
        for split in range(len(data.splits)):
            for name, condition in self.entries:
                if split < num_splits(find_contender(name), condition, data):
                    found += [RunKey(name, condition, split, draw) for draw in range(num_draws(name, data))]
        return found


def num_splits(contender: Contender, condition: Condition, data: StudyData) -> int:
    """Returns the number of splits of a contender: all, or 3 if SGD trains it on 5,000 images or more."""
    most = len(data.splits)
    is_long = not contender.is_exact and data.num_train(condition) >= MANY_IMAGES
    return min(FEW_SPLITS, most) if is_long else most


def num_draws(name: str, data: StudyData) -> int:
    """Returns the number of control graphs per split; 1 for contenders without a control."""
    return math.ceil(NUM_CONTROLS / len(data.splits)) if find_contender(name).control else 1


def _of(names: Sequence[str]) -> Callable[[StudyData, Condition], list[tuple[str, Condition]]]:
    return lambda data, base: [(name, base) for name in names]


def _learning_curve(data: StudyData, base: Condition) -> list[tuple[str, Condition]]:
    most = data.num_train(base)
    sizes = [size for size in CURVE if size < most] or [max(1, most // 4), max(1, most // 2)]
    conditions = [*(Condition(size, base.unknown) for size in dict.fromkeys(sizes)), base]
    return [(name, condition) for condition in conditions for name in QUICK]


def _partial_labels(data: StudyData, base: Condition) -> list[tuple[str, Condition]]:
    return [(name, Condition(base.num_images, share)) for share in UNKNOWN for name in QUICK]


PRESETS: Mapping[str, Callable[[StudyData, Condition], list[tuple[str, Condition]]]] = {
    "quick": _of(QUICK),
    "table1": _of(TABLE1),
    "table3": _of(("linear", *SWEEPS["layers"].values())),
    "fig4": _of(("linear", *SWEEPS["embeddings"].values())),
    "fig5": _of(("linear", *SWEEPS["tau"].values())),
    "fig6": _of(("linear", *SWEEPS["p"].values())),
    "controls": _of(CONTROLS),
    "gnn": _of(GNN),
    "learning-curve": _learning_curve,
    "partial-labels": _partial_labels,
}
ALL = "all"  # every preset


def make_plan(
    data: StudyData,
    presets: Sequence[str] = ("quick",),
    contenders: Sequence[str] = (),
    *,
    num_images: int | Sequence[int] | None = None,
    unknown: float = 0.0,
) -> Plan:
    """Returns the runs of presets and of further contenders, and of ``"mlgcn"`` with each of the further embeddings.

    Args:
        data: the data of the study.
        presets: names of :data:`PRESETS`, or ``"all"``.
        contenders: names of further contenders.
        num_images: the number of training images, or several of them; default: all.
        unknown: the share of the training targets that are hidden.

    Raises:
        InputError: if a preset or a contender is unknown, or the plan is empty; if there are fewer than ``num_images``
            training images.
    """
    bases = [Condition(size, unknown) for size in _sizes(num_images, data)]
    for preset in presets:
        if preset not in (*PRESETS, ALL):
            raise InputError("presets", f"some of {', '.join((*PRESETS, ALL))}", repr(preset))
    chosen = PRESETS if ALL in presets else presets
    wanted = [entry for base in bases for preset in chosen for entry in PRESETS[preset](data, base)]
    wanted += [(find_contender(name).name, base) for base in bases for name in contenders]
    conditions = [condition for name, condition in wanted if name == MLGCN.name] or bases
    wanted += [(f"{MLGCN.name}{WITH}{name}", condition) for condition in conditions for name in data.further]
    omitted = {name: reason for name, _ in wanted if (reason := _obstacle(find_contender(name), data))}
    entries = tuple(dict.fromkeys(entry for entry in wanted if entry[0] not in omitted))
    if not entries:
        raise InputError("contenders", "at least one contender that the data allows", "none")
    return Plan(entries, omitted)


def _sizes(num_images: int | Sequence[int] | None, data: StudyData) -> Sequence[int | None]:
    """Returns the numbers of training images as a list; None stands for all."""
    sizes = [num_images] if num_images is None or not isinstance(num_images, Sequence) else [*num_images]
    most = data.num_train(Condition())
    if too_many := [size for size in sizes if size is not None and size > most]:
        raise InputError("num_images", f"at most {most:,}, the training images", too_many[0])
    return sizes or [None]


def _obstacle(contender: Contender, data: StudyData) -> str:
    """Returns why the data does not allow a contender; an empty text if it does."""
    if contender.features not in data.pools:
        return "no features with average pooling are given"
    if contender.embeddings not in (*EMBEDDINGS, *data.further):
        return f"no label embeddings {contender.embeddings} are given"
    if data.embeddings is None and contender.control == "embeddings":
        return "no label embeddings are given"
    if data.embeddings is None and contender.name == "mlgcn one-hot":
        return "no label embeddings are given, so that mlgcn is one-hot"
    if contender.control and len(data.label_names) == 1:
        return "one label has no other place in a graph"
    if contender.kind in GNNS and data.embeddings is None and len(data.label_names) > MAX_ONE_HOT:
        return f"there are more than {MAX_ONE_HOT:,} one-hot labels"
    if contender.weighting == KERNEL and len(data.label_names) > MAX_LABELS:
        return f"there are more than {MAX_LABELS:,} labels"
    return ""
