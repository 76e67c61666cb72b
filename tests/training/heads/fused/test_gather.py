"""The gathering kernel, in Triton's interpreter, against indexing."""

import importlib.util

import pytest
import torch

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is not installed", allow_module_level=True)

from mlgcn_pyg.training.heads.fused.gather import gather

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.parametrize("stored, dtype", [(torch.float16, torch.float32), (torch.bfloat16, torch.float64)])
@pytest.mark.parametrize(
    "images, views, width, labels",
    [(7, 1, 12, 5), (7, 3, 12, 5), (1, 1, 1, 1), (5, 2, 1500, 3), (5, 1, 4, 1500)],
    ids=["one view", "views", "one image and label", "wide features", "many labels"],
)
def test_a_gathered_batch_equals_indexing(stored, dtype, images, views, width, labels):
    features = torch.randn(images * views, width).to(stored).to(DEVICE)
    targets = torch.randint(-1, 2, (images, labels), dtype=torch.int8, device=DEVICE)
    rows = torch.randint(images * views, (4,), device=DEVICE)  # may repeat a row
    found = gather(features, targets, views, dtype, rows)
    assert found[0].dtype == dtype and torch.equal(found[0], features[rows].to(dtype))
    assert found[1].dtype == torch.int8 and torch.equal(found[1], targets[rows // views])
