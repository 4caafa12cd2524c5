"""MATTR: the moving-average type-token ratio.

Cutting the Gordian Knot: The Moving-Average Type-Token Ratio (MATTR). Michael A. Covington,
Joe D. McFall. Journal of Quantitative Linguistics 17 (2010).
https://doi.org/10.1080/09296171003643098
"""

import math

import numpy as np

from eval.tokens import Ids


def mattr(words: Ids, window: int = 50) -> float:
    """Mean share of distinct words over all windows of a session.

    Args:
        words: word ids, shape (words,).
        window: words in a window.

    Returns:
        In (0, 1]; NaN where the session is shorter than a window.
    """
    size = words.size
    if size < window:
        return math.nan
    # The word at j is new to the windows that start after its previous use and hold j.
    order = np.argsort(words, kind="stable")
    previous = np.full(size, -1)
    again = words[order[1:]] == words[order[:-1]]
    previous[order[1:][again]] = order[:-1][again]
    at = np.arange(size)
    first = np.maximum(previous + 1, np.maximum(at - window + 1, 0))
    change = np.bincount(first, minlength=size + 1) - np.bincount(at + 1, minlength=size + 1)
    return float(np.cumsum(change)[: size - window + 1].mean() / window)
