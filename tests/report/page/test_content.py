"""The content of a page is made of values; the number of images is that of the targets."""

import torch

from mlgcn_pyg.report.page import PageContent


def test_the_number_of_images_is_that_of_the_targets():
    content = PageContent("t", ["v"], "test.h5", ["a", "b"], torch.zeros(3, 2, dtype=torch.int8))
    assert content.num_images == 3
