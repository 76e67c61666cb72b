"""The error of a non-finite loss: what it reports, and that it survives a process boundary."""

import pickle

import pytest
import torch

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.training.divergence import NonFiniteLossError, check_losses


def test_the_first_non_finite_loss_is_reported_with_its_head():
    losses = torch.tensor([[1.0, 2.0], [1.0, torch.inf], [torch.nan, 1.0]])
    with pytest.raises(NonFiniteLossError) as caught:
        check_losses(losses, 3, [0.1, 0.2], ["a", "b"], "a/state.pt (epoch 3, 1 steps done)")
    error = caught.value
    assert (error.loss, error.epoch, error.step, error.lr, error.name) == (torch.inf, 3, 2, 0.2, "b")
    assert isinstance(error, InputError) and error.argument == "lr"
    assert "found loss inf in epoch 3, step 2 (b) at lr 0.2; try a tenth of this learning rate" in str(error)
    assert str(error).endswith("; last saved state: a/state.pt (epoch 3, 1 steps done)")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is NonFiniteLossError and str(copy) == str(error) and vars(copy) == vars(error)


def test_a_network_has_no_name_and_a_run_without_folder_no_saved_state():
    with pytest.raises(NonFiniteLossError, match=r"in epoch 1, step 1 at lr 0.5; try a tenth of this learning rate$"):
        check_losses(torch.tensor([[torch.nan]]), 1, [0.5])


@pytest.mark.parametrize("losses", [torch.zeros(0, 2), torch.ones(3, 2)])
def test_finite_losses_pass(losses):
    check_losses(losses, 1, [0.1, 0.1], ["a", "b"])
