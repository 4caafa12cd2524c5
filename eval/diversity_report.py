"""``magnet diversity``: the diversity of a source by method, speaker and metric."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from eval.compression import compression_ratio
from eval.dialogues import Dialogue
from eval.diversity import Distinct, Figures, ProfileName, plain_text
from eval.mattr import mattr
from eval.ngrams import ngrams
from eval.repetition import self_repetition, unique_by_session
from eval.tokens import Ids, Tokenizer, Words
from eval.vendi import Embedder, ngram_kernel, vendi_score
from magnet.core.errors import UsageError

SPEAKERS = ("all", "counselor", "client")

_COUNTS = ("types", "tokens")  # counts say what a figure is made of, they are no figures
_INTERVAL = (2.5, 97.5)  # percentiles


class More:
    """The metrics beyond the paper's, over lower-cased words whatever the tokenizer.

    Args:
        sessions: the messages of each session.
        embedder: for the Vendi score; None takes n-grams.
    """

    def __init__(self, sessions: Sequence[Sequence[str]], embedder: Embedder | None) -> None:
        words = Words().encode([plain_text(messages) for messages in sessions])
        self._texts = [" ".join(messages) for messages in sessions]
        self._silent = np.array([ids.size == 0 for ids in words])
        self._repetition = unique_by_session(ngrams(words, 4))
        self._mattr = np.array([mattr(ids) for ids in words])
        self._kernel = embedder.kernel(sessions) if embedder else ngram_kernel(words)

    def figures(self, sessions: Ids | None = None) -> Figures:
        """Compression ratio, self-repetition, MATTR and Vendi score of some sessions, or all."""
        if sessions is None:
            sessions = np.arange(len(self._texts))
        spoken = sessions[~self._silent[sessions]]
        ratios = self._mattr[sessions]
        ratios = ratios[~np.isnan(ratios)]
        return {
            "compression_ratio": compression_ratio(self._texts[s] for s in sessions),
            "self_repetition": self_repetition(self._repetition, sessions),
            "mattr": float(ratios.mean()) if ratios.size else None,
            "vendi": vendi_score(self._kernel[np.ix_(spoken, spoken)]),
        }


class Sample:
    """One method's messages of one role, or of both.

    Args:
        distinct: the counts of its tokens.
        more: the further metrics; None leaves them out.
    """

    def __init__(self, distinct: Distinct, more: More | None) -> None:
        self._distinct, self._more = distinct, more

    def figures(self, sessions: Ids | None = None) -> Figures:
        """All metrics of some sessions, pooled; None pools all."""
        more = self._more.figures(sessions) if self._more else {}
        return self._distinct.figures(sessions) | more

    def spread(self, have: int, take: int, repeats: int, seed: int) -> dict[str, Any]:
        """Metrics over draws of sessions without replacement.

        Args:
            have: sessions there are.
            take: sessions of a draw.
            repeats: number of draws.
            seed: of the draws.

        Returns:
            ``mean``, ``low`` and ``high`` (2.5th and 97.5th percentile) by metric; None where
            a draw has no value.
        """
        if have == take:
            draws = [self.figures()]
        else:
            rng = np.random.default_rng(seed)
            picks = (np.sort(rng.choice(have, take, replace=False)) for _ in range(repeats))
            draws = [self.figures(pick) for pick in picks]
        spread: dict[str, Any] = {}
        for name in draws[0]:
            if name in _COUNTS:
                continue
            values = [draw[name] for draw in draws]
            known = [value for value in values if value is not None]
            spread[name] = None
            if len(known) == len(values):
                low, high = np.percentile(known, _INTERVAL).tolist()
                spread[name] = {"mean": float(np.mean(known)), "low": low, "high": high}
        return spread


def diversity(
    dialogues: Iterable[Dialogue],
    tokenizer: Tokenizer,
    profile: ProfileName = "paper",
    more: bool = False,
    embedder: Embedder | None = None,
    repeats: int = 20,
    seed: int = 0,
) -> dict[str, Any]:
    """The diversity of each method's dialogues.

    Args:
        dialogues: of one method or several.
        tokenizer: splits the text; its vocabulary is EAD's V.
        profile: ``paper``, or ``released``: the notebook's characters (see plain_text) and BOS
            before each session.
        more: add compression ratio, self-repetition, MATTR and Vendi score.
        embedder: for the Vendi score; None takes n-grams.
        repeats: draws where methods differ in their number of sessions.
        seed: of the draws.

    Returns:
        ``profile``, ``tokenizer``, ``vocabulary`` and, with more, ``vendi_kernel``; of one
        method ``method``, ``sessions`` and its figures under ``all``, ``counselor`` and
        ``client``; of several the same by method under ``methods``, and under
        ``equal_sessions`` what they are at the smallest count of sessions.

    Raises:
        UsageError: there are no dialogues.
    """
    said: dict[str, dict[str, list[list[str]]]] = {}
    for dialogue in dialogues:
        of_method = said.setdefault(dialogue.method, {speaker: [] for speaker in SPEAKERS})
        for speaker, sessions in of_method.items():
            chosen = (m.message for m in dialogue.messages if speaker in ("all", m.role))
            sessions.append(list(chosen))
    if not said:
        raise UsageError("there are no finished sessions to measure")
    tokens = {
        (method, speaker): tokenizer.encode(
            [plain_text(messages, profile) for messages in sessions], profile == "released"
        )
        for method, of_method in said.items()
        for speaker, sessions in of_method.items()
    }
    samples = {
        (method, speaker): Sample(
            # A vocabulary of words is known only now, when all has been tokenised.
            Distinct.of(ids, tokenizer.vocabulary),
            More(said[method][speaker], embedder) if more else None,
        )
        for (method, speaker), ids in tokens.items()
    }
    counts = {method: len(of_method["all"]) for method, of_method in said.items()}
    blocks = {
        method: {"sessions": count}
        | {speaker: samples[method, speaker].figures() for speaker in SPEAKERS}
        for method, count in counts.items()
    }
    head = {
        "profile": profile,
        "tokenizer": tokenizer.name,
        "vocabulary": tokenizer.vocabulary,
    } | ({"vendi_kernel": embedder.name if embedder else "ngrams"} if more else {})
    if len(blocks) == 1:
        [(method, block)] = blocks.items()
        return head | {"method": method} | block
    least = min(counts.values())
    equal = {
        method: {
            speaker: samples[method, speaker].spread(count, least, repeats, seed)
            for speaker in SPEAKERS
        }
        for method, count in counts.items()
    }
    drawn = {"sessions": least, "repeats": repeats, "seed": seed, "methods": equal}
    return head | {"methods": blocks, "equal_sessions": drawn}
