import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.stats import STUDENT, Summary, against_paper, pooled_sd, separated, summarise, verdict

numbers = st.lists(st.floats(-100, 100), min_size=2, max_size=8)


@given(numbers, st.randoms(use_true_random=False))
def test_summaries_are_the_textbooks_and_ignore_order(values, random):
    summary = summarise(values)
    assert summary.mean == pytest.approx(statistics.fmean(values))
    assert summary.sd == pytest.approx(statistics.stdev(values), abs=1e-9)
    assert summary.n == len(values)
    shuffled = values[:]
    random.shuffle(shuffled)
    assert summarise(shuffled) == summary


def test_one_seed_has_no_spread_and_none_no_summary():
    assert math.isnan(summarise([3.0]).sd)
    with pytest.raises(ValueError, match="no value"):
        summarise([])


def test_separation_is_two_pooled_standard_deviations():
    assert pooled_sd(3.0, 4.0) == pytest.approx(math.sqrt(12.5))
    low = Summary(50.0, 1.0, 3)
    assert not separated(low, Summary(52.0, 1.0, 3))
    assert separated(low, Summary(52.01, 1.0, 3))
    assert not separated(low, Summary(90.0, math.nan, 1))


def test_verdicts_know_the_direction():
    low, high = Summary(1.0, 0.1, 3), Summary(2.0, 0.1, 3)
    assert verdict(high, low, "higher") == verdict(low, high, "lower") == "better"
    assert verdict(low, high, "higher") == verdict(high, low, "lower") == "worse"
    assert verdict(low, Summary(1.1, 0.1, 3), "higher") == "not separated"
    assert verdict(low, Summary(9.0, math.nan, 1), "higher") == "too few seeds"
    assert verdict(Summary(1.0, 0.1, 2), high, "higher") == "too few seeds"


def test_against_a_printed_number():
    assert against_paper(Summary(56.3, 0.12, 5), 56.7, 0.1) == "agrees"
    assert against_paper(Summary(56.2, 0.12, 5), 56.7, 0.1) == "below"
    assert against_paper(Summary(57.3, 0.12, 5), 56.7, 0.1) == "above"
    assert against_paper(Summary(56.75, 0.0, 2), 56.7, 0.1) == "agrees"
    assert against_paper(Summary(40.0, math.nan, 1), 56.7, 0.1) == "one seed: no verdict"


@pytest.mark.parametrize("n", [2, 3, 5, 21, 100])
def test_the_fewer_the_seeds_the_wider_the_agreement(n):
    """The bound is where 95 of 100 further runs fall, by scipy's quantile; beyond 21 seeds it is 6% wide at most."""
    scipy_stats = pytest.importorskip("scipy.stats")
    exact = scipy_stats.t.ppf(0.975, n - 1) * math.sqrt(1 + 1 / n)
    assert against_paper(Summary(50.0, 1.0, n), 50 + 0.999 * exact, 0.0) == "agrees"
    assert against_paper(Summary(50.0, 1.0, n), 50 + (1.001 if n <= 21 else 1.07) * exact, 0.0) == "below"


def test_the_quantiles_are_students():
    scipy_stats = pytest.importorskip("scipy.stats")
    for freedom, quantile in enumerate(STUDENT, start=1):
        assert quantile == pytest.approx(scipy_stats.t.ppf(0.975, freedom), abs=6e-4)
