"""Checks whether a set of images can have given label counts N and pair counts M."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlgcn_pyg.errors import InputError, warn_of_input

if TYPE_CHECKING:
    from scipy.sparse import csr_array

COUNT_AGAIN = "count pairs and labels over the same images, each image once"
MOST_LABELS = 512  # of warn_of_triples, whose work grows with the third power of the labels in the worst case


def check_diagonal(label_counts: NDArray[np.int64], given: "csr_array") -> None:
    """Checks that each M_ii is 0 or N_i.

    Raises:
        InputError: if one is not. Some public files have N on the diagonal and the sums of the rows as label counts.
    """
    diagonal = given.diagonal()
    wrong = np.flatnonzero((diagonal != 0) & (diagonal != label_counts))
    if not len(wrong):
        return
    sums = given.sum(axis=1)
    i = wrong[0]
    expected, found = "0 or the label counts on the diagonal", f"M[{i},{i}] = {diagonal[i]:g}"
    if np.array_equal(label_counts, sums) or np.array_equal(label_counts, sums - diagonal):
        found += f" and, as label counts, the sums of the rows, such as {label_counts[i]}"
        raise InputError("pair_counts", expected, found, "use the diagonal as the label counts")
    raise InputError("pair_counts", expected, f"{found} but label {i} is in {label_counts[i]} images", COUNT_AGAIN)


def warn_of_triples(label_counts: NDArray[np.int64], pairs: "csr_array") -> None:
    r"""Warns if three labels have counts that no images can have. Only up to 512 labels are checked.

    .. math:: M_{ij} + M_{ik} - M_{jk} \le N_i

    holds for any images, since those with i and j, and those with i and k, have at most M_jk images in common. P is a
    probability even if this does not hold, so that the counts are accepted.

    Args:
        label_counts: N (C,).
        pairs: M (C, C), symmetric, with a zero diagonal.
    """
    if len(label_counts) > MOST_LABELS:
        return
    counts = pairs.toarray()
    for i, (with_i, images) in enumerate(zip(counts, label_counts, strict=True)):
        others = np.flatnonzero(with_i + with_i.max() > images)  # only these can exceed N_i
        if len(others) < 2:
            continue
        excess = with_i[others][:, None] + with_i[others] - counts[np.ix_(others, others)] - images
        np.fill_diagonal(excess, 0)
        if excess.max() > 0:
            j, k = (int(others[n]) for n in np.unravel_index(excess.argmax(), excess.shape))
            found = f"M[{i},{j}] = {with_i[j]}, M[{i},{k}] = {with_i[k]} and M[{j},{k}] = {counts[j, k]}"
            warn_of_input(f"no images have these counts: {found}, but label {i} is in {images} images; {COUNT_AGAIN}")
            return
