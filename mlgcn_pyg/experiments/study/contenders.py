"""The contenders of a study: heads that differ in one thing each, and control heads whose label graph is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mlgcn_pyg.checks import check_choice
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn.label_gnn import GNNS

KINDS = ("linear", "sharing", "mlgcn", *GNNS)
EMBEDDINGS = ("given", "one-hot", "random")
WITH = " embeddings="  # between the name of a contender and that of further embeddings
CONTROLS = ("", "labels", "edges", "embeddings")
WIDTH = 1024  # of the hidden layers, the paper's


@dataclass(frozen=True)
class Contender:
    """A head of a study.

    Attributes:
        name: its name.
        kind: ``"linear"``, ``"sharing"``, ``"mlgcn"``, or the name of a GNN (:class:`~mlgcn_pyg.nn.LabelGNNHead`).
        weighting: the weighting of its label graph.
        tau: τ of its label graph.
        p: p of its label graph.
        embeddings: ``"given"``, ``"one-hot"``, ``"random"`` (standard normal, as wide as the given ones, else 300), or
            the name of further embeddings of the study.
        num_layers: the number of layers of an ML-GCN head or a GNN.
        learn_edges: whether the weights of the edges are learned.
        learn_p: whether one p per label is learned.
        control: what makes the head a control: ``"labels"`` permutes the labels of its graph, ``"edges"`` replaces
            its edges by random ones, ``"embeddings"`` permutes the label embeddings; ``""`` for no control.
        features: the name of the features, ``"features"`` or ``"average"``.

    Raises:
        InputError: if a choice is unknown.
    """

    name: str
    kind: str
    weighting: str = "paper"
    tau: float = 0.4
    p: float = 0.2
    embeddings: str = "given"
    num_layers: int = 2
    learn_edges: bool = False
    learn_p: bool = False
    control: str = ""
    features: str = "features"

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS)
        check_choice("control", self.control, CONTROLS)

    @property
    def is_exact(self) -> bool:
        """Whether the head is fitted by the exact solver."""
        return self.kind in ("linear", "sharing")

    @property
    def is_default_graph(self) -> bool:
        """Whether τ is the paper's, so that a given label graph can be used."""
        return self.tau == MLGCN.tau


MLGCN = Contender("mlgcn", "mlgcn")
SHARING = Contender("sharing", "sharing", weighting="kernel")
TAUS = tuple(round(0.1 * k, 1) for k in range(11))


def _changed(suffix: str, **changes: object) -> Contender:
    return replace(MLGCN, name=f"mlgcn {suffix}", **changes)  # type: ignore[arg-type]


CONTENDERS: Mapping[str, Contender] = {
    contender.name: contender
    for contender in (
        Contender("linear", "linear"),
        Contender("linear average", "linear", features="average"),
        MLGCN,
        _changed("p=0", weighting="none", p=0.0),
        _changed("released", weighting="released"),
        _changed("binary", weighting="binary"),
        _changed("learned edges", learn_edges=True),
        _changed("learned p", learn_edges=True, learn_p=True),
        _changed("one-hot", embeddings="one-hot"),
        _changed("random embeddings", embeddings="random"),
        _changed("3 layers", num_layers=3),
        _changed("4 layers", num_layers=4),
        *(Contender(gnn, gnn) for gnn in GNNS),
        Contender("mlp", "mlgcn", weighting="none", p=0.0, embeddings="one-hot"),
        SHARING,
        Contender("sharing paper", "sharing"),
        _changed("shuffled", control="labels"),
        _changed("random graph", control="edges"),
        _changed("permuted embeddings", control="embeddings"),
        replace(SHARING, name="sharing shuffled", control="labels"),
        *(_changed(f"tau={tau:g}", tau=tau) for tau in TAUS if tau != MLGCN.tau),
        *(_changed(f"p={p:g}", p=p) for p in TAUS[1:] if p != MLGCN.p),
    )
}

SWEEPS: Mapping[str, Mapping[float | str, str]] = {
    "tau": {tau: "mlgcn" if tau == MLGCN.tau else f"mlgcn tau={tau:g}" for tau in TAUS},
    "p": {p: "mlgcn" if p == MLGCN.p else f"mlgcn p={p:g}" for p in TAUS},
    "layers": {2: "mlgcn", 3: "mlgcn 3 layers", 4: "mlgcn 4 layers"},
    "embeddings": {"given": "mlgcn", "one-hot": "mlgcn one-hot", "random": "mlgcn random embeddings"},
}


def find_contender(name: str) -> Contender:
    """Returns a contender by its name, to which ``" embeddings="`` and the name of further embeddings may be added.

    Raises:
        InputError: if there is none with this name; the error lists all names.

    >>> find_contender("mlgcn p=0").weighting
    'none'
    >>> find_contender("sharing embeddings=minilm").embeddings
    'minilm'
    """
    base, separator, embeddings = name.partition(WITH)
    if embeddings and base in CONTENDERS:
        return replace(CONTENDERS[base], name=name, embeddings=embeddings)
    if separator or name not in CONTENDERS:
        raise InputError("contenders", f"names of {', '.join(CONTENDERS)}", repr(name))
    return CONTENDERS[name]
