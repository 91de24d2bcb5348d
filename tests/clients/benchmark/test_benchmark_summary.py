"""Known samples, known figures."""

from itertools import pairwise

import numpy as np
import pytest

from clients.benchmark.summary import histogram, latency, samples_needed


@pytest.mark.parametrize(
    ("samples", "p50", "p90", "p99"),
    [
        ([5.0], None, None, None),
        ([1.0, 2.0], 1.0, None, None),
        ([1.0, 2.0, 3.0], 2.0, None, None),
        (list(range(1, 10)), 5, None, None),
        (list(range(1, 11)), 5, 9, None),
        (list(range(1, 100)), 50, 90, None),
        (list(range(1, 101)), 50, 90, 99),
        (list(range(1, 1001)), 500, 900, 990),
        ([1.0] * 99 + [100.0], 1.0, 1.0, 1.0),
        ([1.0] * 98 + [100.0] * 2, 1.0, 1.0, 100.0),
    ],
)
def test_percentiles_are_samples_and_need_enough_of_them(samples, p50, p90, p99):
    shuffled = np.random.default_rng(1).permutation(np.array(samples, float))
    figures = latency(shuffled)
    assert figures.percentiles == {50: p50, 90: p90, 99: p99}
    assert (figures.min, figures.max) == (min(samples), max(samples))
    assert figures.mean == pytest.approx(sum(samples) / len(samples))


@pytest.mark.parametrize(("percentile", "needed"), [(50, 2), (90, 10), (99, 100)])
def test_samples_needed(percentile, needed):
    assert samples_needed(percentile) == needed


@pytest.mark.parametrize("samples", [[2.0], [2.0, 2.0], [1.0, 2.0], [0.1, 1.0, 1.1, 900.0], list(range(1, 5000)), [0.3, 0.3000001]])
def test_the_histogram_holds_every_sample_once_and_its_bins_touch(samples):
    bins = histogram(np.array(samples, float))
    assert sum(part.count for part in bins) == len(samples)
    assert (bins[0].from_ms, bins[-1].to_ms) == (min(samples), max(samples))
    assert all(left.to_ms == right.from_ms for left, right in pairwise(bins))
    assert len(bins) in (1, 40)
