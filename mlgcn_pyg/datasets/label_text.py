"""Labels as files mention them, which may be written in several forms."""

import warnings
from collections.abc import Iterable

from mlgcn_pyg.errors import InputWarning
from mlgcn_pyg.text import described_forms, merged_forms, normal_form


def normal_labels(written: Iterable[str]) -> dict[str, str]:
    """Returns the normal form of each label, and warns of labels that are written in several forms.

    Args:
        written: labels as a file mentions them.

    >>> normal_labels(["dog", "traffic  light"])
    {'dog': 'dog', 'traffic  light': 'traffic light'}
    """
    forms = {label: normal_form(label) for label in written}
    if merged := merged_forms(forms):
        text = f"forms that look the same are read as one label: {described_forms(merged)}"
        warnings.warn(text, InputWarning, stacklevel=5)
    return forms
