"""Histograms and series against the samples themselves."""

import json
from itertools import pairwise

import numpy as np
import pytest

from clients.benchmark.statistics.figures import bins
from clients.benchmark.statistics.histogram import RELATIVE_ERROR, Histogram
from clients.benchmark.statistics.series import COARSE_ERROR, INTERVALS, Series, coarse_middles_ns


def histogram(values_ns):
    made = Histogram()
    made.add(np.array(values_ns, np.int64))
    return made


SAMPLES = {
    "one": [5_000_000],
    "two": [1_000_000, 2_000_000],
    "the same": [777_777] * 100,
    "nothing and an hour": [0, 1, 2, 3_600_000_000_000],
    "a day, beyond the last bucket": [1_000_000, 86_400_000_000_000],
    "powers of two": [2**power for power in range(45)],
    "beside powers of two": [2**power - 1 for power in range(1, 46)],
    "lognormal": np.random.default_rng(1).lognormal(14, 1.5, 20_000).astype(np.int64).tolist(),
    "two humps": [*range(1_000_000, 1_001_000), *range(200_000_000, 200_001_000)],
    "99 and one": [1_000_000] * 99 + [100_000_000],
    "98 and two": [1_000_000] * 98 + [100_000_000] * 2,
}


@pytest.mark.parametrize("name", SAMPLES)
def test_quantiles_are_samples_within_the_stated_error_and_totals_are_exact(name):
    values = SAMPLES[name]
    counted = histogram(values)
    totals = counted.totals
    assert (totals.count, totals.sum_ns, totals.min_ns, totals.max_ns) == (len(values), sum(values), min(values), max(values))
    for level in (0.0, 0.001, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0):
        exact = np.quantile(values, level, method="inverted_cdf")
        if exact < 2**46:
            assert counted.quantile_ns(level) == pytest.approx(exact, rel=RELATIVE_ERROR, abs=0.5)
    assert pytest.approx(0.001, rel=0.05) == RELATIVE_ERROR


@pytest.mark.parametrize(
    ("answered", "slower", "level", "expected"),
    [(99, 1, 0.5, 1e6), (99, 1, 0.99, 1e6), (98, 2, 0.99, np.inf), (999, 1, 0.999, 1e6), (999, 1, 0.9995, np.inf), (0, 3, 0.5, np.inf)],
)
def test_calls_that_never_ended_are_the_slowest(answered, slower, level, expected):
    assert histogram([1_000_000] * answered).quantile_ns(level, slower) == expected


def test_parts_merged_are_the_whole_and_a_record_holds_it():
    values = np.array(SAMPLES["lognormal"])
    whole, merged = histogram(values), Histogram()
    for part in (values[:3], values[3:3], values[3:15_000], values[15_000:]):
        merged.merge(histogram(part))
    read = Histogram.from_record(json.loads(json.dumps(merged.to_record())))
    for same in (merged, read):
        assert (same.counts == whole.counts).all()
        assert same.totals == whole.totals


def test_no_latency_is_negative():
    with pytest.raises(ValueError, match="expected latencies of 0 ns or more, got -1"):
        Histogram().add(np.array([5, -1]))


@pytest.mark.parametrize("change", [{"bits": 7}, {"buckets": [-1]}, {"buckets": [10**6]}, {"counts": [2]}])
def test_a_record_that_is_no_histogram(change):
    with pytest.raises(ValueError, match=r"histogram of 1 samples has counts of 2|expected buckets"):
        Histogram.from_record({**histogram([1000]).to_record(), **change})


@pytest.mark.parametrize("duration_ns", [10_000, 255_999_999, 256_000_000, 7_000_000_000, 90_000_000_000_000])
def test_a_series_holds_every_call_in_bounded_memory(duration_ns):
    random = np.random.default_rng(2)
    end = np.sort(random.integers(0, duration_ns, 5000)) + 1_000
    latency = random.lognormal(14, 1, 5000).astype(np.int64)
    series = Series(origin_ns=1_000)
    for part in np.array_split(np.arange(5000), 7):
        series.add(end[part], latency[part], np.full(len(part), 3))
    series.add_failed(end[:10])
    assert INTERVALS / 2 < series.used <= INTERVALS or series.width_ns == 1_000_000
    expected = np.bincount((end - 1_000) // series.width_ns, minlength=INTERVALS)
    assert (series.calls == expected).all()
    assert (series.rows == 3 * expected).all()
    assert series.failed.sum() == 10
    middles = np.repeat(coarse_middles_ns(), series.counts.sum(axis=0))
    assert np.abs(middles / np.sort(latency) - 1).max() <= COARSE_ERROR
    read = Series.from_record(json.loads(json.dumps(series.to_record())))
    assert (read.counts == series.counts).all()
    assert (read.used, read.width_ns, read.rows.sum()) == (series.used, series.width_ns, 15_000)


def test_series_of_several_processes_are_one():
    random = np.random.default_rng(3)
    end, latency = np.sort(random.integers(0, 3_000_000_000, 4000)), random.integers(1, 10**8, 4000)
    whole, merged = Series(0), Series(0)
    whole.add(end, latency, np.ones(4000, np.int64))
    for chosen in (end < 200_000_000, end >= 200_000_000):
        part = Series(0)
        part.add(end[chosen], latency[chosen], np.ones(int(chosen.sum()), np.int64))
        merged.merge(part)
    assert (merged.counts == whole.counts).all()
    assert (merged.used, merged.width_ns) == (whole.used, whole.width_ns)


@pytest.mark.parametrize("samples_ms", [[2.0], [2.0, 2.0], [1.0, 2.0], [0.1, 1.0, 1.1, 900.0], list(range(1, 5000)), [0.3, 0.300001]])
def test_bins_hold_every_sample_once_and_touch(samples_ms):
    found = bins(histogram([round(sample * 1e6) for sample in samples_ms]))
    assert sum(part.count for part in found) == len(samples_ms)
    assert (found[0].from_ms, found[-1].to_ms) == (pytest.approx(min(samples_ms)), pytest.approx(max(samples_ms)))
    assert all(left.to_ms == right.from_ms for left, right in pairwise(found))
    assert len(found) in (1, 40)
