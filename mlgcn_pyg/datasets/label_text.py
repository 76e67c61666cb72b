"""Labels as files mention them, which may be written in several forms."""

from collections.abc import Iterable

from mlgcn_pyg.errors import warn_of_input
from mlgcn_pyg.text import described_forms, merged_forms, normal_form


def normal_labels(written: Iterable[str], warn: bool = True) -> dict[str, str]:
    """Returns the normal form of each label.

    Args:
        written: labels as a file mentions them.
        warn: whether to warn of labels that are written in several forms.

    >>> normal_labels(["dog", "traffic  light"])
    {'dog': 'dog', 'traffic  light': 'traffic light'}
    """
    forms = {label: normal_form(label) for label in written}
    if warn and (merged := merged_forms(forms)):
        warn_of_input(f"label names that look the same count as one: {described_forms(merged)}")
    return forms
