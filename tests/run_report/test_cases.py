"""The most confident mistakes: order, limits, unknown targets, and what a case says about its image."""

import torch

from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.report.page.content import Thumbnail
from mlgcn_pyg.run_report.cases import Cases, highest

LOGITS = torch.tensor([[3.0, -2.0], [1.0, -4.0], [-1.0, 0.5], [2.0, 2.0]])
TARGETS = torch.tensor([[0, 1], [0, 1], [1, 0], [1, -1]], dtype=torch.int8)


def cases(logits=LOGITS, targets=TARGETS, **settings):
    return Cases(logits, targets, ("cat", "dog"), lambda row: Thumbnail(f"{row}.jpg"), **settings)


def told(found):
    return [(case.thumbnail.image, case.label, case.given) for case in found]


def test_the_most_confident_mistakes_come_first():
    found = cases().mistakes()
    expected = [("1.jpg", "dog", 1), ("0.jpg", "cat", 0), ("0.jpg", "dog", 1), ("1.jpg", "cat", 0), ("2.jpg", "cat", 1)]
    assert told(found) == [*expected, ("2.jpg", "dog", 0)]
    assert abs(found[1].probability - 0.9525741268224334) < 1e-7  # 1 / (1 + e^-3)
    assert found[1].labels == [("dog", 1, found[2].probability), ("cat", 0, found[1].probability)]


def test_limits():
    assert told(cases().mistakes(most=3, per_label=1)) == [("1.jpg", "dog", 1), ("0.jpg", "cat", 0)]
    assert len(cases().mistakes(most=1)) == 1


def test_no_mistakes():
    assert cases((2.0 * TARGETS - 1).abs() * (2.0 * TARGETS - 1)).mistakes() == []
    assert cases(targets=torch.full_like(TARGETS, -1)).mistakes() == []
    assert cases(LOGITS[:0], TARGETS[:0]).mistakes() == []
    assert cases(LOGITS[:1], TARGETS[:1]).mistakes()  # one image


def test_thresholds_decide_what_a_mistake_is():
    cuts = torch.tensor([10.0, -10.0], dtype=torch.float64)
    assert told(cases(thresholds=cuts).mistakes()) == [("2.jpg", "cat", 1), ("2.jpg", "dog", 0), ("3.jpg", "cat", 1)]


def test_an_image_with_many_labels_lists_some():
    logits, targets = torch.ones(1, 50), torch.zeros(1, 50, dtype=torch.int8)
    targets[0, 7] = 1
    many = Cases(logits, targets, [str(c) for c in range(50)], lambda row: Thumbnail("a"))
    case = many.mistakes()[0]
    assert len(case.labels) == 12 and case.labels[0][0] == "7"


def clear_cut(num_images=60):
    """Logits that tell both labels, of which the second follows from the first."""
    given = torch.arange(num_images) % 3 == 0
    targets = torch.stack([given, given], dim=1).to(torch.int8)
    return 6.0 * targets - 3 + 0.1 * torch.randn(num_images, 2), targets


def test_a_flipped_label_is_suspected():
    logits, targets = clear_cut()
    targets[12, 1] = 0  # was 1
    targets[13, 0] = -1
    graph = LabelGraph.from_targets(targets, label_names=["cat", "dog"])
    found = cases(logits, targets).suspects(graph)
    assert told(found) == [("12.jpg", "dog", 0)]
    assert found[0].expected > 0.5 and found[0].reason.startswith("Picture and other labels together: P > 0.9")
    assert told(cases(logits, targets).suspects(None)) == [("12.jpg", "dog", 0)]


def test_nothing_is_suspected():
    logits, targets = clear_cut()
    assert cases(logits, targets).suspects(None) == []
    assert cases(logits[:1], targets[:1]).suspects(None) == []  # one image
    assert cases(logits[:0], targets[:0]).suspects(None) == []
    assert cases(logits, torch.full_like(targets, -1)).suspects(None) == []


def test_highest():
    scores = torch.tensor([[1.0, 5.0], [4.0, 3.0], [2.0, -torch.inf]])
    assert highest(scores, 10, 2) == [(0, 1), (1, 0), (1, 1), (2, 0)]
    assert highest(torch.zeros(0, 3), 5, 2) == []
