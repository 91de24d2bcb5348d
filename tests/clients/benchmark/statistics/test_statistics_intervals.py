"""Intervals: by hand for few samples, and simulated: how often they hold what is true."""

import math
from fractions import Fraction
from itertools import accumulate
from statistics import NormalDist

import numpy as np
import pytest

from clients.benchmark.statistics.drift import drift, drifts, trend_p_value
from clients.benchmark.statistics.histogram import Histogram
from clients.benchmark.statistics.intervals import BATCHES, STUDENT, quantile_ms, ranks, rate_per_s, samples_needed
from clients.benchmark.statistics.series import Series


def exact_ranks(samples, level):
    """By counting, in fractions: no sample may be left of the interval's start with more than 2.5 %, nor right of its end."""
    level, tail = Fraction(level).limit_denominator(1000), Fraction(25, 1000)
    ways = [math.comb(samples, below) * level**below * (1 - level) ** (samples - below) for below in range(samples + 1)]
    at_most = list(accumulate(ways))
    low = max((rank for rank in range(1, samples + 1) if at_most[rank - 1] <= tail), default=0)
    high = min((rank for rank in range(1, samples + 1) if 1 - at_most[rank - 1] <= tail), default=samples + 1)
    return low, high


@pytest.mark.parametrize("samples", [1, 5, 6, 10, 20, 35, 36, 72, 100, 180, 367, 368, 400])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
def test_ranks_are_those_of_the_binomial_distribution(samples, level):
    assert ranks(samples, level) == exact_ranks(samples, level)


@pytest.mark.parametrize(("samples", "level", "expected"), [(10, 0.5, (2, 9)), (20, 0.5, (6, 15)), (25, 0.5, (8, 18)), (5, 0.5, (0, 6))])
def test_ranks_of_the_median_as_tables_have_them(samples, level, expected):
    """Confidence intervals of the median: the sign test's critical values."""
    assert ranks(samples, level) == expected


@pytest.mark.parametrize("samples", [10**6, 10**9])
def test_ranks_of_many_samples_are_those_of_the_normal_distribution(samples):
    half = NormalDist().inv_cdf(0.975) * math.sqrt(samples * 0.99 * 0.01)
    low, high = ranks(samples, 0.99)
    assert (low, high) == (pytest.approx(samples * 0.99 - half, abs=5), pytest.approx(samples * 0.99 + half, abs=5))


@pytest.mark.parametrize(("level", "needed"), [(0.5, 6), (0.9, 36), (0.95, 72), (0.99, 368), (0.999, 3688), (0.1, 36)])
def test_a_quantile_needs_as_many_samples_as_bound_it_on_both_sides(level, needed):
    assert samples_needed(level) == needed
    low, high = ranks(needed, level)
    assert low >= 1
    assert high <= needed
    low, high = ranks(needed - 1, level)
    assert low < 1 or high > needed - 1


def test_students_t():
    """Its density integrated up to the quantile, by trapezes."""
    freedom = BATCHES - 1
    at = np.linspace(0, STUDENT, 100_001)
    constant = math.gamma((freedom + 1) / 2) / (math.sqrt(freedom * math.pi) * math.gamma(freedom / 2))
    assert np.trapezoid(constant * (1 + at**2 / freedom) ** (-(freedom + 1) / 2), at) == pytest.approx(0.475, abs=1e-5)


def latencies_ms(random, count, memory):
    """Lognormal latencies with a median of 1 ms; `memory` is how far one is like the next (0: independent)."""
    steps = random.standard_normal(count) * math.sqrt(1 - memory**2)
    # An autoregressive process, as a sum over the steps that it still remembers.
    length = 1 if not memory else math.ceil(math.log(1e-3) / math.log(memory))
    weights = memory ** np.arange(length)
    return np.exp(0.5 * np.convolve(steps, weights)[length - 1 : length - 1 + count]) if count >= length else None


def measured(latency_ms, end_ms):
    histogram, series = Histogram(), Series(0)
    latency_ns, end_ns = (latency_ms * 1e6).astype(np.int64), (end_ms * 1e6).astype(np.int64)
    histogram.add(latency_ns)
    series.add(end_ns, latency_ns, np.ones(len(latency_ns), np.int64))
    return histogram, series


@pytest.mark.parametrize("pace", ["closed", "open"])
@pytest.mark.parametrize(("count", "memory", "least"), [(400, 0.0, 0.9), (5000, 0.9, 0.85)])
def test_intervals_hold_the_true_quantile_about_as_often_as_they_say(pace, count, memory, least):
    """95 of 100 runs is what they claim; of 60, chance may take some, and latencies that go together may cost some."""
    random = np.random.default_rng(11)
    levels = [level for level in (0.5, 0.9, 0.99) if count >= samples_needed(level)]
    held = dict.fromkeys([*levels, "rate"], 0)
    for _ in range(60):
        latency = latencies_ms(random, 2 * count, memory)[-count:]
        end = np.cumsum(latency) if pace == "closed" else np.cumsum(random.exponential(1.0, count))
        histogram, series = measured(latency, end)
        for level in levels:
            interval = quantile_ms(level, histogram, series)
            true = math.exp(0.5 * NormalDist().inv_cdf(level))
            held[level] += (interval.low or 0) <= true * 1.001 and true <= (interval.high or math.inf) * 1.001
        rate = rate_per_s(series.calls[: series.used - 1], series.width_ns, count / end[-1] * 1e3)
        held["rate"] += rate.low <= (1000 / math.exp(0.125) if pace == "closed" else 1000) <= rate.high
    assert {name: times / 60 for name, times in held.items() if times / 60 < least} == {}


def test_latencies_that_go_together_make_the_interval_wider():
    random = np.random.default_rng(5)
    widths = []
    for memory in (0.0, 0.97):
        latency = latencies_ms(random, 20_000, memory)[-10_000:]
        interval = quantile_ms(0.9, *measured(latency, np.cumsum(latency)))
        widths.append(interval.high - interval.low)
    assert widths[1] > 3 * widths[0]


def test_a_percentile_of_too_few_samples_is_none_and_one_without_an_upper_end_says_so():
    latency = np.arange(1, 368) / 10
    assert quantile_ms(0.99, *measured(latency, np.cumsum(latency))) is None
    latency = np.full(800, 1.0)
    latency[400:410] = np.linspace(2, 3, 10)  # all the slow ones in one batch: the run is worth far fewer than 800 calls
    interval = quantile_ms(0.99, *measured(latency, np.arange(800.0)))
    assert (interval.value, interval.low, interval.high) == (pytest.approx(2.11, rel=0.01), pytest.approx(1), None)


@pytest.mark.parametrize("whole", [(0, 0), (1, 4), (1, 90)], ids=["no interval", "few without a call", "many without a call"])
def test_the_interval_holds_its_value_where_no_call_ended_in_a_whole_interval_of_the_run(whole):
    """As where all calls of a burst are answered within a millisecond."""
    latency = np.linspace(0.2, 0.9, 500)
    histogram, series = measured(latency, np.append(np.full(499, 0.5), 95.5))
    first, last = (milliseconds * 1_000_000 for milliseconds in whole)
    interval = quantile_ms(0.5, histogram, series.between(first, last))
    assert 0.4 < interval.low < interval.value < interval.high < 0.7


def test_a_rate_without_scatter_is_exact_and_of_a_moment_has_no_interval():
    exact = rate_per_s(np.full(100, 7), 1_000_000, 7000.0)
    assert (exact.low, exact.value, exact.high) == (7000, 7000, 7000)
    short = rate_per_s(np.full(5, 7), 1_000_000, 7000.0)
    assert (short.low, short.high) == (None, None)


@pytest.mark.parametrize(
    ("values", "score", "variance"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], 28, 8 * 7 * 21 / 18),
        ([8, 7, 6, 5, 4, 3, 2, 1], -28, 8 * 7 * 21 / 18),
        ([1, 3, 2, 4], 4, 4 * 3 * 13 / 18),
        ([1, 1, 2, 2], 4, (4 * 3 * 13 - 2 * (2 * 1 * 9)) / 18),
        ([2, 1, 2, 1, 2, 1], -3, (6 * 5 * 17 - 2 * (3 * 2 * 11)) / 18),
    ],
)
def test_the_trend_test_by_hand(values, score, variance):
    expected = 2 * (1 - NormalDist().cdf((abs(score) - 1) / math.sqrt(variance)))
    assert trend_p_value(np.array(values, float)) == pytest.approx(expected)


def test_no_trend_in_what_does_not_change():
    assert trend_p_value(np.full(16, 3.0)) == 1.0
    assert drift("p50 in ms", np.full(16, 3.0)).steady


def test_drifts_are_found_where_there_are_some_and_seldom_where_there_are_none():
    random = np.random.default_rng(7)
    false = 0
    for _ in range(40):
        latency = latencies_ms(random, 3000, 0.0)
        false += not all(found.steady for found in drifts(measured(latency, np.cumsum(latency))[1]))
    assert false <= 2
    slower = latencies_ms(random, 3000, 0.0) * np.linspace(1, 1.5, 3000)
    throughput, median = drifts(measured(slower, np.cumsum(slower))[1])
    assert not throughput.steady
    assert throughput.change < 0
    assert 0.1 < median.change < 0.35
    assert 1 < median.first < 1.25 < median.second < 1.5
    assert str(median).startswith("p50 in ms rose by ")
    assert drifts(Series(0)) == ()
