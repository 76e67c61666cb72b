"""Runs with known effects: logits that are drawn from a model of contenders, splits and images."""

import numpy as np

from mlgcn_pyg.experiments.study.records import Condition, Run, RunKey

PREVALENCE = 0.3


def simulated_targets(generator, num_images, num_labels):
    return (generator.random((num_images, num_labels)) < PREVALENCE).astype(np.int8)


def simulated_runs(generator, targets, advantages, splits, *, of_images=0.7, of_splits=0.1, of_runs=0.5, rows=None):
    """Returns one run per contender and split.

    The logit of image n and label c is (2 + advantage + e) t + f + g + h. The noise f is the same for all, g is one
    number per contender, image and label, e is one per contender, split and label, and h is drawn for every logit.

    Args:
        generator: the source of all noise.
        targets: (N, C) t.
        advantages: for each contender, a number or (C,).
        splits: the number of splits, or the seeds of h and e of each.
        of_images: the standard deviation of g.
        of_splits: that of e.
        of_runs: that of h.
        rows: the test images of each split; default: all.
    """
    num_images, num_labels = targets.shape
    shared = generator.standard_normal(targets.shape)
    runs = []
    for name, advantage in advantages.items():
        own = shared + of_images * generator.standard_normal(targets.shape)
        for split in range(splits):
            quality = 2 + np.asarray(advantage) + of_splits * generator.standard_normal(num_labels)
            tested = np.arange(num_images) if rows is None else rows[split]
            noise = own[tested] + of_runs * generator.standard_normal((len(tested), num_labels))
            logits = (quality * targets[tested] + noise).astype(np.float32)
            runs.append(Run(RunKey(name, Condition(), split), tested, logits, 0.5, 1.0, 1.0, 10))
    return runs
