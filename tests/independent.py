"""The paper's tables once more, from a run's files with pandas and SciPy: nothing of ``eval``.

What it must agree with is written down here a second time, on purpose.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from scipy import stats

CTRS = [
    "understanding",
    "interpersonal_effectiveness",
    "collaboration",
    "guided_discovery",
    "focus",
    "strategy",
]
WAI = {"goal": (4, 6, 10, 11), "task": (1, 2, 8, 12), "bond": (3, 5, 7, 9)}
POSITIVE = [
    *("Interested", "Excited", "Strong", "Enthusiastic", "Proud"),
    *("Alert", "Inspired", "Determined", "Attentive", "Active"),
]
ATTITUDES = ("positive", "neutral", "negative")
#: The fifteen columns: scale, measure, attitude, whether less is better, what is near zero.
COLUMNS = [
    *(("ctrs", item, None, False, 0.3) for item in CTRS),
    *(
        ("panas", affect, attitude, affect == "negative", 0.2)
        for attitude in ATTITUDES
        for affect in ("positive", "negative")
    ),
    *(("wai", name, None, False, 0.3) for name in WAI),
]
#: Table -> the same with SD, its rows, the row the others are compared with.
TABLES = {
    3: (9, ["psych8k", "cactus", "magnet"], "magnet"),
    4: (10, ["tuned-psych8k", "tuned-cactus", "tuned-magnet"], "tuned-magnet"),
    5: (11, ["magnet-c", "magnet-t", "magnet-c-t", "magnet"], "magnet"),
    8: (None, ["psych8k", "cactus", "magnet"], "magnet"),
}


def sessions(run: Path) -> pd.DataFrame:
    """A row a finished session."""
    found = [json.loads(path.read_text()) for path in sorted((run / "sessions").glob("*.json"))]
    keep = ("id", "method", "seed_id", "client_id", "attitude")
    rows = [{k: s[k] for k in keep} | {"said": [m["message"] for m in s["history"]]} for s in found]
    return pd.DataFrame(rows)


def values(run: Path) -> pd.DataFrame:
    """A row a session, a column a (scale, measure)."""
    table = sessions(run).set_index("id")
    lines = (run / "scores.jsonl").read_text().splitlines()
    scores = pd.DataFrame([json.loads(line) for line in lines])
    # repeats are averaged over the answers there are
    mean = scores.groupby(["scale", "dialogue", "item"]).value.mean().unstack("item")
    ctrs = mean.loc["ctrs"].reindex(table.index)
    found = {("ctrs", item): ctrs[item] for item in CTRS}
    if "wai" not in mean.index.get_level_values("scale"):
        return pd.concat([table, pd.DataFrame(found)], axis=1)
    wai = mean.loc["wai"].reindex(table.index)
    for item in (4, 10):
        wai[f"wai{item}"] = 8 - wai[f"wai{item}"]
    after = mean.loc["panas_after"].reindex(table.index)
    before = mean.loc["panas_before"].reindex(table.client_id)
    before.index = table.index
    shift = after - before
    emotions = [c for c in shift.columns if c[0].isupper()]
    negative = [e for e in emotions if e not in POSITIVE]
    for name, items in WAI.items():
        found["wai", name] = wai[[f"wai{i}" for i in items]].mean(axis=1, skipna=False)
    found["panas", "positive"] = shift[POSITIVE].mean(axis=1, skipna=False)
    found["panas", "negative"] = shift[negative].mean(axis=1, skipna=False)
    return pd.concat([table, pd.DataFrame(found)], axis=1)


def result_table(run: Path, rows: Sequence[str], main: str) -> pd.DataFrame:
    """A row a cell: mean, sd, n, missing, mark; and on the main row delta and near."""
    whole, cells = values(run), []
    for scale, measure, attitude, lower, near in COLUMNS:
        chosen = whole if attitude is None else whole[whole.attitude == attitude]
        column = chosen.pivot(index="seed_id", columns="method", values=(scale, measure))
        column = column[list(rows)].astype(float)
        means = column.mean()
        others = means.drop(main)
        best = others.min() if lower else others.max()
        for row in rows:
            both = column[[main, row]].dropna()
            test = stats.ttest_rel(both[main], both[row]) if row != main else None
            gain = (best - means[main]) if lower else (means[main] - best)
            cells.append(
                {
                    "scale": scale,
                    "measure": measure,
                    "attitude": attitude or "",
                    "method": row,
                    "mean": means[row],
                    "sd": column[row].std(ddof=1),
                    "n": column[row].count(),
                    "missing": column[row].isna().sum(),
                    "mark": "*" if test is not None and test.pvalue < 0.05 else "",
                    "near": row == main and abs(best) < near,
                    "delta": gain / abs(best) * 100 if row == main and abs(best) >= near else None,
                }
            )
    return pd.DataFrame(cells)


def diversity(
    run: Path, encode: Callable[[str], Sequence[int]], vocabulary: int, notebook: bool
) -> pd.DataFrame:
    """Distinct-1, -2, -3 and EAD by method, counted with sets.

    Args:
        run: the run.
        encode: a text's token ids.
        vocabulary: tokens there are, special ones excepted.
        notebook: newlines deleted, other characters than letters, digits and spaces too, BOS.
    """
    found = {}
    for method, group in sessions(run).groupby("method"):
        grams: dict[int, list[tuple[int, ...]]] = {1: [], 2: [], 3: []}
        for said in group.said:
            text = "\n".join(said).replace("\n", "" if notebook else " ")
            text = re.sub(r"[^0-9A-Za-z ]" if notebook else r"[^\w ]|_", "", text)
            ids = list(encode(re.sub(" +", " ", text)))
            ids = [vocabulary, *ids] if notebook else ids
            for n, all_ in grams.items():
                all_ += [tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)]
        row = {f"distinct_{n}": len(set(all_)) / len(all_) for n, all_ in grams.items()}
        types, total = len(set(grams[1])), len(grams[1])
        row["ead"] = types / (vocabulary * (1 - ((vocabulary - 1) / vocabulary) ** total))
        found[method] = row
    return pd.DataFrame(found).T
