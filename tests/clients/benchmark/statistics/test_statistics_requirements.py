"""Service level objectives: how they are read, and what they make of a run."""

import numpy as np
import pytest

from clients.benchmark import BadInput
from clients.benchmark.statistics.histogram import Histogram
from clients.benchmark.statistics.requirements import Facts, judge, parse


def facts(answered=4000, failed=0, accuracy=0.85):
    latency = Histogram()
    latency.add(np.linspace(1_000_000, 10_000_000, answered).astype(np.int64))
    return Facts(latency, failed, rows_per_s=128_000.0, requests_per_s=1000.0, accuracy=accuracy)


@pytest.mark.parametrize(
    ("text", "given", "met", "got"),
    [
        ("p99<10ms", facts(), True, "9.904 ms"),
        ("p99 < 9.9 ms", facts(), False, "9.904 ms"),
        ("p99<9900us", facts(), False, "9.904 ms"),
        ("p99.9<=0.01s", facts(), True, "9.986 ms"),
        ("p50>=5ms", facts(), True, "5.501 ms"),
        ("p99<10ms", facts(367), None, "367 calls were measured, 368 are needed to say so"),
        ("p99.9<10ms", facts(3687), None, "3,687 calls were measured, 3,688 are needed to say so"),
        ("p99<=10ms", facts(990, 10), True, "10 ms, 10 failed calls counted as never answered"),
        ("p99<10ms", facts(989, 11), False, "not answered at all, 11 failed calls counted as never answered"),
        ("mean<6ms", facts(), True, "5.5 ms"),
        ("mean<6ms", facts(4000, 1), False, "not answered at all, 1 failed calls counted as never answered"),
        ("max<=10ms", facts(), True, "10 ms"),
        ("max<10ms", facts(), False, "10 ms"),
        ("errors<0.1%", facts(4000), True, "0 of 4,000 calls failed"),
        ("errors<0.1%", facts(3687), None, "0 of 3,687 calls failed, 3,688 are needed to say so"),
        ("errors<0.1%", facts(100, 1), False, "1 of 101 calls failed"),
        ("errors<0.001", facts(9999, 1), True, "1 of 10,000 calls failed"),
        ("errors<=0%", facts(10), True, "0 of 10 calls failed"),
        ("throughput>1000/s", facts(), True, "128,000 rows/s"),
        ("throughput>200000/s", facts(), False, "128,000 rows/s"),
        ("requests>=1000/s", facts(), True, "1,000 requests/s"),
        ("accuracy>=0.8", facts(), True, "0.8500"),
        ("accuracy>=90%", facts(), False, "0.8500"),
        ("accuracy>=0.8", facts(accuracy=None), None, "accuracy was not measured"),
    ],
)
def test_verdicts(text, given, met, got):
    verdict = judge(parse(text), given)
    assert (verdict.met, verdict.got) == (met, got)
    assert str(verdict).startswith(f"{text}: {'cannot be said' if met is None else 'met' if met else 'not met'}, ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected METRIC, one of < <= > >=, and a number with its unit"),
        ("p99", "expected METRIC"),
        ("p99=10ms", "expected METRIC"),
        ("p99<<10ms", "expected METRIC"),
        ("p99<-1ms", "expected METRIC"),
        ("p99<1e3ms", "expected METRIC"),
        ("P99<10ms", "expected METRIC"),
        ("p99<10", "expected p99 in us or ms or s, got no unit"),
        ("p99<10%", "expected p99 in us or ms or s, got %"),
        ("p99<10min", "expected p99 in us or ms or s, got min"),
        ("p0<10ms", "expected a percentile between p0 and p100"),
        ("p100<10ms", "expected a percentile between p0 and p100"),
        ("p999<10ms", "expected a percentile between p0 and p100"),
        (
            "latency<10ms",
            "expected one of p50, p99, p99.9 (any percentile), errors, accuracy, throughput, requests, mean, max, got latency",
        ),
        ("errors<5ms", "expected errors in % or a plain number, got ms"),
        ("errors<101%", "expected a share of at most 1, or 100%"),
        ("accuracy>=80", "expected a share of at most 1, or 100%"),
        ("throughput>1000", "expected throughput in /s, got no unit"),
    ],
)
def test_malformed_requirements(text, expected):
    with pytest.raises(BadInput) as found:
        parse(text)
    assert str(found.value).startswith(f"requirement {text!r}: ")
    assert expected in str(found.value)
