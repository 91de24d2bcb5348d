"""What the server counts of its calls, and the page on which Prometheus reads it: names, labels and buckets of TensorFlow Serving 2.21.

Latencies are microseconds of wall time. `request_latency` is of calls that were answered, `request_count` of all, by status.
`runtime_latency` begins when a request goes to the model, and so includes `queuing_latency`, the time in which it waited to
be merged; here reading the tensors and writing the answer are part of it too.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Sequence

PATH = "/monitoring/prometheus/metrics"
CONTENT_TYPE = "text/plain"


def exponential(scale: float, growth: float, count: int) -> tuple[float, ...]:
    """The upper limits of `count` buckets, each `growth` times the one before; one without a limit follows them."""
    return tuple(scale * growth**power for power in range(count))


class Counter:
    """How often something came, by the values of its labels."""

    def __init__(self, name: str, labels: Sequence[str]) -> None:
        self.name, self._labels = name, labels
        self._counts: dict[tuple[str, ...], int] = {}
        self._lock = threading.Lock()

    def add(self, *values: str) -> None:
        """One more, with these values of the labels."""
        with self._lock:
            self._counts[values] = self._counts.get(values, 0) + 1

    def lines(self) -> list[str]:
        """The counter in Prometheus' text format."""
        with self._lock:
            counts = sorted(self._counts.items())
        return [f"# TYPE {self.name} counter", *(f"{self.name}{{{_labelled(self._labels, values)}}} {count}" for values, count in counts)]


class Sampler:
    """How long something took, in buckets, by the values of its labels."""

    def __init__(self, name: str, labels: Sequence[str], limits: Sequence[float]) -> None:
        self.name, self._labels, self._limits = name, labels, limits
        # By the values of the labels: the sum, then the count of each bucket.
        self._samples: dict[tuple[str, ...], tuple[list[float], list[int]]] = {}
        self._lock = threading.Lock()

    def add(self, seconds: float, *values: str) -> None:
        """One more sample, with these values of the labels."""
        microseconds = seconds * 1e6
        with self._lock:
            total, counts = self._samples.setdefault(values, ([0.0], [0] * (len(self._limits) + 1)))
            total[0] += microseconds
            counts[bisect_left(self._limits, microseconds)] += 1

    def lines(self) -> list[str]:
        """The buckets in Prometheus' text format: each counts what is at most its limit."""
        with self._lock:
            samples = [(values, total[0], counts.copy()) for values, (total, counts) in sorted(self._samples.items())]
        lines = [f"# TYPE {self.name} histogram"]
        for values, total, counts in samples:
            labels = _labelled(self._labels, values)
            cumulated = 0
            for limit, count in zip([*(f"{limit:.6g}" for limit in self._limits), "+Inf"], counts, strict=True):
                cumulated += count
                lines.append(f'{self.name}_bucket{{{labels},le="{limit}"}} {cumulated}')
            lines += [f"{self.name}_sum{{{labels}}} {total:.6g}", f"{self.name}_count{{{labels}}} {cumulated}"]
        return lines


class Metrics:
    """All that one server counts."""

    def __init__(self) -> None:
        calls = exponential(10, 1.8, 33)
        self.request_count = Counter(":tensorflow:serving:request_count", ("model_name", "status"))
        self.request_latency = Sampler(":tensorflow:serving:request_latency", ("model_name", "API", "entrypoint"), calls)
        self.runtime_latency = Sampler(":tensorflow:serving:runtime_latency", ("model_name", "API", "runtime"), calls)
        self.queuing_latency = Sampler(
            ":tensorflow:serving:batching_session:queuing_latency", ("thread_pool_name",), exponential(100, 1.2, 52)
        )

    def page(self) -> str:
        """All of it in Prometheus' text format."""
        parts = (self.queuing_latency, self.request_count, self.request_latency, self.runtime_latency)
        return "\n".join(line for part in parts for line in part.lines()) + "\n"


def _labelled(names: Sequence[str], values: Sequence[str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
