"""Vendi score: the effective number of different sessions.

The Vendi Score: A Diversity Evaluation Metric for Machine Learning. Dan Friedman,
Adji Bousso Dieng. https://arxiv.org/abs/2210.02410
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eval.ngrams import ngrams
from eval.tokens import Ids
from magnet.core.errors import UsageError

Kernel = NDArray[np.float64]

_COLUMNS = 4096  # n-grams a block: 16 MB for a thousand sessions


def vendi_score(kernel: Kernel) -> float | None:
    """The exponential of the entropy of the eigenvalues of kernel / sessions.

    Args:
        kernel: similarities with ones on the diagonal, positive semidefinite, shape
            (sessions, sessions).

    Returns:
        From 1 (all alike) to the number of sessions (nothing in common); None without any.
    """
    if not kernel.size:
        return None
    values = np.linalg.eigvalsh(kernel / len(kernel))
    values = values[values > 0]
    return float(np.exp(-(values * np.log(values)).sum()))


def ngram_kernel(words: Sequence[Ids], lengths: Sequence[int] = (1, 2, 3, 4)) -> Kernel:
    """Cosine of n-gram counts, averaged over n: the text kernel of the authors' package.

    Args:
        words: word ids of each session, shape (words,).
        lengths: the n's.

    Returns:
        Shape (sessions, sessions); a session with no n-gram is like itself alone.
    """
    kernels = [_cosine(words, n) for n in lengths]
    return sum(kernels, np.zeros_like(kernels[0])) / len(kernels)


def _cosine(words: Sequence[Ids], n: int) -> Kernel:
    grams, sessions = ngrams(words, n), len(words)
    owner = np.repeat(np.arange(sessions), np.diff(grams.starts))
    width = int(grams.ids.max(initial=-1)) + 1
    cells, counts = np.unique(grams.ids * sessions + owner, return_counts=True)
    gram, owner = np.divmod(cells, max(sessions, 1))
    norms = np.sqrt(np.bincount(owner, counts.astype(float) ** 2, minlength=sessions))
    weights = (counts / norms[owner]).astype(np.float32)
    # n-grams of one session alone add nothing to its likeness to others.
    shared = np.bincount(gram, minlength=width)[gram] > 1
    gram, owner, weights = gram[shared], owner[shared], weights[shared]
    column = np.concatenate([[0], np.cumsum(np.diff(gram) > 0)])[: gram.size]
    kernel = np.zeros((sessions, sessions))
    columns = int(column.max(initial=-1)) + 1
    for first in range(0, columns, _COLUMNS):
        start, end = np.searchsorted(column, [first, first + _COLUMNS])
        block = np.zeros((sessions, _COLUMNS), np.float32)
        block[owner[start:end], column[start:end] - first] = weights[start:end]
        kernel += block @ block.T
    np.fill_diagonal(kernel, 1.0)
    return kernel


class Embedder:
    """Embeddings of messages by a sentence-transformers model.

    Messages are embedded one by one because a session is longer than such models read; each
    text is embedded once.

    Args:
        model: the model's folder.

    Raises:
        UsageError: the folder or the package is missing.
    """

    def __init__(self, model: Path) -> None:
        if not (model / "modules.json").is_file():
            raise UsageError(
                f"{model} is not a sentence-transformers model: no folder with modules.json"
            )
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise UsageError(
                "embeddings need sentence-transformers",
                "Install it: pip install sentence-transformers",
            ) from None
        self.name = str(model)
        self._model = SentenceTransformer(str(model))
        self._known: dict[str, NDArray[np.float32]] = {}

    def kernel(self, sessions: Sequence[Sequence[str]]) -> Kernel:
        """Cosine of sessions, each the mean of its messages' unit embeddings.

        Args:
            sessions: the messages of each.

        Returns:
            Shape (sessions, sessions); a session without a message is like itself alone.
        """
        new = {text for messages in sessions for text in messages} - self._known.keys()
        fresh = sorted(new)
        if fresh:
            vectors = self._model.encode(fresh, normalize_embeddings=True)
            self._known |= dict(zip(fresh, vectors, strict=True))
        kernel = np.eye(len(sessions))
        spoken = [s for s, messages in enumerate(sessions) if messages]
        if spoken:
            sums = np.array([sum(self._known[text] for text in sessions[s]) for s in spoken])
            sums /= np.linalg.norm(sums, axis=1, keepdims=True)
            kernel[np.ix_(spoken, spoken)] = sums @ sums.T
        return kernel
