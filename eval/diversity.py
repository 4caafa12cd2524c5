"""Distinct-n and EAD, the diversity metrics of the MAGneT paper.

Distinct-n: A Diversity-Promoting Objective Function for Neural Conversation Models. Jiwei Li,
Michel Galley, Chris Brockett, Jianfeng Gao, Bill Dolan. https://arxiv.org/abs/1510.03055
EAD: Rethinking and Refining the Distinct Metric. Siyang Liu, Sahand Sabour, Yinhe Zheng, Pei Ke,
Xiaoyan Zhu, Minlie Huang. https://arxiv.org/abs/2202.13587
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from eval.ngrams import NGrams, ngrams
from eval.tokens import Ids

ProfileName = Literal["paper", "released"]
Figures = dict[str, float | None]

_PUNCTUATION = re.compile(r"(?:[^\w\s]|_)+")
_NOTEBOOK = re.compile(r"[^0-9A-Za-z ]+")
_SPACES = re.compile(r"\s\s+|[^\S ]")  # a space alone is as it should be


def plain_text(messages: Iterable[str], profile: ProfileName = "paper") -> str:
    r"""What is tokenized of a session: its words, without labels and punctuation.

    The counts known of the notebook on the released sessions come out only without role labels
    and with runs of spaces (left where a dash stood) made one.

    Args:
        messages: in order.
        profile: ``paper`` keeps the letters of every script and puts a space between messages.
            ``released`` deletes, as the notebook does, newlines and all else but 0-9, A-Z, a-z
            and the space: accented letters go, and the last word of a message fuses with the
            first of the next.

    >>> plain_text(["Well - I don't.", "A café?"])
    'Well I dont A café'
    >>> plain_text(["Well - I don't.", "A café?"], "released")
    'Well I dontA caf'
    """
    text = "\n".join(messages)
    kept = _NOTEBOOK.sub("", text) if profile == "released" else _PUNCTUATION.sub(_marks, text)
    return _SPACES.sub(" ", kept)


def _marks(removed: re.Match[str]) -> str:
    """The accents and vowel signs that open a removed part: they belong to the letter before."""
    if removed[0].isascii():
        return ""
    return "".join(takewhile(lambda c: unicodedata.category(c).startswith("M"), removed[0]))


def distinct(types: int, total: int) -> float | None:
    """Distinct-n: distinct n-grams over all n-grams; None where there are none."""
    return types / total if total else None


def ead(types: int, tokens: int, vocabulary: int) -> float | None:
    """Expectation-adjusted Distinct: distinct tokens over those expected of a uniform draw.

    N / (V (1 - ((V - 1) / V) ** C)), so that longer text is not less diverse for its length.

    Args:
        types: N, distinct tokens.
        tokens: C, all tokens.
        vocabulary: V, tokens there are.

    Returns:
        The ratio; None without tokens.
    """
    if not tokens or vocabulary < 1:
        return None
    if vocabulary == 1:
        return float(types)
    # In logarithms: ((V - 1) / V) ** C loses digits where C is small beside V.
    expected = -vocabulary * math.expm1(tokens * math.log1p(-1 / vocabulary))
    return types / expected


@dataclass(frozen=True)
class Distinct:
    """Distinct-1, -2, -3 and EAD of sessions, pooled.

    Attributes:
        grams: unigrams, bigrams, trigrams.
        vocabulary: the V of EAD.
    """

    grams: tuple[NGrams, ...]
    vocabulary: int

    @classmethod
    def of(cls, sessions: Sequence[Ids], vocabulary: int) -> "Distinct":
        """The counts of sessions given as token ids, each of shape (tokens,)."""
        return cls(tuple(ngrams(sessions, n) for n in (1, 2, 3)), vocabulary)

    def figures(self, sessions: Ids | None = None) -> Figures:
        """``distinct_1`` to ``distinct_3`` and ``ead``; counts as ``types`` and ``tokens``.

        Args:
            sessions: indices of the sessions to pool; None pools all.
        """
        counts = [grams.count(sessions) for grams in self.grams]
        shares = {f"distinct_{n}": distinct(*count) for n, count in enumerate(counts, 1)}
        types, tokens = counts[0]
        return shares | {
            "ead": ead(types, tokens, self.vocabulary),
            "types": types,
            "tokens": tokens,
        }
