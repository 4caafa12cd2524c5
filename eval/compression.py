"""Compression ratio: how much shorter gzip makes a corpus.

Standardizing the Measurement of Text Diversity: A Tool and a Comparative Analysis of Scores.
Chantal Shaib, Venkata S. Govindarajan, Joe Barrow, Jiuding Sun, Alexa F. Siu, Byron C. Wallace,
Ani Nenkova. https://arxiv.org/abs/2403.00553
"""

import gzip
from collections.abc import Iterable


def compression_ratio(texts: Iterable[str]) -> float | None:
    """Bytes of the corpus over its bytes when compressed: the higher, the more repetitive.

    gzip looks 32 KiB back, so it sees what repeats within a session or two, and the order of
    the sessions matters.

    Args:
        texts: one per session; joined by a space and encoded as UTF-8.

    Returns:
        The ratio; None where there is no text.
    """
    raw = " ".join(texts).encode()
    return len(raw) / len(gzip.compress(raw, mtime=0)) if raw.strip() else None
