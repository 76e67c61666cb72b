r"""An approximate inverse of the Hessian, in which L-BFGS takes its steps.

With the loss's mean second derivative :math:`w_c` of label c at the start, the Hessian by V is about
:math:`(S^\top \mathrm{diag}(w) S) \otimes E[\tilde{x}\tilde{x}^\top] + \lambda I`. The eigenvectors of both factors
diagonalise it, for every :math:`\lambda` at once. One matrix :math:`E[\tilde{x}\tilde{x}^\top]` serves all tasks, since
an approximation changes the number of iterations and not the solution. Of fewer rows than features, its rank is at most
their number, and only as many eigenvectors are computed: the inverse is :math:`1/\lambda` in all other directions.
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
    """A symmetric matrix (n, n) as eigenvalues and eigenvectors, or as its diagonal.

    Attributes:
        values: (k,) the eigenvalues, or (n,) the diagonal.
        vectors: (n, k) the eigenvectors in columns; None for a diagonal matrix. All other eigenvalues are 0.
    """

    values: Tensor
    vectors: Tensor | None

    @property
    def is_complete(self) -> bool:
        """Whether there are n eigenvalues."""
        return self.vectors is None or self.vectors.size(0) == self.vectors.size(1)


def spectrum(matrix: Tensor) -> Spectrum:
    """Returns the spectrum of a symmetric positive semidefinite matrix (n, n)."""
    values, vectors = torch.linalg.eigh(matrix)
    return Spectrum(values.clamp(min=0), vectors)


def feature_spectrum(table: FeatureTable) -> Spectrum:
    """Returns the spectrum of E[x xᵀ] of the table's features, or of the identity for many very wide features."""
    if table.num_rows < min(table.num_features, LARGEST):
        return row_spectrum(torch.cat([x for _, x in table.blocks()]))
    if table.num_features > LARGEST:
        return Spectrum(torch.ones(table.num_features, dtype=table.dtype, device=table.device), None)
    return spectrum(table.gram(GRAM_ROWS))


def row_spectrum(x: Tensor) -> Spectrum:
    """Returns the spectrum of E[x xᵀ] of fewer rows X (R, D) than features, from that of the smaller matrix XXᵀ/R.

    Eigenvalues that are small against the largest are left out, since their eigenvectors would not be accurate.
    """
    small = spectrum(x @ x.t() / len(x))
    kept = small.values > small.values[-1] * torch.finfo(x.dtype).eps ** 0.5
    values = small.values[kept]
    assert small.vectors is not None
    return Spectrum(values, x.t() @ (small.vectors[:, kept] / (values * len(x)).sqrt()))


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
        l2 = columns.l2.unsqueeze(1)
        self.inverse = 1 / (eigenvalues + l2)
        self.rest = None if features.is_complete else 1 / l2  # λ is the same for all labels that share an operator
        if self.rest is not None:
            self.inverse -= self.rest
        self.bias = 1 / columns.curvature.clamp(min=1e-8)

    def __call__(self, gradient: Tensor) -> Tensor:
        """Returns the step (K, D + 1) for a gradient (K, D + 1)."""
        out = torch.empty_like(gradient)
        out[:, -1] = gradient[:, -1] * self.bias
        v = gradient[:, :-1]
        out[:, :-1] = self._rotated(self._rotated(v, back=False) * self.inverse, back=True)
        if self.rest is not None:
            out[:, :-1].addcmul_(v, self.rest)
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
