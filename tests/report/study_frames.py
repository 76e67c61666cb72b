"""Small frames of runs with known means, for the tests of tables and figures."""

import pandas as pd

METRICS = ("mAP", "CP", "CR", "CF1", "OP", "OR", "OF1", "CP3", "CR3", "CF13", "OP3", "OR3", "OF13")


def runs_of(contender, values, *, images=None, unknown=0.0, parameter="", value="", draw=0):
    """Returns one run per value of mAP, each on its own split; the k-th other metric is mAP + k/100."""
    return pd.DataFrame(
        {
            "contender": contender, "num_images": images, "unknown": unknown, "split": split, "draw": draw,
            **{metric: mAP + k / 100 for k, metric in enumerate(METRICS)},
            "val_mAP": mAP, "seconds": 2.0, "factor": 1.0, "num_parameters": 100,
            "parameter": parameter, "value": value,
        }
        for split, mAP in enumerate(values)
    )  # fmt: skip


def joined(*frames):
    return pd.concat(frames, ignore_index=True)
