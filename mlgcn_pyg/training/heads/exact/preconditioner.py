r"""An approximate inverse of the Hessian, in which L-BFGS takes its steps.

With the loss's mean second derivative :math:`w_c` of label c at the start, the Hessian by V is about
:math:`(S^\top \mathrm{diag}(w) S) \otimes E[\tilde{x}\tilde{x}^\top] + \lambda I`. The eigenvectors of both factors
diagonalise it, for every :math:`\lambda` at once. One matrix :math:`E[\tilde{x}\tilde{x}^\top]` serves all tasks, since
an approximation changes the number of iterations and not the solution.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mlgcn_pyg.training.heads.exact.problem import Problem
from mlgcn_pyg.training.heads.exact.table import FeatureTable

GRAM_ROWS = 20_000  # rows for E[x xᵀ]; more would not change the number of iterations
LARGEST = 4096  # a larger matrix is approximated by its diagonal


@dataclass
class Spectrum:
    """A symmetric matrix (n, n) as eigenvalues (n,) and eigenvectors (n, n), or as its diagonal.

    Attributes:
        values: the eigenvalues, or the diagonal.
        vectors: the eigenvectors in columns; None for a diagonal matrix.
    """

    values: Tensor
    vectors: Tensor | None


def spectrum(matrix: Tensor) -> Spectrum:
    """Returns the spectrum of a symmetric positive semidefinite matrix (n, n)."""
    values, vectors = torch.linalg.eigh(matrix)
    return Spectrum(values.clamp(min=0), vectors)


def feature_spectrum(table: FeatureTable) -> Spectrum:
    """Returns the spectrum of E[x xᵀ] of the table's features, or of the identity for very wide features."""
    if table.num_features > LARGEST:
        return Spectrum(torch.ones(table.num_features, dtype=table.dtype, device=table.device), None)
    return spectrum(table.gram(GRAM_ROWS))


class Preconditioner:
    """Multiplies gradients by the approximate inverse of the Hessian.

    Args:
        problem: the problem.
        features: the spectrum of E[x xᵀ].
    """

    def __init__(self, problem: Problem, features: Spectrum):
        columns = problem.columns
        self.spans, self.features = problem.spans, features
        operators = [(problem.tasks[task].operator, span) for task, span in self.spans]
        self.labels = [_label_spectrum(operator, columns.curvature[span]) for operator, span in operators]
        eigenvalues = torch.cat([labels.values for labels in self.labels]).unsqueeze(1) * features.values
        self.inverse = 1 / (eigenvalues + columns.l2.unsqueeze(1))
        self.bias = 1 / columns.curvature.clamp(min=1e-8)

    def __call__(self, gradient: Tensor) -> Tensor:
        """Returns the step (K, D + 1) for a gradient (K, D + 1)."""
        out = torch.empty_like(gradient)
        out[:, -1] = gradient[:, -1] * self.bias
        out[:, :-1] = self._rotated(self._rotated(gradient[:, :-1], back=False) * self.inverse, back=True)
        return out

    def _rotated(self, v: Tensor, back: bool) -> Tensor:
        if (vectors := self.features.vectors) is not None:
            v = v @ (vectors.t() if back else vectors)
        for (_, span), labels in zip(self.spans, self.labels, strict=True):
            if labels.vectors is not None:
                v[span] = (labels.vectors if back else labels.vectors.t()) @ v[span]
        return v


def _label_spectrum(operator: Tensor | None, curvature: Tensor) -> Spectrum:
    """Returns the spectrum of Sᵀ diag(w) S."""
    if operator is None:
        return Spectrum(curvature, None)
    if operator.layout == torch.strided:
        return spectrum(operator.t() @ (curvature.unsqueeze(1) * operator))
    squares = operator * operator
    return Spectrum(squares.t() @ curvature, None)
