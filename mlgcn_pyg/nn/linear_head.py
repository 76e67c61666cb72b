"""The baseline without a graph: one independent classifier per label."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_flag, check_positive
from mlgcn_pyg.labels import check_label_names
from mlgcn_pyg.nn.standardized_head import StandardizedHead
from mlgcn_pyg.tensor_checks import check_floats


class LinearHead(StandardizedHead):
    r"""The baseline for ML-GCN: a linear classifier per label, with the interface of
    :class:`~mlgcn_pyg.nn.MLGCNHead`.

    .. math:: \text{logits} = \tilde{\mathbf{X}} \, \mathbf{W}_{cls}^{\top} + \mathbf{b}

    The features :math:`\tilde{\mathbf{X}}` are standardised if the head has statistics
    (:class:`~mlgcn_pyg.nn.Standardize`), otherwise they are :math:`\mathbf{X}`.

    Args:
        num_labels: number of labels C.
        num_features: size D of an image feature. Default: 2048, as for ResNet-101.
        label_names: C unique names. Default: the numbers 0…C−1.
        bias: if set to False, the layer does not learn an additive bias.

    Shapes:
        - **features:** (B, D)
        - **logits:** (B, C)

    Raises:
        InputError: if a size is below 1, the names are not C unique strings, or the features do not have the size D.

    >>> LinearHead(3, num_features=8)(torch.randn(2, 8)).shape
    torch.Size([2, 3])
    """

    bias_name = "linear.bias"

    def __init__(
        self, num_labels: int, num_features: int = 2048, label_names: Sequence[str] | None = None, *, bias: bool = True
    ):
        super().__init__()
        self.label_names = check_label_names(label_names, check_positive("num_labels", num_labels))
        self.num_features = check_positive("num_features", num_features)
        self.linear = torch.nn.Linear(self.num_features, self.num_labels, bias=check_flag("bias", bias))

    @property
    def bias(self) -> Tensor | None:  # type: ignore[override]  # the parameter of the layer
        """b (C,), or None."""
        return self.linear.bias

    def reset_parameters(self) -> None:
        """Initialises all parameters again."""
        self.linear.reset_parameters()

    def classifiers(self) -> Tensor:
        """Returns W_cls (C, D), which applies to standardised features if the head has statistics."""
        return self.linear.weight

    def unpropagated(self) -> tuple[Tensor, None]:
        """Returns W_cls (C, D) and None: nothing is propagated."""
        return self.linear.weight, None

    def forward(self, features: Tensor) -> Tensor:
        """Returns the logits (B, C) of image features (B, D)."""
        check_floats("features", features, ("batch", self.num_features), self.linear.weight)
        return self.linear(self.standardized(features))
