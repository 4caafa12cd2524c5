"""Near-duplicates across splits: held-out texts that training has, almost, seen.

Likeness is the Jaccard index of the sets of word pairs, exact and over all texts; for the use of
such a search see Deduplicating Training Data Makes Language Models Better,
https://arxiv.org/abs/2107.06499.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from magnet.core.seeds import SPLITS, Split
from magnet.dataset.pairs import Pair, PairSet

#: Likeness from which a text is reported: in a reply of twenty words, two may differ.
THRESHOLD = 0.6
KINDS = ("counselor reply", "intake form", "client opening")
_WORD = re.compile(r"\w+")
_BLOCK = 512  # held-out texts compared at once


@dataclass(frozen=True)
class Near:
    """A held-out text and the one most like it in another split.

    Attributes:
        kind: of KINDS.
        split: of the held-out text.
        text: session and exchange of a reply, client of a form, seed of an opening.
        like_split: an earlier one of ``train``, ``validation``, ``test``.
        like_text: the most similar text of that split, the first of several.
        similarity: from THRESHOLD to 1.
        matches: how many texts of that split reach THRESHOLD.
    """

    kind: str
    split: Split
    text: str
    like_split: Split
    like_text: str
    similarity: float
    matches: int


@dataclass(frozen=True)
class NearReport:
    """What was found, and in how many texts.

    Attributes:
        found: one a held-out text and earlier split that has one like it.
        compared: texts by kind and split.
    """

    found: Sequence[Near]
    compared: Mapping[tuple[str, Split], int]

    def count(self, kind: str, split: Split, like_split: Split) -> int:
        """How many texts of a split have one like them in another."""
        wanted = (kind, split, like_split)
        return sum((n.kind, n.split, n.like_split) == wanted for n in self.found)


def find_near(pairs: PairSet, threshold: float = THRESHOLD) -> NearReport:
    """Compares replies, intake forms and openings of each split with those of the earlier ones."""
    found: list[Near] = []
    compared: dict[tuple[str, Split], int] = {}
    for kind in KINDS:
        texts: dict[Split, dict[str, str]] = {split: {} for split in SPLITS}
        for pair in pairs.pairs:
            name, text = _named(kind, pair)
            if _WORD.search(text):
                texts[pair.split][name] = text
        compared |= {(kind, split): len(texts[split]) for split in SPLITS}
        for at, split in enumerate(SPLITS):
            for other in SPLITS[:at]:
                held, known = list(texts[split]), list(texts[other])
                found += [
                    Near(kind, split, held[i], other, known[j], round(likeness, 3), matches)
                    for i, j, likeness, matches in near(
                        list(texts[split].values()), list(texts[other].values()), threshold
                    )
                ]
    return NearReport(found, compared)


def _named(kind: str, pair: Pair) -> tuple[str, str]:
    if kind == "counselor reply":
        return f"{pair.session} exchange {pair.exchange}", pair.reply
    if kind == "intake form":
        return pair.seed.client_id, pair.seed.intake_form
    return pair.seed.seed_id, pair.seed.opening


def near(
    held: Sequence[str], known: Sequence[str], threshold: float = THRESHOLD
) -> Iterator[tuple[int, int, float, int]]:
    """For each text of ``held`` that has its like in ``known``: both indices, likeness, matches."""
    numbers: dict[tuple[str, str], int] = {}
    held_sets = [_word_pairs(text, numbers) for text in held]
    known_sets = [_word_pairs(text, numbers) for text in known]
    left = _incidence(held_sets, len(numbers))
    right = _incidence(known_sets, len(numbers)).T.tocsr()
    held_sizes, known_sizes = _sizes(held_sets), _sizes(known_sets)
    for first in range(0, len(held), _BLOCK):
        shared = (left[first : first + _BLOCK] @ right).tocoo()
        rows, columns = shared.coords
        likeness = shared.data / (held_sizes[first + rows] + known_sizes[columns] - shared.data)
        enough = likeness >= threshold
        rows, columns, likeness = rows[enough], columns[enough], likeness[enough]
        order = np.lexsort((columns, -likeness, rows))
        nearest, matches = np.unique(rows[order], return_index=True), np.bincount(rows)
        for row, at in zip(*nearest, strict=True):
            best = order[at]
            yield first + int(row), int(columns[best]), float(likeness[best]), int(matches[row])


def _word_pairs(text: str, numbers: dict[tuple[str, str], int]) -> list[int]:
    """Numbers of the text's word pairs, each once; its two ends count as words."""
    words = ["", *_WORD.findall(text.casefold()), ""]
    return sorted({numbers.setdefault(pair, len(numbers)) for pair in pairwise(words)})


def _sizes(sets: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    return np.array([len(s) for s in sets], np.int64)


def _incidence(sets: Sequence[Sequence[int]], width: int) -> Any:
    """Sparse matrix of ones, shape (texts, width)."""
    starts = np.concatenate([[0], np.cumsum(_sizes(sets))])
    columns = np.fromiter(chain.from_iterable(sets), np.int64, int(starts[-1]))
    ones = np.ones(columns.size, np.int32)
    return csr_array((ones, columns, starts), shape=(len(sets), width))


def to_csv(report: NearReport) -> str:
    """What was found, one per line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in fields(Near)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(near) for near in report.found)
    return text.getvalue()
