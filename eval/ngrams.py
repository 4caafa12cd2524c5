"""n-grams of many sessions as integers, counted with numpy."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from eval.tokens import Ids

_LARGEST = int(np.iinfo(np.int64).max)


def dense(codes: Ids) -> Ids:
    """Integers renumbered 0, 1, ... by size; equal ones stay equal."""
    return np.unique(codes, return_inverse=True)[1]


@dataclass(frozen=True)
class NGrams:
    """The n-grams of each session; no n-gram spans two sessions.

    Attributes:
        codes: shape (n-grams,), session after session: equal integers are equal n-grams.
        starts: shape (sessions + 1,): session s has ``codes[starts[s]:starts[s + 1]]``.
    """

    codes: Ids
    starts: Ids

    @cached_property
    def ids(self) -> Ids:
        """The codes renumbered 0, 1, ..."""
        return dense(self.codes)

    def positions(self, sessions: Ids) -> Ids:
        """Where the n-grams of some sessions are, shape (n-grams of these,)."""
        lengths = self.starts[sessions + 1] - self.starts[sessions]
        ends = np.cumsum(lengths)
        within = np.arange(ends[-1] if ends.size else 0) - np.repeat(ends - lengths, lengths)
        places: Ids = within + np.repeat(self.starts[sessions], lengths)
        return places

    def count(self, sessions: Ids | None = None) -> tuple[int, int]:
        """The numbers of distinct n-grams and of all n-grams.

        Args:
            sessions: indices of those to count; None counts all.
        """
        if sessions is None:
            ordered = np.sort(self.codes)
            steps = int(np.count_nonzero(ordered[1:] != ordered[:-1]))
            return steps + (ordered.size > 0), ordered.size
        # Subsets are counted many times: marks in a table are cheaper than another sort.
        chosen = self.ids[self.positions(sessions)]
        seen = np.zeros(int(self.ids.max(initial=-1)) + 1, bool)
        seen[chosen] = True
        return int(np.count_nonzero(seen)), chosen.size


def ngrams(sessions: Sequence[Ids], n: int) -> NGrams:
    """The n-grams of sessions.

    Args:
        sessions: token ids of each, 0 or more, shape (tokens,).
        n: length of the n-grams, 1 or more.
    """
    flat = np.concatenate([*sessions, np.empty(0, np.int64)])
    lengths = np.array([ids.size for ids in sessions], np.int64)
    starts = np.concatenate([[0], np.cumsum(np.maximum(lengths - n + 1, 0))])
    codes = flat
    for k in range(1, n):
        base = int(flat.max(initial=0)) + 1
        if codes.max(initial=0) >= _LARGEST // base:
            codes = dense(codes)
        codes = codes[:-1] * base + flat[k:]
    ends = np.repeat(np.cumsum(lengths), lengths)
    whole = np.arange(flat.size) + n <= ends
    return NGrams(codes[whole[: codes.size]], starts)
