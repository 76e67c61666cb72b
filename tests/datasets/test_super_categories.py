import numpy as np

from mlgcn_pyg.datasets.super_categories import COCO, VOC, _by_label, super_categories


def test_all_labels_of_coco_and_voc_are_known(coco_targets, shared):
    names = coco_targets["classes"].tolist()
    groups = super_categories(names)
    assert None not in groups and set(groups) == set(COCO) and len(_by_label(COCO)) == len(names) == 80
    sizes = dict(zip(*np.unique(groups, return_counts=True), strict=True))
    assert (sizes["food"], sizes["animal"], sizes["person"]) == (10, 10, 1)
    files = (shared / "voc2007/VOCdevkit/VOC2007/ImageSets/Main").glob("*_test.txt")
    voc = sorted(path.name.removesuffix("_test.txt") for path in files if "sample" not in path.name)
    assert set(_by_label(VOC)) == set(voc) and None not in super_categories(voc)


def test_the_spelling_of_voc_selects_its_categories():
    assert super_categories(["sofa", "bottle", "tvmonitor"]) == ("indoor",) * 3
    assert super_categories(["couch", "bottle", "tv"]) == ("furniture", "kitchen", "electronic")
    assert super_categories(["Traffic_Light", "hot-dog", "unicorn"]) == ("outdoor", "food", None)
    assert super_categories([]) == ()
