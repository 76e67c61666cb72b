"""torch.func through every kernel: derivatives of any order, mapped or not, equal those of the dense product."""

import pytest
import torch
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap

from mlgcn_pyg.nn.kernels import KERNELS, Adjacency, propagate
from mlgcn_pyg.nn.kernels.products import Pattern
from tests.nn.kernels.test_kernels import skip_if_absent

ALL = (0, 1, 2)


@pytest.fixture(params=["a few edges", "no edges"])
def problem(request):
    torch.manual_seed(0)
    edges = torch.tensor([[0, 0, 3, 1, 0], [1, 2, 0, 1, 1]]) if request.param == "a few edges" else torch.zeros(2, 0)
    adjacency = Adjacency(edges.long(), 4)
    tensors = torch.randn(4, 3), torch.rand(adjacency.num_edges), torch.rand(4)
    return adjacency, tuple(tensor.double() for tensor in tensors)


def dense(adjacency, x, edge_weight, self_weight):
    matrix = torch.diag(self_weight)
    for e in range(adjacency.num_edges):
        unit = torch.zeros(4, 4, dtype=x.dtype)
        unit[adjacency.receiver[e], adjacency.sender[e]] = 1
        matrix = matrix + edge_weight[e] * unit
    return matrix @ x


def stacked(tensors):
    return tuple(torch.stack([tensor, 2 * tensor, tensor - 1]) for tensor in tensors)


def cube(f):
    return lambda *tensors: f(*tensors).pow(3).sum()


TRANSFORMED = {
    "grad": lambda f, t: grad(cube(f), argnums=ALL)(*t),
    "vmap of features": lambda f, t: vmap(f, in_dims=(0, None, None))(stacked(t)[0], *t[1:]),
    "vmap of the last dimension": lambda f, t: vmap(f, (-1, None, None), 1)(stacked(t)[0].movedim(0, -1), *t[1:]),
    "vmap of edge weights": lambda f, t: vmap(f, in_dims=(None, 0, None))(t[0], stacked(t)[1], t[2]),
    "vmap of self weights": lambda f, t: vmap(f, in_dims=(None, None, 0))(t[0], t[1], stacked(t)[2]),
    "vmap of everything": lambda f, t: vmap(f)(*stacked(t)),
    "vmap of vmap": lambda f, t: vmap(vmap(f, (0, None, None)), (None, 0, None))(*stacked(t)[:2], t[2]),
    "vmap of grad": lambda f, t: vmap(grad(cube(f), argnums=ALL), in_dims=(0, None, None))(stacked(t)[0], *t[1:]),
    "grad of vmap": lambda f, t: grad(lambda *a: cube(vmap(f, (0, None, None)))(stacked(a)[0], *a[1:]), ALL)(*t),
    "jacrev": lambda f, t: jacrev(f, argnums=ALL)(*t),
    "jacrev of jacrev": lambda f, t: jacrev(jacrev(cube(f), argnums=ALL), argnums=ALL)(*t),
    "jacfwd": lambda f, t: jacfwd(f, argnums=ALL)(*t),
    "hessian": lambda f, t: hessian(cube(f), argnums=ALL)(*t),
    "jvp": lambda f, t: jvp(f, t, tuple(2 * a + 1 for a in t)),
    "third derivatives": lambda f, t: jacrev(jacrev(jacrev(cube(f), 1), 0), 2)(*t),
}  # fmt: skip


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", TRANSFORMED)
def test_transformed_kernels_equal_the_dense_product(kernel, name, problem):
    skip_if_absent(kernel)
    adjacency, tensors = problem
    found = TRANSFORMED[name](lambda x, w, s: propagate(x, adjacency, w, s, kernel), tensors)
    expected = TRANSFORMED[name](lambda x, w, s: dense(adjacency, x, w, s), tensors)
    found, expected = torch.utils._pytree.tree_leaves(found), torch.utils._pytree.tree_leaves(expected)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape and torch.allclose(a, b, atol=1e-10)


@pytest.mark.parametrize("kernel", KERNELS)
def test_numerical_first_and_second_derivatives(kernel, problem):
    skip_if_absent(kernel)
    adjacency, tensors = problem
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    assert torch.autograd.gradcheck(lambda *t: propagate(t[0], adjacency, *t[1:], kernel), leaves)
    assert torch.autograd.gradgradcheck(lambda *t: propagate(t[0], adjacency, *t[1:], kernel), leaves)


def test_forward_mode_without_torch_func(problem):
    adjacency, (x, w, s) = problem
    with torch.autograd.forward_ad.dual_level():
        out = propagate(torch.autograd.forward_ad.make_dual(x, x + 1), adjacency, w, s, "bag")
        tangent = torch.autograd.forward_ad.unpack_dual(out).tangent
    assert torch.allclose(tangent, dense(adjacency, x + 1, w, s))


def test_the_features_are_kept_only_for_gradients_of_weights(problem):
    adjacency, (x, w, s) = problem
    out = propagate(x.clone().requires_grad_(), adjacency, w, s, "bag")
    assert out.grad_fn.saved_tensors[0] is None
    out = propagate(x, adjacency, w.clone().requires_grad_(), s, "bag")
    assert out.grad_fn.saved_tensors[0] is not None


def test_a_repeated_pattern_is_that_of_the_block_diagonal_matrix():
    adjacency = Adjacency(torch.tensor([[2, 0], [0, 1]]), 3)
    twice = adjacency.pattern.repeated(2)
    union = Adjacency(torch.tensor([[2, 0, 5, 3], [0, 1, 3, 4]]), 6).pattern
    weight, loops = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.arange(6.0)
    blocks = torch.cat([weight[:2], loops[:3], weight[2:], loops[3:]])
    assert torch.equal(filled(twice, blocks), filled(union, torch.cat([weight, loops])))
    assert torch.equal(filled(twice.transposed(), blocks), filled(union, torch.cat([weight, loops])).t())


def filled(pattern: Pattern, weight):
    size = len(pattern.rowptr) - 1
    matrix = torch.zeros(size, size)
    matrix[pattern.row_of, pattern.col] = weight[pattern.perm]
    return matrix
