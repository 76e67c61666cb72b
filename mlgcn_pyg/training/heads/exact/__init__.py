r"""The exact solver of heads whose loss is convex: linear heads, and sharing heads with fixed edges.

For N images with standardised features :math:`\tilde{x}_i`, it minimises

.. math::
    \frac{1}{N} \sum_{i, c \text{ known}} \ell(z_{ic}, y_{ic}) + \frac{\lambda}{2} \lVert V \rVert_F^2, \qquad
    z_i = S V \tilde{x}_i + b

over V (C, D) and b (C,), where :math:`\ell` is the binary cross entropy and S is the identity for a linear head. A
label without a known positive or without a known negative leaves the sum and keeps its starting bias, the log odds.

``table`` holds the features, ``problem`` the losses and gradients of many heads, ``lbfgs`` and ``preconditioner`` the
solver, ``path``, ``selection`` and ``operators`` the choice of λ and α, and ``run`` and ``fit`` a whole fit.
"""
