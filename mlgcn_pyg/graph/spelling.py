"""The nearest spellings of unknown words, found while a vocabulary of any size goes by."""

import heapq
from collections.abc import Iterable


def nearest_spellings(missing: Iterable[str], vocabulary: Iterable[str], count: int = 3) -> dict[str, list[str]]:
    """For each missing word, up to ``count`` words of the vocabulary, the nearest first; case is ignored.

    Near are words that begin or end with the same letter and can be had by :func:`edits` to a third of the letters.

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
            # an edit changes two letters of the set at most
            if len(letters.symmetric_difference(spelled)) > 2 * limit or (far := edits(lower, spelled)) > limit:
                continue
            heapq.heappush(best[word], (-far, -rank, candidate))
            if len(best[word]) > count:
                heapq.heappop(best[word])
    return {word: [near for *_, near in sorted(found, reverse=True)] for word, found in best.items()}


def edits(a: str, b: str) -> int:
    """The letters to insert, remove or replace, and neighbours to swap, that make ``b`` of ``a``.

    (The optimal string alignment distance; Damerau 1964, Levenshtein 1966.)

    >>> edits("bycicle", "bicycle"), edits("tvmonitor", "monitor"), edits("acr", "car"), edits("", "ab")
    (2, 2, 1, 2)
    """
    before, row = [], list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        earlier, before, row = before, row, [i]
        for j, y in enumerate(b, start=1):
            least = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and y == a[i - 2]:
                least = min(least, earlier[j - 2] + 1)
            row.append(least)
    return row[-1]
