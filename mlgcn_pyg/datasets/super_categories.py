"""The super-categories of COCO's and PASCAL VOC's labels.

COCO: the field ``supercategory`` of the annotation files, `"Microsoft COCO: Common Objects in Context"
<https://arxiv.org/abs/1405.0312>`_, Sec. 3.1 and its appendix. VOC: M. Everingham et al., `The PASCAL Visual Object
Classes (VOC) Challenge <https://doi.org/10.1007/s11263-009-0275-4>`_, 2010, Sec. 2.
"""

from collections.abc import Sequence

COCO = {
    "person": "person",
    "vehicle": "bicycle, car, motorcycle, airplane, bus, train, truck, boat",
    "outdoor": "traffic light, fire hydrant, stop sign, parking meter, bench",
    "animal": "bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe",
    "accessory": "backpack, umbrella, handbag, tie, suitcase",
    "sports": "frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, "
    "tennis racket",
    "kitchen": "bottle, wine glass, cup, fork, knife, spoon, bowl",
    "food": "banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake",
    "furniture": "chair, couch, potted plant, bed, dining table, toilet",
    "electronic": "tv, laptop, mouse, remote, keyboard, cell phone",
    "appliance": "microwave, oven, toaster, sink, refrigerator",
    "indoor": "book, clock, vase, scissors, teddy bear, hair drier, toothbrush",
}
VOC = {
    "person": "person",
    "animal": "bird, cat, cow, dog, horse, sheep",
    "vehicle": "aeroplane, bicycle, boat, bus, car, motorbike, train",
    "indoor": "bottle, chair, diningtable, pottedplant, sofa, tvmonitor",
}


def super_categories(label_names: Sequence[str]) -> tuple[str | None, ...]:
    """Returns the super-category of each label, of COCO or of VOC, whichever knows more of the names.

    Case, and ``_`` or ``-`` instead of a space, do not matter.

    Args:
        label_names: C names.

    Returns:
        C super-categories; None for a name that is unknown.

    >>> super_categories(["dog", "traffic light", "sea"])
    ('animal', 'outdoor', None)
    >>> super_categories(["sofa", "chair"])
    ('indoor', 'indoor')
    """
    words = [name.casefold().replace("_", " ").replace("-", " ") for name in label_names]
    of_coco, of_voc = (tuple(_by_label(groups).get(word) for word in words) for groups in (COCO, VOC))
    return of_coco if of_coco.count(None) <= of_voc.count(None) else of_voc


def _by_label(groups: dict[str, str]) -> dict[str, str]:
    """Returns {label: super-category}."""
    return {label: group for group, labels in groups.items() for label in labels.split(", ")}
