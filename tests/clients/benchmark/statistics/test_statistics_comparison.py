"""Two runs compared: what differs is found, and what does not is not."""

import numpy as np
import pytest

from clients.benchmark.statistics.comparison import compare
from clients.benchmark.statistics.figures import PERCENTILES, figures, name_of
from clients.benchmark.statistics.histogram import Histogram
from clients.benchmark.statistics.series import Series


def record(seed, factor=1.0, count=3700, memory=0.9, **others):
    """One call in flight, lognormal latencies around `factor` ms that go together."""
    random = np.random.default_rng(seed)
    steps = random.standard_normal(count + 100) * np.sqrt(1 - memory**2)
    latency_ns = (np.exp(0.3 * np.convolve(steps, memory ** np.arange(100))[100 : 100 + count]) * factor * 1e6).astype(np.int64)
    end_ns = np.cumsum(latency_ns)
    latency, series = Histogram(), Series(0)
    latency.add(latency_ns)
    series.add(end_ns, latency_ns, np.ones(count, np.int64))
    found = figures(latency, Histogram(), series, 0, count, 0, int(end_ns[-1]))
    values = {name_of(percentile): found.percentiles[percentile] and found.percentiles[percentile].value for percentile in PERCENTILES}
    made = {"server": "here:1", "model": "m", "signature": "s", "warnings": [], "drift": [], "settings": {}, "machine": {}, "software": {}}
    return {**made, "throughput_rows_per_s": found.rows_per_s.value, "latency_ms": values, "series": found.series.to_record(), **others}


def verdicts(before, after):
    return {change.name: change.verdict for change in compare(before, after).changes}


def test_of_runs_that_do_not_differ_few_are_called_different():
    """10 pairs with 6 figures each: an interval that holds what is true 95 times of 100 may be wrong in some 3 of them."""
    wrong = 0
    for seed in range(10):
        found = verdicts(record(2 * seed), record(2 * seed + 1))
        assert set(found) == {"throughput", *map(name_of, PERCENTILES)}
        wrong += sum(verdict in ("better", "worse") for verdict in found.values())
    assert wrong <= 7


@pytest.mark.parametrize(("factor", "verdict"), [(1.5, "worse"), (0.7, "better")])
def test_runs_that_differ(factor, verdict):
    compared = compare(record(1), record(2, factor))
    found = {change.name: change for change in compared.changes}
    for name in ("throughput", "p50", "p90", "p95"):
        assert found[name].verdict == verdict
        true = 1 / factor if name == "throughput" else factor
        assert found[name].low < true < found[name].high
    assert compared.doubts == ()


def test_the_same_record_twice_and_the_same_seed():
    before = record(3)
    assert set(verdicts(before, before).values()) == {"no difference"}
    assert compare(before, record(4)) == compare(before, record(4))


def test_what_cannot_be_said():
    compared = compare(record(5, count=300), record(6))
    assert {change.name for change in compared.changes if change.verdict == "cannot be said"} == {"p99", "p99.9"}
    assert compared.changes[-1].why == "needs 3,688 measured requests in both runs"


def test_what_makes_a_comparison_doubtful():
    before = record(7, settings={"batch_size": 1}, machine={"cpus": 2}, warnings=["1 of 60 requests failed"])
    after = record(8, settings={"batch_size": 8}, machine={"cpus": 4}, server="there:1", drift=[{"name": "p50 in ms", "steady": False}])
    assert compare(before, after).doubts == (
        "before is not to be trusted: 1 of 60 requests failed",
        "after was not steady: p50 in ms",
        "server differs: here:1, then there:1",
        "settings differ: batch_size 1, then 8",
        "machine differs: cpus 2, then 4",
    )
