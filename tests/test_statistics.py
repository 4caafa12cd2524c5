"""Paired comparisons against SciPy and statsmodels themselves; what cannot be computed."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests

from eval.reliability import agreements, report_cards
from eval.statistics import holm, paired
from tests.test_scales import score

SEEDS = [f"c{n // 3}-{n % 3}" for n in range(30)]
CLIENTS = {seed: seed.split("-")[0] for seed in SEEDS}


def sample(seed=0):
    rng = np.random.default_rng(seed)
    ours = dict(zip(SEEDS, rng.normal(4, 1, 30), strict=True))
    return ours, {s: v - 0.4 + rng.normal(0, 0.7) for s, v in ours.items()}


def test_the_tests_are_scipys():
    ours, theirs = sample()
    a, b = (np.array([side[s] for s in SEEDS]) for side in (ours, theirs))
    found = paired(ours, theirs, CLIENTS)
    test = stats.ttest_rel(a, b)
    assert (found.n, found.dropped, found.clients) == (30, 0, 10)
    assert (found.t, found.p) == pytest.approx((test.statistic, test.pvalue))
    assert found.p_wilcoxon == pytest.approx(stats.wilcoxon(a - b).pvalue)
    assert found.mean == pytest.approx((a - b).mean())
    assert found.dz == pytest.approx(test.statistic / math.sqrt(30))
    assert found.reasons == ()


def test_the_interval_is_scipys_bca_bootstrap():
    ours, theirs = sample()
    differences = np.array([ours[s] - theirs[s] for s in SEEDS])
    direct = stats.bootstrap(
        (differences,), np.mean, method="BCa", rng=np.random.default_rng(0), batch=1000
    ).confidence_interval
    assert paired(ours, theirs, CLIENTS).interval == pytest.approx((direct.low, direct.high))


def test_clusters_of_equal_size_are_a_bootstrap_of_client_means():
    ours, theirs = sample()
    differences = np.array([ours[s] - theirs[s] for s in SEEDS])
    means = differences.reshape(10, 3).mean(axis=1)
    direct = stats.bootstrap(
        (means,), np.mean, rng=np.random.default_rng(0), batch=1000
    ).confidence_interval
    found = paired(ours, theirs, CLIENTS)
    # the paired bootstrap rounds otherwise on the way to BCa's percentiles
    assert found.cluster_interval == pytest.approx((direct.low, direct.high), rel=1e-3)
    groups = np.repeat(np.arange(10), 3)
    fit = OLS(differences, np.ones(30)).fit(
        cov_type="cluster", cov_kwds={"groups": groups}, use_t=True
    )
    assert found.p_cluster == pytest.approx(fit.pvalues[0])


def test_sessions_of_one_client_that_agree_do_not_count_thrice():
    ours = {s: float(int(CLIENTS[s][1:]) % 4) for s in SEEDS}
    theirs = dict.fromkeys(SEEDS, 1.0)
    found = paired(ours, theirs, CLIENTS)
    assert found.interval is not None
    assert found.cluster_interval is not None
    assert found.p is not None
    assert found.p_cluster is not None
    low, high = found.interval
    cluster_low, cluster_high = found.cluster_interval
    assert cluster_high - cluster_low > 1.5 * (high - low)
    assert found.p_cluster > found.p


def test_pairs_with_a_missing_value_are_dropped_and_counted():
    ours, theirs = sample()
    ours[SEEDS[0]], theirs[SEEDS[1]] = None, None
    del ours[SEEDS[2]]
    found = paired(ours, theirs, CLIENTS)
    assert (found.n, found.dropped) == (27, 3)
    kept = SEEDS[3:]
    test = stats.ttest_rel([ours[s] for s in kept], [theirs[s] for s in kept])
    assert found.p == pytest.approx(test.pvalue)


@pytest.mark.parametrize(
    ("ours", "theirs", "reason"),
    [
        ({}, {}, "fewer than two pairs"),
        ({"a": 1.0}, {"a": 2.0}, "fewer than two pairs"),
        ({"a": 1.0, "b": 3.0}, {"c": 2.0}, "fewer than two pairs"),
        ({"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 2.0}, "all differences are equal"),
        ({"a": 0.3, "b": 1.3, "c": 4.1}, {"a": 0.2, "b": 1.2, "c": 4.0}, "differences are equal"),
        ({"a": 1.0, "b": 2.0}, {"a": 2.0, "b": 2.5}, ""),
    ],
)
@pytest.mark.parametrize("clients", [{}, dict.fromkeys("abc", "x"), {"a": "x", "b": "y"}])
def test_what_cannot_be_computed_is_none_and_says_why(ours, theirs, reason, clients):
    found = paired(ours, theirs, clients)
    numbers = [found.mean, found.sd, found.t, found.p, found.p_wilcoxon, found.p_cluster, found.dz]
    numbers += [*(found.interval or ()), *(found.cluster_interval or ())]
    assert all(math.isfinite(n) for n in numbers if n is not None)
    if reason:
        assert reason in found.reasons[0]
        assert found.p is None
    else:
        assert found.p is not None
    if found.p_cluster is None or found.interval is None:
        assert found.reasons


def test_equal_clients_have_no_clustered_p():
    theirs = dict.fromkeys(SEEDS, 0.0)
    found = paired({s: 0.1 * (n % 3) for n, s in enumerate(SEEDS)}, theirs, CLIENTS)
    assert found.p is not None
    assert (found.p_cluster, found.cluster_interval) == (None, None)
    assert found.reasons == ("by client: all differences are equal",)


def test_holm_is_statsmodels_over_those_that_are_there():
    p = [0.01, None, 0.04, 0.03]
    direct = multipletests([0.01, 0.04, 0.03], method="holm")[1]
    found = holm(p)
    assert found[1] is None
    assert [found[0], found[2], found[3]] == pytest.approx(list(direct))
    assert found[0] == pytest.approx(0.03)
    assert holm([None]) == [None]
    assert holm([]) == []


def test_the_report_card_counts_what_is_invalid_and_how_repeats_vary():
    scores = [
        score("ctrs", "focus", 2, 0),
        score("ctrs", "focus", 4, 1),
        score("ctrs", "strategy", 3, 0),
        score("ctrs", "strategy", None, 1),
        score("wai", "wai1", 9),
    ]
    first, second = report_cards(scores)
    assert (first.scale, first.asked, first.invalid, first.invalid_rate) == ("ctrs", 4, 1, 0.25)
    assert (first.repeated, first.repeat_variance) == (1, 2.0)
    assert (second.invalid, second.repeat_variance) == (1, None)


def test_agreement_between_judges():
    def both(values):
        return [
            score("ctrs", "focus", v, dialogue=f"s{n}", judge=judge)
            for n, pair in enumerate(values)
            for judge, v in zip("ab", pair, strict=True)
        ]

    assert agreements(both([(1, 1), (3, 3), (5, 5)]))[0].alpha == pytest.approx(1)
    # observed disagreement: each pair differs by 1; expected: over all pairs of values
    found = agreements(both([(1, 2), (3, 4), (5, 6)]))[0]
    ratings = [1, 2, 3, 4, 5, 6]
    expected = sum((a - b) ** 2 for a in ratings for b in ratings) / (6 * 5)
    assert found.alpha == pytest.approx(1 - 1 / expected)
    for values, reason in (
        ([(2, 2), (2, 2)], "all ratings are equal"),
        ([(1, None), (2, 2)], "fewer than two items"),
        ([(1, None), (2, None)], "fewer than two judges"),
    ):
        found = agreements(both(values))[0]
        assert (found.alpha, reason in found.reason) == (None, True)
