"""Finds words with a similar spelling in a vocabulary of any size."""

import heapq
from collections.abc import Iterable


def nearest_spellings(missing: Iterable[str], vocabulary: Iterable[str], count: int = 3) -> dict[str, list[str]]:
    """Finds words with a similar spelling, in one pass over a vocabulary.

    A candidate must begin or end with the same letter as the word. It may differ from the word by one edit, or by as
    many :func:`edits` as a third of the word's length. Case is ignored.

    Args:
        missing: the words that are not in the vocabulary.
        vocabulary: the candidates.
        count: the largest number of candidates to return for each word.

    Returns:
        A dict from words to similar candidates, the most similar first, ties in the order of the vocabulary.

    >>> nearest_spellings(["bycicle", "zzz"], ["the", "bicycle", "icicle", "bicycles"])
    {'bycicle': ['bicycle', 'icicle'], 'zzz': []}
    """
    best: dict[str, list[tuple[int, int, str]]] = {word: [] for word in missing}
    wanted = [(word, word.lower(), set(word.lower()), max(1, len(word) // 3)) for word in best if word]
    for rank, candidate in enumerate(vocabulary):
        if not candidate:
            continue
        spelled = candidate.lower()
        first, last, length = spelled[0], spelled[-1], len(spelled)
        for word, lower, letters, limit in wanted:
            if abs(length - len(lower)) > limit or (first != lower[0] and last != lower[-1]):
                continue
            # an edit changes at most two letters of the set
            if len(letters.symmetric_difference(spelled)) > 2 * limit or (distance := edits(lower, spelled)) > limit:
                continue
            heapq.heappush(best[word], (-distance, -rank, candidate))
            if len(best[word]) > count:
                heapq.heappop(best[word])
    return {word: [near for *_, near in sorted(ranked, reverse=True)] for word, ranked in best.items()}


def edits(a: str, b: str) -> int:
    """Returns the number of edits that turn ``a`` into ``b``.

    An edit inserts, removes or replaces a letter, or swaps two adjacent letters.

    This is the optimal string alignment distance (Damerau 1964, Levenshtein 1966).

    >>> edits("bycicle", "bicycle"), edits("tvmonitor", "monitor"), edits("acr", "car"), edits("", "ab")
    (2, 2, 1, 2)
    """
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        earlier, before, row = before, row, [i]
        for j, y in enumerate(b, start=1):
            least = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and y == a[i - 2]:
                least = min(least, earlier[j - 2] + 1)
            row.append(least)
    return row[-1]
