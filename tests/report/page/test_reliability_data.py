"""Packed reliability curves."""

import base64

import numpy as np
import torch

from mlgcn_pyg.report.page.reliability_data import reliability_values


def numbers(text: str, kind: str):
    return np.frombuffer(base64.b64decode(text), f"<{kind}")


def test_all_labels_together_come_before_each_label():
    """By hand: label 0 has P = 0.27 (absent) and 0.88 (present), label 1 has P = 0.88 (absent) and an unknown one."""
    logits = torch.tensor([[-1.0, 2.0], [2.0, 0.5]])
    targets = torch.tensor([[0, 0], [1, -1]], dtype=torch.int8)
    values = reliability_values([logits], [None], targets, bins=2)
    assert numbers(values["count"], "u4").tolist() == [1, 2, 1, 1, 0, 1]
    assert numbers(values["share"], "u2").tolist() == [0, 32767, 0, 65534, 65535, 0]  # 65535: no prediction


def test_calibrated_logits_follow_the_others():
    logits, targets = torch.randn(9, 2), torch.zeros(9, 2, dtype=torch.int8)
    values = reliability_values([logits, logits], [None, 0.5 * logits], targets)
    assert [found["calibrated"] for found in values["series"]] == [False, False, True]
    assert [found["head"] for found in values["series"]] == [0, 1, 1]
    assert len(numbers(values["error"], "u2")) == 3 * 3
