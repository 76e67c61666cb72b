"""Segment sums of torch-scatter, which is an optional dependency."""

from torch import Tensor

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn.kernels.bag import Bag
from mlgcn_pyg.nn.kernels.products import Pattern


class Segment(Bag):
    """Sums the messages (n, F) of all entries by row. Dot products are those of :class:`Bag`."""

    def sums(self, x: Tensor, weight: Tensor, pattern: Pattern) -> Tensor:
        """Returns the product of the sparse matrix and x (C, F).

        Raises:
            InputError: if torch-scatter is not installed.
        """
        try:
            from torch_scatter import segment_csr
        except ImportError as error:
            fix = "pip install --no-build-isolation --no-cache-dir torch-scatter, or use kernel='auto'"
            raise InputError("kernel", "torch-scatter for kernel 'segment'", "no such module", fix) from error
        weight = weight.detach().index_select(0, pattern.perm)
        messages = weight.view(-1, 1) * x.detach().index_select(0, pattern.col)
        return segment_csr(messages, pattern.rowptr, reduce="sum")


SEGMENT = Segment()
