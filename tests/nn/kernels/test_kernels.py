"""Every kernel against the dense product in float64: values and all three gradients, on the awkward graphs."""

import functools
import importlib.util
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn.kernels import KERNELS, Adjacency, choose_kernel, propagate
from mlgcn_pyg.nn.kernels import bag as bag_module
from mlgcn_pyg.nn.kernels import choice as choice_module

NEEDS = {"segment": "torch_scatter", "triton": "triton"}
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 0.03}


def skip_if_absent(kernel):
    if kernel in NEEDS and importlib.util.find_spec(NEEDS[kernel]) is None:
        pytest.skip(f"{NEEDS[kernel]} is not installed")
    if kernel == "triton" and torch.cuda.is_available():
        pytest.skip("with a GPU, tests/test_cuda.py runs the compiled kernel")
    if kernel == "triton" and not interpreter_runs_loops():
        pytest.skip("this Triton's interpreter cannot run loops under this NumPy (2.4 refuses int() of 1-d arrays)")


@functools.cache
def interpreter_runs_loops():
    """Older interpreters turn a loop's loaded bound, an array of one number, into an int, which NumPy 2.4 refuses."""
    import triton
    import triton.language as tl

    @triton.jit
    def count(bound, out):
        total = 0
        for _ in range(0, tl.load(bound)):
            total += 1
        tl.store(out, total)

    out = torch.zeros(1, dtype=torch.int64)
    try:
        count[(1,)](torch.tensor([3]), out)
    except Exception as error:
        if "0-dimensional arrays" in str(error):
            return False
        raise
    return out.item() == 3


def dense_oracle(x, edge_index, edge_weight, self_weight, flow):
    """Â x with Â filled entry by entry."""
    matrix = torch.diag(self_weight.clone())
    receivers, senders = edge_index if flow == "target_to_source" else edge_index.flip(0)
    for e, (i, j) in enumerate(zip(receivers.tolist(), senders.tolist(), strict=True)):
        unit = torch.zeros_like(matrix)
        unit[i, j] = 1.0
        matrix = matrix + edge_weight[e] * unit
    return matrix @ x


def run(function, inputs, signal):
    """Value and gradients of ``function`` for leaf copies of ``inputs``."""
    leaves = [value.detach().clone().requires_grad_() for value in inputs]
    out = function(*leaves)
    return [out, *torch.autograd.grad(out, leaves, signal.to(out.dtype), materialize_grads=True)]


GRAPHS = {
    "no edges": (4, [], []),
    "one label": (1, [], []),
    "empty rows": (4, [0, 0, 0], [1, 2, 3]),
    "empty columns": (4, [1, 2, 3], [0, 0, 0]),
    "a hub with half the edges": (7, [0, 0, 0, 0, 1, 2, 3, 4], [1, 2, 3, 4, 0, 0, 5, 6]),
    "duplicate edges": (3, [0, 0, 0, 2], [1, 1, 1, 0]),
    "all pairs": (5, *([*pair] for pair in zip(*itertools.permutations(range(5), 2), strict=True))),
    "unsorted edges": (4, [3, 0, 2, 0, 1], [0, 3, 1, 1, 2]),
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("flow", ["target_to_source", "source_to_target"])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_values_and_gradients_equal_the_dense_product(kernel, name, flow, dtype):
    skip_if_absent(kernel)
    num_labels, rows, columns = GRAPHS[name]
    edge_index = torch.tensor([rows, columns], dtype=torch.int64)
    inputs = [torch.randn(num_labels, 5), torch.randn(len(rows)), torch.randn(num_labels)]
    inputs, signal = [value.to(dtype) for value in inputs], torch.randn(num_labels, 5).to(dtype)
    adjacency = Adjacency(edge_index, num_labels, flow)
    found = run(lambda x, w, s: propagate(x, adjacency, w, s, kernel), inputs, signal)
    exact = [value.double() for value in inputs]
    expected = run(lambda x, w, s: dense_oracle(x, edge_index, w, s, flow), exact, signal.double())
    for what, a, b in zip(("value", "x", "edge_weight", "self_weight"), found, expected, strict=True):
        assert a.dtype == dtype
        scale = max(1.0, float(b.detach().abs().max()) if b.numel() else 1.0)
        assert (a.double() - b).abs().max() <= TOLERANCE[dtype] * scale if b.numel() else a.shape == b.shape, what


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(0, 30), st.integers(1, 7), st.integers(0, 2**31), st.sampled_from(list(KERNELS)))
def test_random_graphs(num_labels, num_edges, width, seed, kernel):
    skip_if_absent(kernel)
    generator = torch.Generator().manual_seed(seed)
    edge_index = torch.randint(num_labels, (2, num_edges), generator=generator)
    inputs = [
        torch.randn(size, generator=generator, dtype=torch.float64)
        for size in ((num_labels, width), (num_edges,), (num_labels,))
    ]
    signal = torch.randn(num_labels, width, generator=generator, dtype=torch.float64)
    adjacency = Adjacency(edge_index, num_labels)
    found = run(lambda x, w, s: propagate(x, adjacency, w, s, kernel), inputs, signal)
    expected = run(lambda x, w, s: dense_oracle(x, edge_index, w, s, "target_to_source"), inputs, signal)
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kernel", KERNELS)
def test_only_the_gradients_that_are_asked_for(kernel):
    skip_if_absent(kernel)
    adjacency = Adjacency(torch.tensor([[0, 1], [1, 2]]), 3)
    x, w, s = torch.randn(3, 4), torch.randn(2), torch.randn(3)
    for asked in range(3):
        inputs = [value.clone().requires_grad_(k == asked) for k, value in enumerate((x, w, s))]
        out = propagate(inputs[0], adjacency, inputs[1], inputs[2], kernel)
        out.square().sum().backward()
        full = run(lambda a, b, c: propagate(a, adjacency, b, c, "dense"), (x, w, s), 2 * out.detach())
        assert torch.allclose(inputs[asked].grad, full[1 + asked], atol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_non_contiguous_features_and_wide_ones(kernel):
    skip_if_absent(kernel)
    adjacency = Adjacency(torch.tensor([[0, 1, 1], [1, 2, 0]]), 3)
    w, s = torch.randn(3), torch.randn(3)
    for width in (1, 1500):  # 1500 is more than one block of the fused kernel, and not a multiple of it
        x = torch.randn(width, 3).t()
        signal = torch.randn(width, 3).t()
        a = run(lambda *i: propagate(i[0], adjacency, i[1], i[2], kernel), (x, w, s), signal)
        b = run(lambda *i: propagate(i[0].contiguous(), adjacency, i[1], i[2], "dense"), (x, w, s), signal)
        assert all(torch.allclose(p, q, rtol=1e-4, atol=1e-4) for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("kernel", KERNELS)
def test_no_self_weight_means_zero(kernel):
    skip_if_absent(kernel)
    adjacency, x, w = Adjacency(torch.tensor([[0], [1]]), 2), torch.randn(2, 3), torch.randn(1)
    out = propagate(x, adjacency, w, kernel=kernel)
    assert torch.allclose(out, torch.stack([w * x[1], torch.zeros(3)]))


def test_adjacency_by_hand():
    adjacency = Adjacency(torch.tensor([[2, 0], [0, 1]]), 3)
    assert adjacency.rowptr.tolist() == [0, 2, 3, 5] and adjacency.col.tolist() == [1, 0, 1, 0, 2]
    assert adjacency.perm.tolist() == [1, 2, 3, 0, 4]  # into cat([edge_weight, self_weight])
    assert adjacency.colptr.tolist() == [0, 2, 4, 5] and adjacency.row.tolist() == [2, 0, 0, 1, 2]
    assert adjacency.pattern.row_of.tolist() == [0, 0, 1, 2, 2]


def test_adjacency_from_csr_equals_edge_index():
    a = Adjacency.from_csr(torch.tensor([0, 2, 2, 3]), torch.tensor([1, 2, 0]))
    b = Adjacency(torch.tensor([[0, 0, 2], [1, 2, 0]]), 3)
    assert all(torch.equal(getattr(a, k), getattr(b, k)) for k in dict(a.named_buffers()))
    backwards = Adjacency.from_csr(torch.tensor([0, 1, 1]), torch.tensor([1]), flow="source_to_target")
    assert backwards.receiver.tolist() == [0] and backwards.sender.tolist() == [1]


def test_adjacency_moves_with_its_module_and_is_not_saved():
    adjacency = Adjacency(torch.tensor([[0], [1]]), 2)
    assert adjacency.state_dict() == {} and adjacency.to("meta").col.device.type == "meta"


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Adjacency(torch.tensor([[0], [2]]), 2), "edge_index: expected labels in 0…1, found 2"),
        (lambda: Adjacency(torch.tensor([[-1], [0]]), 2), "found -1"),
        (
            lambda: Adjacency(torch.zeros(2, 1), 2),
            r"shape \(2, num_edges\), int64, found shape \(2, 1\), torch.float32",
        ),
        (lambda: Adjacency.from_csr(torch.tensor([0, 2, 1]), torch.tensor([0])), "pointers that rise from 0 to 1"),
        (lambda: Adjacency.from_csr(torch.tensor([0, 1]), torch.tensor([3])), "labels in 0…0, found 3"),
        (lambda: Adjacency.from_csr(torch.tensor([]), torch.tensor([3])), "rowptr: expected shape"),
    ],
)
def test_invalid_patterns(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"x": torch.zeros(3, 4)}, r"x: expected shape \(2, num_features\), found shape \(3, 4\)"),
        ({"edge_weight": torch.zeros(2)}, r"edge_weight: expected shape \(1,\), found shape \(2,\)"),
        ({"self_weight": torch.zeros(1)}, r"self_weight: expected shape \(2,\)"),
        ({"edge_weight": torch.tensor([torch.nan])}, "edge_weight: expected finite weights, found NaN or Inf"),
        ({"edge_weight": torch.zeros(1).double()}, r"the type of x, torch.float32, found torch.float64"),
        ({"x": torch.zeros(2, 4, device="meta")}, "all tensors on one device, found x on meta"),
        ({"kernel": "magic"}, "kernel: expected one of gather_scatter, segment, dense, bag, triton, found 'magic'"),
    ],
)
def test_invalid_inputs(changed, message):
    inputs = {
        "x": torch.zeros(2, 4), "adjacency": Adjacency(torch.tensor([[0], [1]]), 2), "edge_weight": torch.zeros(1),
        "self_weight": torch.zeros(2),
    }  # fmt: skip
    with pytest.raises(InputError, match=message):
        propagate(**(inputs | changed))


def test_errors_of_kernels_without_their_library_name_the_package(monkeypatch):
    import builtins

    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("torch_scatter"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    inputs = (torch.zeros(2, 4), Adjacency(torch.tensor([[0], [1]]), 2), torch.zeros(1))
    with pytest.raises(InputError, match="torch-scatter for kernel 'segment', found no such module; pip install"):
        propagate(*inputs, kernel="segment")
    monkeypatch.setattr("mlgcn_pyg.nn.kernels.dispatch.installed", lambda name: False)
    with pytest.raises(InputError, match="Triton for kernel 'triton', found no such module"):
        propagate(*inputs, kernel="triton")


def test_the_fused_kernel_needs_a_gpu_outside_the_interpreter(monkeypatch):
    skip_if_absent("triton")
    monkeypatch.setattr("mlgcn_pyg.nn.kernels.fused.interpreted", lambda: False)
    with pytest.raises(InputError, match="CUDA tensors for kernel 'triton', found tensors on cpu"):
        propagate(torch.zeros(2, 4), Adjacency(torch.tensor([[0], [1]]), 2), torch.zeros(1), kernel="triton")


def test_auto_states_its_reason():
    adjacency, x, w = Adjacency(torch.tensor([[0], [1]]), 2), torch.randn(2, 3), torch.randn(1)
    choice = choose_kernel(x, adjacency, w)
    assert choice.kernel in KERNELS and "CPU" in choice.reason
    assert torch.equal(propagate(x, adjacency, w), propagate(x, adjacency, w, kernel=choice.kernel))


@pytest.mark.parametrize(
    "share, width, learned, expected",
    [(1, 64, False, "dense"), (1, 8, True, "dense"), (1, 8, False, "bag"), (0.3, 64, True, "bag")],
)
def test_the_dense_product_is_chosen_where_most_pairs_are_edges(share, width, learned, expected):
    pairs = torch.tensor(list(itertools.permutations(range(40), 2))).t()
    adjacency = Adjacency(pairs[:, : int(share * pairs.size(1))], 40)
    weight = torch.randn(adjacency.num_edges, requires_grad=learned)
    x, self_weight = torch.randn(40, width), torch.randn(40)
    assert choose_kernel(x, adjacency, weight, self_weight).kernel == expected
    found = propagate(x, adjacency, weight, self_weight)
    assert torch.allclose(found, propagate(x, adjacency, weight, self_weight, "gather_scatter"), atol=1e-4)


class OnCuda:
    """As much of a CUDA tensor as the choice looks at."""

    is_cuda = True
    device = torch.device("cuda", 0)


@pytest.fixture
def forgotten():
    """The launch is tried once per device: forgets it before and after."""
    choice_module._triton_runs.cache_clear()
    yield
    choice_module._triton_runs.cache_clear()


def test_on_cuda_auto_selects_bag_without_triton(monkeypatch, forgotten):
    monkeypatch.setattr(choice_module, "installed", lambda name: False)
    assert choose_kernel(OnCuda(), Adjacency(torch.tensor([[0], [1]]), 2), torch.ones(1)).kernel == "bag"


@pytest.mark.parametrize("works, kernel", [(True, "triton"), (False, "bag")])
def test_on_cuda_auto_selects_triton_where_one_launch_works(monkeypatch, forgotten, works, kernel):
    skip_if_absent("triton")
    tried = []

    def launch(device):
        tried.append(device)
        if not works:
            raise RuntimeError("Failed to find C compiler. Please specify via CC environment variable")

    monkeypatch.setattr("mlgcn_pyg.nn.kernels.fused.try_launch", launch)
    adjacency = Adjacency(torch.tensor([[0], [1]]), 2)
    for _ in range(3):
        assert choose_kernel(OnCuda(), adjacency, torch.ones(1)).kernel == kernel
    assert tried == [OnCuda.device]


def test_the_trial_launch_runs_in_the_interpreter_and_in_compiled_code(forgotten):
    skip_if_absent("triton")
    assert choice_module.triton_runs(torch.device("cpu"))
    compiled = torch.compile(
        lambda x: x + 1 if choice_module.triton_runs(x.device) else x, backend="eager", fullgraph=True
    )
    assert torch.equal(compiled(torch.zeros(2)), torch.ones(2))


def test_bag_computes_dot_products_in_float32_where_the_operator_lacks_bfloat16(monkeypatch):
    types, real = [], torch.ops.aten._embedding_bag_per_sample_weights_backward

    def operator(grad, x, *rest):
        types.append((grad.dtype, x.dtype))
        return real(grad, x, *rest)

    monkeypatch.setattr(bag_module, "_has_dots", lambda x: False)
    monkeypatch.setattr(torch.ops.aten, "_embedding_bag_per_sample_weights_backward", operator)
    pattern = Adjacency(torch.tensor([[0, 1], [1, 0]]), 2).pattern
    grad, x = torch.randn(2, 2, 300).bfloat16()
    found = bag_module.BAG.dots(grad, x, pattern)
    exact = (grad.double() @ x.double().t())[[0, 1, 0, 1], [1, 0, 0, 1]]
    assert types == [(torch.float32, torch.float32)] and found.dtype == torch.bfloat16
    assert torch.allclose(found.double(), exact, rtol=2**-8)


@pytest.mark.parametrize("kernel", KERNELS)
def test_gradients_have_the_strides_of_their_tensors(kernel):
    skip_if_absent(kernel)
    adjacency = Adjacency(torch.tensor([[0, 1], [1, 2]]), 3)
    leaves = [value.requires_grad_() for value in (torch.randn(3, 4), torch.randn(2), torch.randn(3))]
    propagate(leaves[0], adjacency, leaves[1], leaves[2], kernel).sum().backward()  # its gradient is expanded
    assert all(leaf.grad.stride() == leaf.stride() for leaf in leaves)
