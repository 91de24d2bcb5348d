"""Where the latency went, as far as the server tells: on the way, in the server, in the model's call, waiting to be merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clients.benchmark.report.words import ms

# The parts of a call, from without to within: the key in the record, and what it is called.
_PARTS = (("request", "in the server"), ("runtime", "in the model's call"), ("queuing", "waiting to be merged with others"))


def shares(record: Mapping[str, Any]) -> Sequence[tuple[str, float]]:
    """Name and mean in milliseconds of each part that the server tells, after what is left of the client's own mean.

    Each part is within the one before. The way is what the client saw of a call from when it was sent, less the time
    in the server; it is left out where the two are not of the same calls.
    """
    work = record["server_side"]["work"]
    if work is None:
        return []
    parts = [(name, float(work[key]["mean_ms"])) for key, name in _PARTS if work[key]]
    sent_mean_ms = record["latency_ms"]["mean"] - record["lateness_ms"]["mean"]
    if work["request"] and work["request"]["count"] == record["requests"] - sum(record["failed"].values()):
        parts.insert(0, ("on the way and in the client", max(0.0, sent_mean_ms - work["request"]["mean_ms"])))
    return parts


def line(record: Mapping[str, Any]) -> str | None:
    """The parts in one line; None where the server tells nothing."""
    parts = shares(record)
    return ", ".join(f"{ms(value)} {name}" for name, value in parts) + " (means)" if parts else None
