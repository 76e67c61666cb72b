"""Who hears from whom, sorted both ways once."""

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice, check_positive
from mlgcn_pyg.errors import InputError


class Adjacency(torch.nn.Module):
    r"""The pattern of Â for :func:`propagate`: its non-zero entries by row (CSR) and by column (the CSC twin).

    The diagonal is part of the pattern, behind each row's edges, so that self weights cost no pass of their own. With
    E edges and C labels there are E + C entries; entry k of the CSR is entry ``perm[k]`` of
    ``cat([edge_weight, self_weight])``. Duplicate edges are kept: their weights add up.

    Args:
        edge_index: (2, E) int64.
        num_nodes: C.
        flow: ``"target_to_source"``: row ``edge_index[0]`` hears from column ``edge_index[1]``;
            ``"source_to_target"``: the other way.

    Attributes:
        receiver, sender: (E,) rows and columns in the order of ``edge_index``.
        rowptr: (C + 1,), col: (E + C,), perm: (E + C,): the CSR.
        colptr: (C + 1,), row: (E + C,), perm_t: (E + C,): the CSC twin.

    All of them are buffers that move with ``.to(device)`` and are not saved.

    Raises:
        InputError: a wrong shape, or labels outside 0…C−1.

    >>> adjacency = Adjacency(torch.tensor([[0, 0, 2], [2, 1, 0]]), num_nodes=3)
    >>> adjacency.rowptr.tolist(), adjacency.col.tolist()  # 0 hears from 2, 1 and itself
    ([0, 3, 4, 6], [2, 1, 0, 1, 0, 2])
    """

    def __init__(self, edge_index: Tensor, num_nodes: int, flow: str = "target_to_source"):
        super().__init__()
        self.num_nodes = check_positive("num_nodes", num_nodes)
        self.flow = check_choice("flow", flow, ("target_to_source", "source_to_target"))
        check_edge_index(edge_index, num_nodes)
        receiver, sender = edge_index if flow == "target_to_source" else edge_index.flip(0)
        loops = torch.arange(num_nodes, device=edge_index.device)
        rows, columns = torch.cat([receiver, loops]), torch.cat([sender, loops])
        rowptr, perm = _sort(rows, num_nodes)
        colptr, perm_t = _sort(columns, num_nodes)
        buffers = {
            "receiver": receiver.contiguous(),
            "sender": sender.contiguous(),
            "rowptr": rowptr,
            "col": columns[perm],
            "perm": perm,
            "colptr": colptr,
            "row": rows[perm_t],
            "perm_t": perm_t,
        }
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)

    @classmethod
    def from_csr(cls, rowptr: Tensor, col: Tensor, flow: str = "target_to_source") -> "Adjacency":
        """The adjacency of a ready CSR without its diagonal; edge weights then go in the order of ``col``.

        Raises InputError where ``rowptr`` does not rise from 0 to the number of edges.
        """
        if rowptr.dim() != 1 or len(rowptr) < 2 or col.dim() != 1:
            found = f"shapes {tuple(rowptr.shape)} and {tuple(col.shape)}"
            raise InputError("rowptr", "shape (num_nodes + 1,), and col of shape (num_edges,)", found)
        lengths = rowptr.diff()
        if int(rowptr[0]) != 0 or int(rowptr[-1]) != len(col) or bool((lengths < 0).any()):
            raise InputError(
                "rowptr",
                f"a CSR that rises from 0 to {len(col)}",
                "one that does not",
                fix="sort the edges by row, or give an edge_index, which need not be sorted",
            )
        rows = torch.repeat_interleave(torch.arange(len(lengths), device=col.device), lengths)
        pairs = (rows, col) if flow == "target_to_source" else (col, rows)
        return cls(torch.stack(pairs), len(lengths), flow)

    @property
    def num_edges(self) -> int:
        return len(self.receiver)

    def row_of(self) -> Tensor:
        """(E + C,) the row of each CSR entry."""
        return torch.repeat_interleave(self.rowptr.diff(), output_size=len(self.col))

    def extra_repr(self) -> str:
        return f"num_nodes={self.num_nodes}, num_edges={self.num_edges}, flow={self.flow!r}"


def check_edge_index(edge_index: Tensor, num_nodes: int) -> None:
    """InputError unless ``edge_index`` is (2, E) int64 with values in 0…num_nodes−1."""
    if edge_index.dim() != 2 or edge_index.size(0) != 2 or edge_index.dtype != torch.int64:
        found = f"shape {tuple(edge_index.shape)}, {edge_index.dtype}"
        raise InputError("edge_index", "shape (2, num_edges), int64", found)
    if edge_index.numel():
        low, high = (int(v) for v in edge_index.aminmax())
        if low < 0 or high >= num_nodes:
            found = low if low < 0 else high
            raise InputError("edge_index", f"labels in 0…{num_nodes - 1}", found, fix="give num_nodes = num_labels")


def _sort(index: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """Pointers (num_nodes + 1,) and the stable order by ``index``."""
    pointer = torch.zeros(num_nodes + 1, dtype=torch.int64, device=index.device)
    torch.cumsum(torch.bincount(index, minlength=num_nodes), 0, out=pointer[1:])
    return pointer, index.argsort(stable=True)
