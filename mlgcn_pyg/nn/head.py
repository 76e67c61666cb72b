"""Heads: one classifier per label, applied to image features."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mlgcn_pyg.checks import bad_input, check_label_names, check_positive
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.nn.conv import ReweightedConv


def check_features(features: Tensor, num_features: int) -> None:
    """InputError unless ``features`` has the shape (B, num_features)."""
    if features.dim() != 2 or features.size(1) != num_features:
        raise bad_input("features", f"shape (batch, {num_features})", f"shape {tuple(features.shape)}")


class MLGCNHead(torch.nn.Module):
    r"""Classifiers that a GCN makes from label embeddings (`ML-GCN <https://arxiv.org/abs/1904.03582>`_, Sec. 3.2).

    .. math::
        \mathbf{H}_0 = \mathbf{x}, \quad
        \mathbf{H}_{l+1} = h(\hat{\mathbf{A}} \mathbf{H}_l \mathbf{W}_l), \quad
        \text{logits} = \mathbf{X} \, \mathbf{W}_{cls}^{\top}, \quad \mathbf{W}_{cls} = \mathbf{H}_L

    with LeakyReLU between the layers and nothing after the last (Eqs. 2 and 4). There is no bias.

    Args:
        graph: the label graph; its embeddings, edges and weights become buffers of the head.
        num_features: D, the width of an image feature (``backbone.num_features``).
        hidden_channels: widths between the layers: ``(1024,)`` for two layers, ``(1024, 1024)`` for three (Table 3).
        negative_slope: of the LeakyReLU (0.2 in the paper).

    Shapes:
        - **features:** (B, D) → **logits:** (B, C)

    Raises:
        InputError: a label graph that does not validate, widths below 1, features of another width.

    >>> graph = LabelGraph.from_targets([[1, 1, 0], [1, 0, 1]], x=torch.randn(3, 5))
    >>> head = MLGCNHead(graph, num_features=8, hidden_channels=(4,))
    >>> head(torch.randn(2, 8)).shape, head.classifiers().shape, head.to_linear()
    (torch.Size([2, 3]), torch.Size([3, 8]), Linear(in_features=8, out_features=3, bias=False))
    """

    def __init__(
        self,
        graph: LabelGraph,
        num_features: int = 2048,
        hidden_channels: Sequence[int] = (1024,),
        *,
        negative_slope: float = 0.2,
    ):
        super().__init__()
        graph.validate()
        self.label_names = tuple(graph.label_names)
        self.num_features = check_positive("num_features", num_features)
        self.hidden_channels = tuple(check_positive("hidden_channels", width) for width in hidden_channels)
        self.negative_slope = negative_slope
        for name in ("x", "edge_index", "edge_weight", "self_weight"):
            value = getattr(graph, name)  # x may be None: one-hot
            self.register_buffer(name, None if value is None else value.detach().clone())
        widths = [graph.embedding_dim, *self.hidden_channels, num_features]
        self.convs = torch.nn.ModuleList(
            ReweightedConv(a, b, flow=graph.flow) for a, b in zip(widths[:-1], widths[1:], strict=True)
        )

    @property
    def num_labels(self) -> int:
        return len(self.label_names)

    def reset_parameters(self) -> None:
        for conv in self.convs:
            conv.reset_parameters()

    def classifiers(self) -> Tensor:
        """W_cls (C, D): one classifier per label."""
        h = self.x
        for k, conv in enumerate(self.convs):
            if k > 0:
                h = F.leaky_relu(h, self.negative_slope)
            h = conv(h, self.edge_index, self.edge_weight, self.self_weight)
        return h

    def forward(self, features: Tensor) -> Tensor:
        check_features(features, self.num_features)
        return features @ self.classifiers().t()

    @torch.no_grad()
    def to_linear(self) -> torch.nn.Linear:
        """The whole head folded into one ``nn.Linear(D, C, bias=False)``, exact for the present parameters."""
        return _linear(self.classifiers())

    def extra_repr(self) -> str:
        return f"num_labels={self.num_labels}, num_edges={self.edge_index.size(1)}, num_features={self.num_features}"


class LinearHead(torch.nn.Module):
    """The fair baseline, one free classifier per label and no graph, with the face of :class:`MLGCNHead`.

    .. math:: \\text{logits} = \\mathbf{X} \\, \\mathbf{W}_{cls}^{\\top} + \\mathbf{b}

    Args:
        num_labels: C. num_features: D.
        label_names: C names; the numbers 0…C−1 by default.
        bias: learn an additive bias.

    Shapes:
        - **features:** (B, D) → **logits:** (B, C)

    >>> LinearHead(3, num_features=8)(torch.randn(2, 8)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self, num_labels: int, num_features: int = 2048, label_names: Sequence[str] | None = None, *, bias: bool = True
    ):
        super().__init__()
        self.label_names = check_label_names(label_names, check_positive("num_labels", num_labels))
        self.num_features = check_positive("num_features", num_features)
        self.linear = torch.nn.Linear(num_features, num_labels, bias=bias)

    @property
    def num_labels(self) -> int:
        return len(self.label_names)

    def reset_parameters(self) -> None:
        self.linear.reset_parameters()

    def classifiers(self) -> Tensor:
        """W_cls (C, D), without the bias."""
        return self.linear.weight

    def forward(self, features: Tensor) -> Tensor:
        check_features(features, self.num_features)
        return self.linear(features)

    @torch.no_grad()
    def to_linear(self) -> torch.nn.Linear:
        """A copy of the linear layer."""
        return _linear(self.linear.weight, self.linear.bias)


def _linear(weight: Tensor, bias: Tensor | None = None) -> torch.nn.Linear:
    linear = torch.nn.Linear(
        weight.size(1), weight.size(0), bias=bias is not None, device=weight.device, dtype=weight.dtype
    )
    linear.weight.copy_(weight)
    if bias is not None:
        linear.bias.copy_(bias)
    return linear
