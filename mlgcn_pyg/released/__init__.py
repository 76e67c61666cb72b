"""The files that the paper's authors published: label counts, label embeddings and checkpoints."""

from typing import TYPE_CHECKING

from mlgcn_pyg.released.pickles import read_array_pickle, read_released_counts

if TYPE_CHECKING:
    from mlgcn_pyg.released.network import load_released

__all__ = ["load_released", "read_array_pickle", "read_released_counts"]


def __getattr__(name: str) -> object:
    if name == "load_released":  # the graph and the network stand above the pickles, and import them
        from mlgcn_pyg.released.network import load_released

        return load_released
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
