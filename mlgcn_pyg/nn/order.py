"""Which of two equal products is less work."""


def features_first(
    batch: int, num_labels: int, hidden: int, num_features: int, *, train_head: bool, train_features: bool
) -> bool:
    r"""Whether :math:`(X W^\top) H^\top` takes fewer multiplications than :math:`X (H W)^\top`.

    X is (B, D), H = ÂH₁ is (C, N), W is (N, D). Each product costs itself once forward and once more for every factor
    that needs a gradient.

    Args:
        batch, num_labels, hidden, num_features: B, C, N, D.
        train_head: H and W need gradients. train_features: X does.

    >>> features_first(32, 80, 1024, 2048, train_head=True, train_features=False)  # COCO, a training step
    True
    >>> features_first(4096, 80, 1024, 2048, train_head=False, train_features=False)  # scoring a large batch
    False
    """
    head, images = int(train_head), int(train_features)
    labels_first = num_labels * hidden * num_features * (1 + 2 * head)
    labels_first += batch * num_labels * num_features * (1 + head + images)
    images_first = batch * hidden * num_features * (1 + head + images)
    images_first += batch * num_labels * hidden * (1 + head + max(head, images))
    return images_first < labels_first
