"""Two systems on the same seeds: tests, intervals and effect size of their difference.

Three seeds share a client, one an attitude, so besides the paper's paired t-test each result has
an interval and a p-value that count clients, not seeds. What cannot be computed is None, with the
reason next to it.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests

RESAMPLES = 9999
_SEED = 0
_FEW = "fewer than two pairs"
_SAME = "all differences are equal"
#: Two clients give three different resamples, and an interval that means nothing.
_CLIENTS = 3
_FEW_CLIENTS = "by client: fewer than three clients"
_SAME_CLIENTS = "by client: all differences are equal"
Interval = tuple[float, float]


@dataclass(frozen=True)
class Paired:
    """Differences between two systems, seed by seed.

    Attributes:
        n: pairs with both values.
        dropped: seeds where one value or both are missing.
        clients: clients among the pairs.
        mean: of the differences.
        sd: of the differences.
        dz: mean / sd.
        t: of the paired t-test.
        p: of the paired t-test.
        p_wilcoxon: of the signed-rank test; by the normal approximation where values are tied.
        interval: BCa bootstrap interval of the mean, 95%, seeds resampled.
        p_cluster: of the mean, with standard errors clustered by client.
        cluster_interval: as ``interval``, clients resampled.
        reasons: why what is None could not be computed.
    """

    n: int
    dropped: int
    clients: int
    mean: float | None = None
    sd: float | None = None
    dz: float | None = None
    t: float | None = None
    p: float | None = None
    p_wilcoxon: float | None = None
    interval: Interval | None = None
    p_cluster: float | None = None
    cluster_interval: Interval | None = None
    reasons: tuple[str, ...] = ()


def paired(
    ours: Mapping[str, float | None],
    theirs: Mapping[str, float | None],
    clients: Mapping[str, str],
    resamples: int = RESAMPLES,
) -> Paired:
    """Compares two systems on the seeds that both have.

    Args:
        ours: value by seed.
        theirs: value by seed.
        clients: client by seed; a seed missing from it counts as its own client.
        resamples: of each bootstrap.
    """
    both, dropped = complete(ours, theirs)
    first, second = (np.array([side[s] for s in both], dtype=float) for side in (ours, theirs))
    differences = first - second
    groups = codes([clients.get(seed, seed) for seed in both])
    n, n_clients = len(both), len(set(groups))
    found: dict[str, Any] = {"n": n, "dropped": dropped, "clients": n_clients}
    if n:
        found["mean"] = float(differences.mean())
    if n < 2:
        return Paired(**found, reasons=(_FEW,))
    spread = float(differences.std(ddof=1))
    # rounding leaves a spread of about 1e-17 among equal differences of decimal fractions
    if math.isclose(spread, 0.0, abs_tol=1e-12):
        return Paired(**found, sd=0.0, reasons=(_SAME,))
    with _quietly():
        test = stats.ttest_rel(first, second)
        found |= {"sd": spread, "dz": found["mean"] / spread}
        found |= {"t": finite(test.statistic), "p": finite(test.pvalue)}
        found["p_wilcoxon"] = wilcoxon_p(differences)
        found["interval"] = bootstrap((differences,), np.mean, resamples)
    if n_clients < _CLIENTS:
        return Paired(**found, reasons=(_FEW_CLIENTS,))
    residuals = np.bincount(groups, weights=differences - differences.mean())
    if np.allclose(residuals, 0.0, atol=1e-12):
        return Paired(**found, reasons=(_SAME_CLIENTS,))
    found["cluster_interval"] = cluster_bootstrap(differences[None], groups, _overall, resamples)
    found["p_cluster"] = cluster_p(differences, groups)
    missing = [k for k in ("interval", "cluster_interval", "p_cluster") if found[k] is None]
    reasons = tuple(f"{name.replace('_', ' ')}: degenerate sample" for name in missing)
    return Paired(**found, reasons=reasons)


def complete(*columns: Mapping[str, float | None]) -> tuple[list[str], int]:
    """The seeds where every column has a value, in order, and how many lack one."""
    seeds = dict.fromkeys(seed for column in columns for seed in column)
    both = [s for s in seeds if all(column.get(s) is not None for column in columns)]
    return both, len(seeds) - len(both)


def codes(names: Sequence[str]) -> list[int]:
    """Names as numbers from 0, in the order they appear."""
    known: dict[str, int] = {}
    return [known.setdefault(name, len(known)) for name in names]


def wilcoxon_p(differences: np.ndarray) -> float | None:
    """SciPy's signed-rank test; few tied pairs do not start its permutation test of a second."""
    sizes = np.abs(differences)
    tied = len(np.unique(sizes)) < len(sizes) or not sizes.all()
    return finite(stats.wilcoxon(differences, method="asymptotic" if tied else "auto").pvalue)


def cluster_p(differences: Sequence[float] | np.ndarray, groups: Sequence[int]) -> float | None:
    """P of the mean against 0, by the t-test of a constant with clustered standard errors."""
    data = np.asarray(differences, dtype=float)
    with _quietly():
        fit = OLS(data, np.ones(len(data))).fit(
            cov_type="cluster", cov_kwds={"groups": np.asarray(groups)}, use_t=True
        )
        return finite(fit.pvalues[0])


def _overall(sums: np.ndarray, counts: np.ndarray, axis: int = -1) -> Any:
    return sums.sum(axis=axis) / counts.sum(axis=axis)


def cluster_bootstrap(
    columns: np.ndarray,
    groups: Sequence[int],
    statistic: Callable[..., Any],
    resamples: int = RESAMPLES,
) -> Interval | None:
    """BCa interval of a statistic of client sums, clients resampled whole.

    Args:
        columns: one row a quantity, one column a seed.
        groups: each seed's client, as numbers from 0.
        statistic: called with each quantity's sums by client, the clients' numbers of seeds, and
            ``axis``.
        resamples: of the bootstrap.

    Returns:
        None for fewer than three clients and for degenerate samples.
    """
    if len(set(groups)) < _CLIENTS:
        return None
    sums = [np.bincount(groups, weights=row) for row in columns]
    return bootstrap((*sums, np.bincount(groups).astype(float)), statistic, resamples)


def bootstrap(
    data: Sequence[np.ndarray], statistic: Callable[..., Any], resamples: int = RESAMPLES
) -> Interval | None:
    """SciPy's BCa interval, 95%; rows of several samples stay together. None if degenerate."""
    if len(data[0]) < 2:
        return None
    with _quietly():
        found = stats.bootstrap(
            data,
            statistic,
            n_resamples=resamples,
            paired=len(data) > 1,
            vectorized=True,
            batch=1000,
            rng=np.random.default_rng(_SEED),
        ).confidence_interval
    low, high = finite(found.low), finite(found.high)
    return None if low is None or high is None else (low, high)


def mean_interval(values: Sequence[float]) -> Interval | None:
    """The t interval of a mean, 95%; None for fewer than two values or equal ones."""
    if len(values) < 2:
        return None
    with _quietly():
        low, high = stats.t.interval(
            0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values)
        )
    first, last = finite(low), finite(high)
    return None if first is None or last is None else (first, last)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's correction over those that are there; the others stay None."""
    there = [p for p in p_values if p is not None]
    corrected = iter(multipletests(there, method="holm")[1] if there else ())
    return [None if p is None else float(next(corrected)) for p in p_values]


def finite(number: Any) -> float | None:
    """A float; None for what is not a number or infinite."""
    return float(number) if math.isfinite(number) else None


@contextmanager
def _quietly() -> Iterator[None]:
    """Degenerate samples are answered with None: no warnings about them."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
