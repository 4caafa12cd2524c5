"""Self-repetition: n-grams that a system uses in more than one session.

Self-Repetition in Abstractive Neural Summarizers. Nikita Salkar, Thomas Trikalinos,
Byron C. Wallace, Ani Nenkova. https://arxiv.org/abs/2210.08145
The score by session, as in the ``diversity`` package of https://arxiv.org/abs/2403.00553.
"""

import numpy as np

from eval.ngrams import NGrams
from eval.tokens import Ids


def unique_by_session(grams: NGrams) -> NGrams:
    """The n-grams of each session, each once."""
    owner = np.repeat(np.arange(grams.starts.size - 1), np.diff(grams.starts))
    order = np.lexsort((grams.ids, owner))
    ids, owner = grams.ids[order], owner[order]
    first = np.ones(ids.size, bool)
    first[1:] = (ids[1:] != ids[:-1]) | (owner[1:] != owner[:-1])
    counts = np.bincount(owner[first], minlength=grams.starts.size - 1)
    return NGrams(ids[first], np.concatenate([[0], np.cumsum(counts)]))


def self_repetition(unique: NGrams, sessions: Ids | None = None) -> float | None:
    """Mean over sessions of ln(1 + sum over the session's n-grams of other sessions with it).

    Args:
        unique: n-grams (of four words, usually), each once per session.
        sessions: indices of those to score, among themselves; None takes all.

    Returns:
        The score in nats, 0 where sessions share nothing; None where no session has an n-gram.
    """
    if sessions is None:
        sessions = np.arange(unique.starts.size - 1)
    ids = unique.ids[unique.positions(sessions)]
    if not ids.size:
        return None
    owner = np.repeat(np.arange(sessions.size), np.diff(unique.starts)[sessions])
    others = np.bincount(ids)[ids] - 1
    return float(np.log1p(np.bincount(owner, others, minlength=sessions.size)).mean())
