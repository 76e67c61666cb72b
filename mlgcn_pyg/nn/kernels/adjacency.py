"""The sparsity pattern of the label operator Â, sorted by row and by column."""

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice, check_positive
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn.kernels.products import Pattern, transformed
from mlgcn_pyg.values import shown


class Adjacency(torch.nn.Module):
    r"""The sparsity pattern of :math:`\hat{\mathbf{A}}` for :func:`propagate`, in CSR and CSC format.

    The pattern is sorted once, and every propagation reuses it. It includes the diagonal, after the edges of each row,
    so that self weights require no separate pass. With E edges and C labels, there are E + C entries. Entry ``k`` of
    the CSR is entry ``perm[k]`` of ``cat([edge_weight, self_weight])``. Duplicate edges are kept, and their weights add
    up.

    All attributes are buffers. They move with ``.to(device)`` and are not part of the state dict.

    Args:
        edge_index: the edges (2, E), int64, in any order.
        num_nodes: number of labels C.
        flow: the direction of propagation. With ``"target_to_source"``, the label ``edge_index[0]`` receives from
            ``edge_index[1]``; with ``"source_to_target"``, ``edge_index[1]`` receives from ``edge_index[0]``.

    Attributes:
        receiver: (E,) the row of each edge, in the order of ``edge_index``.
        sender: (E,) the column of each edge, in the order of ``edge_index``.
        rowptr: (C + 1,) the start of each row in the CSR.
        col: (E + C,) the column of each entry of the CSR.
        perm: (E + C,) the index of the weight of each entry of the CSR.
        colptr: (C + 1,) the start of each column in the CSC.
        row: (E + C,) the row of each entry of the CSC.
        perm_t: (E + C,) the index of the weight of each entry of the CSC.
        row_of: (E + C,) the row of each entry of the CSR.
        col_of: (E + C,) the column of each entry of the CSC.

    Raises:
        InputError: if the edges are not int64 of shape (2, E), a label is not in 0…C−1, ``num_nodes`` is below 1, or
            the flow is unknown.

    >>> adjacency = Adjacency(torch.tensor([[0, 0, 2], [2, 1, 0]]), num_nodes=3)
    >>> adjacency.rowptr.tolist(), adjacency.col.tolist()  # label 0 receives from 2, 1 and itself
    ([0, 3, 4, 6], [2, 1, 0, 1, 0, 2])
    """

    receiver: Tensor
    sender: Tensor
    rowptr: Tensor
    col: Tensor
    perm: Tensor
    colptr: Tensor
    row: Tensor
    perm_t: Tensor
    row_of: Tensor
    col_of: Tensor

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
            "row_of": rows[perm],
            "col_of": columns[perm_t],
        }
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)

    @classmethod
    def from_csr(cls, rowptr: Tensor, col: Tensor, flow: str = "target_to_source") -> "Adjacency":
        """Builds the adjacency from a CSR without the diagonal.

        The edge weights are in the order of ``col``.

        Args:
            rowptr: the start of each row (C + 1,).
            col: the column of each edge (E,).
            flow: the direction of propagation. Rows are the receivers in both directions.

        Raises:
            InputError: if a shape does not match, or ``rowptr`` does not rise from 0 to E.
        """
        check_choice("flow", flow, ("target_to_source", "source_to_target"))
        for name, value in (("rowptr", rowptr), ("col", col)):
            if not isinstance(value, Tensor) or value.layout != torch.strided:
                raise InputError(name, "a tensor of int64", shown(value))
        if rowptr.dim() != 1 or len(rowptr) < 2 or col.dim() != 1:
            found = f"shapes {tuple(rowptr.shape)} and {tuple(col.shape)}"
            raise InputError("rowptr", "shape (num_nodes + 1,), and col of shape (num_edges,)", found)
        for name, value in (("rowptr", rowptr), ("col", col)):
            if value.dtype != torch.int64:
                raise InputError(name, "a tensor of int64", f"a tensor of {value.dtype}")
        lengths = rowptr.diff()
        if int(rowptr[0]) != 0 or int(rowptr[-1]) != len(col) or bool((lengths < 0).any()):
            order = "not sorted" if bool((lengths < 0).any()) else "sorted"
            raise InputError(
                "rowptr",
                f"pointers that rise from 0 to {len(col)}",
                f"{int(rowptr[0])} to {int(rowptr[-1])}, {order}",
                fix="sort the edges by row, or build the adjacency from an edge_index, which need not be sorted",
            )
        rows = torch.repeat_interleave(torch.arange(len(lengths), device=col.device), lengths)
        pairs = (rows, col) if flow == "target_to_source" else (col, rows)
        return cls(torch.stack(pairs), len(lengths), flow)

    @property
    def num_edges(self) -> int:
        """The number of edges E, without the diagonal."""
        return len(self.receiver)

    @property
    def pattern(self) -> Pattern:
        """The positions of all E + C entries."""
        return Pattern(self.rowptr, self.col, self.perm, self.colptr, self.row, self.perm_t, self.row_of, self.col_of)

    def extra_repr(self) -> str:
        return f"num_nodes={self.num_nodes}, num_edges={self.num_edges}, flow={self.flow!r}"


def check_edge_index(edge_index: Tensor, num_nodes: int) -> None:
    """Checks that ``edge_index`` is (2, E), int64, with values in 0…num_nodes−1.

    Raises:
        InputError: if it is not.
    """
    if not isinstance(edge_index, Tensor) or edge_index.layout != torch.strided:
        raise InputError("edge_index", "a tensor of shape (2, num_edges), int64", shown(edge_index))
    if edge_index.dim() != 2 or edge_index.size(0) != 2 or edge_index.dtype != torch.int64:
        found = f"shape {tuple(edge_index.shape)}, {edge_index.dtype}"
        raise InputError("edge_index", "shape (2, num_edges), int64", found)
    if edge_index.numel() and not (edge_index.is_meta or torch.compiler.is_compiling() or transformed()):
        low, high = (int(v) for v in edge_index.aminmax())
        if low < 0 or high >= num_nodes:
            outside = low if low < 0 else high
            fix = "num_nodes must be the number of labels"
            raise InputError("edge_index", f"labels in 0…{num_nodes - 1}", outside, fix)


def _sort(index: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """Returns the pointers (num_nodes + 1,) of the sorted ``index``, and the permutation that sorts it stably."""
    pointer = torch.zeros(num_nodes + 1, dtype=torch.int64, device=index.device)
    torch.cumsum(torch.bincount(index, minlength=num_nodes), 0, out=pointer[1:])
    return pointer, index.argsort(stable=True)
