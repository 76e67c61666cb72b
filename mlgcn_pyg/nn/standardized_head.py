"""The base of all heads: classifiers of standardised features, and a bias."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from mlgcn_pyg import html
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn.contributions import Contributions, contributions_of
from mlgcn_pyg.nn.gcn import LabelOperator, gcn_logits
from mlgcn_pyg.nn.standardize import Standardize, vector
from mlgcn_pyg.tensor_checks import check_floats

LISTED = 20  # labels in a notebook


class StandardizedHead(torch.nn.Module):
    r"""The base of heads, whose logits are those of classifiers of standardised features:

    .. math:: \text{logits} = \tilde{\mathbf{X}} \, \mathbf{W}_{cls}^{\top} + \mathbf{b}

    A new head has no statistics, and receives features as they are. A subclass defines :meth:`classifiers`,
    :meth:`unpropagated` and ``forward``, and sets ``label_names``, ``num_features`` and the parameter ``bias``.

    Attributes:
        standardize: the statistics of the features; None if the head receives features as they are.
        bias: b (C,), or None.
        label_names: C unique names.
        num_features: size D of an image feature.
    """

    standardize: Standardize | None
    bias: Tensor | None
    label_names: tuple[str, ...]
    num_features: int
    bias_name: ClassVar[str] = "bias"  # of the parameter

    def __init__(self) -> None:
        super().__init__()
        self.register_module("standardize", None)
        self.register_load_state_dict_pre_hook(StandardizedHead._before_loading_statistics)

    @property
    def num_labels(self) -> int:
        """The number of labels C."""
        return len(self.label_names)

    @property
    def has_statistics(self) -> bool:
        """Whether the head standardises the features that it receives."""
        return self.standardize is not None

    def classifiers(self) -> Tensor:
        """Returns the classifiers W_cls (C, D), which apply to standardised features."""
        raise NotImplementedError

    def unpropagated(self) -> tuple[Tensor, Tensor | None]:
        """Returns H and W with V = HW (C, D), the classifiers before the last propagation; or V and None."""
        raise NotImplementedError

    def _operator(self) -> LabelOperator | None:
        """Returns Â, for which W_cls = ÂV; None if V = W_cls."""
        return None

    @torch.no_grad()
    def contributions(self, features: Tensor) -> Contributions:
        """Returns the terms of the logits: of the label itself, of each edge of the label graph, and the bias.

        The sum of the terms is the logit up to rounding (:mod:`mlgcn_pyg.nn.contributions`). The terms of the edges are
        B · E numbers.

        Args:
            features: image features (B, D).

        Raises:
            InputError: if the shape or the type of the features differs from the head's.

        >>> from mlgcn_pyg.nn import LinearHead
        >>> LinearHead(2, num_features=3, bias=False).contributions(torch.zeros(1, 3)).frame(0, "1")
                term label  contribution  weight
        0        own     1           0.0     1.0
        1       bias     1           0.0     NaN
        """
        h, weight = self.unpropagated()
        check_floats("features", features, ("batch", self.num_features), h)
        x = self.standardized(features)
        scores = gcn_logits(x, h, weight, train_head=False, train_features=False)
        return contributions_of(scores, self._operator(), self.bias, self.label_names)

    def standardized(self, features: Tensor) -> Tensor:
        """Returns the standardised features; without statistics, the features as they are."""
        return features if self.standardize is None else self.standardize(features)

    def set_statistics(self, mean: Any, std: Any) -> None:
        """Sets the mean and the standard deviation of each feature. The parameters keep their values.

        Args:
            mean: (D,), a tensor, an array or a list.
            std: (D,). Features with a standard deviation of 0 are ignored.

        Raises:
            InputError: if a shape is not (D,), a number is not finite, or a standard deviation is negative.
        """
        like = next(self.parameters())
        standardize = Standardize(mean, std, like.dtype).to(like.device)
        if len(standardize.mean) != self.num_features:
            raise InputError("mean", f"shape ({self.num_features},)", f"shape {tuple(standardize.mean.shape)}")
        if self.standardize is None:
            self.standardize = standardize
        else:  # in place, since a captured CUDA graph may refer to this memory
            self.standardize.load_state_dict(standardize.state_dict())

    @torch.no_grad()
    def set_bias(self, bias: Any) -> None:
        """Sets the bias. A head without a bias gets a new parameter.

        Args:
            bias: (C,), a tensor, an array or a list.

        Raises:
            InputError: if the shape is not (C,), or a number is not finite.
        """
        values, like = vector("bias", bias), next(self.parameters())
        if len(values) != self.num_labels:
            raise InputError("bias", f"shape ({self.num_labels},)", f"shape {tuple(values.shape)}")
        if self.bias is None:
            owner = self.get_submodule(self.bias_name.rpartition(".")[0])
            owner.register_parameter("bias", torch.nn.Parameter(values.to(like, copy=True)))
        else:
            self.bias.copy_(values)

    @torch.no_grad()
    def to_linear(self) -> torch.nn.Linear:
        """Returns the head with its current parameters and statistics as one ``nn.Linear(D, C)``."""
        weight, bias = self.classifiers(), self.bias
        if self.standardize is not None:
            weight, bias = self.standardize.fold(weight, bias)
        return _linear(weight, bias)

    def _repr_html_(self) -> str:
        """Returns the widths and the labels as HTML, which notebooks show."""
        return html.table(("", ""), self._rows(), caption=type(self).__name__)

    def _rows(self) -> list[tuple[str, object]]:
        """Returns names and values of a table in a notebook."""
        names = ", ".join(self.label_names[:LISTED])
        parameters = sum(parameter.numel() for parameter in self.parameters())
        return [
            ("labels", self.num_labels),
            ("features", self.num_features),
            ("parameters", parameters),
            ("features are standardised", "yes" if self.has_statistics else "no"),
            ("bias", "no" if self.bias is None else "yes"),
            ("first labels" if self.num_labels > LISTED else "names", names),
        ]

    def _before_loading_statistics(self, state_dict: Mapping[str, Any], prefix: str, *_: object) -> None:
        """Adds the buffers and the bias that a state dict has in addition to those of a new head."""
        like = next(self.parameters())
        if self.standardize is None and f"{prefix}standardize.mean" in state_dict:
            zeros = torch.zeros(self.num_features)
            self.standardize = Standardize(zeros, zeros, like.dtype).to(like.device)
        if self.bias is None and prefix + self.bias_name in state_dict:
            self.set_bias(torch.zeros(self.num_labels))


def _linear(weight: Tensor, bias: Tensor | None) -> torch.nn.Linear:
    """Returns an ``nn.Linear`` with copies of ``weight`` (C, D) and ``bias`` (C,)."""
    num_labels, num_features = weight.shape
    # initialisation would take time and advance the global random generator
    linear = torch.nn.utils.skip_init(
        torch.nn.Linear, num_features, num_labels, bias is not None, device=weight.device, dtype=weight.dtype
    )
    linear.weight.copy_(weight)
    if bias is not None:
        linear.bias.copy_(bias)
    return linear
