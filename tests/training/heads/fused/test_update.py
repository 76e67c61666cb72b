"""Clipping and SGD as kernels, in Triton's interpreter, against torch's own functions."""

import importlib.util

import pytest
import torch

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is not installed", allow_module_level=True)

from mlgcn_pyg.training.heads.fused import update as module
from mlgcn_pyg.training.heads.fused.update import FlatSGD

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SHAPES = [(6, 50), (50, 11), (5,)]  # of the parameters of one head
STEPS = 3


class Heads:
    """H heads as torch trains them, and their copies as leaves."""

    def __init__(self, lrs, decays, momenta, norms, dtype=torch.float64, shapes=SHAPES):
        like = {"dtype": dtype, "device": DEVICE}
        self.params = [[torch.randn(shape, **like, requires_grad=True) for shape in shapes] for _ in lrs]
        self.norms = norms
        self.optimizers = [
            torch.optim.SGD(params, lr=lr, weight_decay=decay, momentum=momentum)
            for params, lr, decay, momentum in zip(self.params, lrs, decays, momenta, strict=True)
        ]
        self.leaves = [torch.cat([p.detach() for p in of_all]) for of_all in zip(*self.params, strict=True)]
        self.momenta = [torch.zeros_like(leaf) for leaf in self.leaves]
        options = {"dtype": torch.float64, "device": DEVICE}
        self.rates = torch.tensor(lrs, **options)
        clips = any(norm is not None for norm in norms)
        max_norms = torch.tensor([torch.inf if norm is None else norm for norm in norms], **like) if clips else None
        self.update = FlatSGD(
            self.leaves,
            self.momenta if any(momenta) else None,
            torch.arange(len(lrs), device=DEVICE).unsqueeze(1).expand(len(lrs), len(shapes)),
            torch.tensor(decays, **options),
            torch.tensor(momenta, **options),
            max_norms,
        )

    def step(self, gradients):
        """Takes a step of both; ``gradients`` has an entry per leaf, which may be None."""
        for k, gradient in enumerate(gradients):
            parts = [None] * len(self.params) if gradient is None else gradient.chunk(len(self.params))
            for params, part in zip(self.params, parts, strict=True):
                params[k].grad = None if part is None else part.clone()
        for params, optimizer, norm in zip(self.params, self.optimizers, self.norms, strict=True):
            if norm is not None:
                torch.nn.utils.clip_grad_norm_(params, norm)
            optimizer.step()
        self.update(gradients, self.rates)

    def agree(self, tolerance):
        for k, of_all in enumerate(zip(*self.params, strict=True)):
            expected = torch.cat([p.detach() for p in of_all])
            assert (self.leaves[k] - expected).abs().max() <= tolerance * expected.abs().max()


def gradients(heads):
    return [torch.randn_like(leaf) for leaf in heads.leaves]


ONE = ([0.1], [0.01], [0.9], [0.5])
CASES = {
    "one head": ONE,
    "without clipping": ([0.1], [0.01], [0.9], [None]),
    "gradients below the norm": ([0.1], [0.01], [0.9], [1e6]),
    "without weight decay": ([0.1], [0.0], [0.9], [0.5]),
    "without momentum": ([0.1], [0.01], [0.0], [0.5]),
    "a learning rate of 0": ([0.0], [0.01], [0.9], [0.5]),
    "three heads, of which one does not clip": ([0.1, 0.2, 0.3], [0.0, 0.1, 0.01], [0.9, 0.5, 0.8], [0.5, None, 3.0]),
    "three heads, of which one has no momentum": ([0.1, 0.2, 0.3], [0.0, 0.1, 0.01], [0.9, 0.0, 0.8], [0.5] * 3),
}


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("block", [64, 4096])
@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
def test_the_update_is_torchs(settings, block, dtype, tolerance, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", block)
    heads = Heads(*settings, dtype=dtype)
    for _ in range(STEPS):
        heads.step(gradients(heads))
    heads.agree(tolerance)


def test_more_sums_than_a_program_reads_at_a_time(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 16)
    monkeypatch.setattr(module, "SUMS", 8)
    heads = Heads(*ONE)
    heads.step(gradients(heads))
    heads.agree(1e-12)


def test_a_gradient_of_zero():
    heads = Heads(*ONE)
    heads.step([torch.zeros_like(leaf) for leaf in heads.leaves])
    heads.agree(1e-12)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_parameter_without_gradient_stays(missing):
    heads = Heads(*ONE)
    before = heads.leaves[missing].clone()
    for _ in range(STEPS):
        own = gradients(heads)
        own[missing] = None
        heads.step(own)
    heads.agree(1e-12)
    assert torch.equal(heads.leaves[missing], before) and not heads.momenta[missing].any()
    heads.step([None] * len(heads.leaves))  # nothing to do
    heads.agree(1e-12)


def test_gradients_that_are_not_contiguous():
    heads = Heads(*ONE)
    own = gradients(heads)
    own[0] = own[0].t().contiguous().t()
    own[2] = torch.ones((), dtype=torch.float64, device=DEVICE).expand(5)
    heads.step(own)
    heads.agree(1e-12)


def test_a_gradient_with_nan_reaches_all_parameters_of_its_head_only():
    heads = Heads([0.1] * 2, [0.0] * 2, [0.9] * 2, [0.5] * 2)
    own = gradients(heads)
    own[0][0, 0] = torch.nan
    heads.update(own, heads.rates)
    for leaf in heads.leaves:
        first, second = leaf.chunk(2)
        assert first.isnan().all() and second.isfinite().all()


def test_one_parameter_of_one_number():
    heads = Heads(*ONE, shapes=[(1,)])
    heads.step(gradients(heads))
    heads.agree(1e-12)
