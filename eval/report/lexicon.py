"""Table 2: Distinct-1, -2, -3 and EAD by method, and how certain the differences are.

MAGneT, https://arxiv.org/abs/2509.04183, table 2. Sources of the metrics: ``eval.diversity``.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from eval.diversity import Distinct, Figures, ProfileName, plain_text
from eval.report.evaluation import Evaluation
from eval.statistics import Interval, finite
from eval.tokens import Ids, Tokenizer

#: The columns of table 2, by the name of the figure.
FIGURES = {
    "distinct_1": "Distinct-1",
    "distinct_2": "Distinct-2",
    "distinct_3": "Distinct-3",
    "ead": "EAD",
}
#: Groups of clients that the jackknife leaves out in turn: leaving out each client by itself takes
#: as many counts of the whole corpus as there are clients.
_GROUPS = 20


@dataclass(frozen=True)
class Diversity:
    """One method's figures, pooled over its sessions."""

    method: str
    sessions: int
    figures: Figures


class Lexicon:
    """The words of all sessions of a report.

    Args:
        tokenizer: splits them; its vocabulary is EAD's V.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._said: dict[str, list[str]] = {}
        self._ids: dict[ProfileName, dict[str, Ids]] = {}
        self._counted: dict[tuple[ProfileName, tuple[str, ...]], Distinct] = {}

    def add(self, key: str, messages: Iterable[str]) -> None:
        """Adds a session by its key, before anything is counted."""
        self._said[key] = list(messages)

    def rows(self, evaluation: Evaluation, text: ProfileName) -> list[Diversity]:
        """One row per method.

        Args:
            evaluation: whose sessions.
            text: ``released``, as the authors' notebook cleans it, which is what the paper's
                numbers are; or ``paper``, with the words of two messages kept apart.
        """
        found = []
        for method in evaluation.methods:
            keys = tuple(case.key for case in evaluation.cases if case.method == method)
            found.append(Diversity(method, len(keys), self._distinct(keys, text).figures()))
        return found

    def difference(
        self, evaluation: Evaluation, ours: str, theirs: str, figure: str
    ) -> tuple[float | None, Interval | None, int]:
        """By how much a metric of one method exceeds another's, on the seeds that both have.

        Returns:
            The difference, its 95% interval by a jackknife over groups of clients (None for fewer
            than three clients), and the number of seeds.
        """
        sides = [
            {case.seed_id: case for case in evaluation.cases if case.method == method}
            for method in (ours, theirs)
        ]
        seeds = [seed for seed in sides[0] if seed in sides[1]]
        if not seeds:
            return None, None, 0
        counted = [
            self._distinct(tuple(side[seed].key for seed in seeds), "released") for side in sides
        ]
        groups = _groups([sides[0][seed].client_id for seed in seeds])

        def excess(chosen: Ids | None) -> float:
            first, second = (one.figures(chosen)[figure] for one in counted)
            return math.nan if first is None or second is None else first - second

        whole = excess(None)
        count = int(groups.max()) + 1
        if count < 3:
            return finite(whole), None, len(seeds)
        without = np.array([excess(np.flatnonzero(groups != group)) for group in range(count)])
        error = math.sqrt((count - 1) / count * float(((without - without.mean()) ** 2).sum()))
        reach = float(stats.t.ppf(0.975, count - 1)) * error
        if finite(whole) is None or finite(reach) is None:
            return finite(whole), None, len(seeds)
        return whole, (whole - reach, whole + reach), len(seeds)

    def _distinct(self, keys: tuple[str, ...], text: ProfileName) -> Distinct:
        if (text, keys) not in self._counted:
            ids = self._tokens(text)
            counted = Distinct.of([ids[key] for key in keys], self.tokenizer.vocabulary)
            self._counted[text, keys] = counted
        return self._counted[text, keys]

    def _tokens(self, text: ProfileName) -> dict[str, Ids]:
        """All sessions at once: a vocabulary of words is known only when all are read."""
        if text not in self._ids:
            plain = [plain_text(messages, text) for messages in self._said.values()]
            found = self.tokenizer.encode(plain, text == "released")
            # half the memory: no tokenizer has two billion tokens
            small = (ids.astype(np.int32) for ids in found)
            self._ids[text] = dict(zip(self._said, small, strict=True))  # type: ignore[arg-type]
        return self._ids[text]


def _groups(clients: Sequence[str]) -> Ids:
    """A group for each seed, shape (seeds,): all of a client's seeds in one."""
    order = {client: number for number, client in enumerate(dict.fromkeys(clients))}
    return np.array([order[client] % _GROUPS for client in clients], np.int64)
