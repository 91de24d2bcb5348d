"""What the server says of itself: TensorFlow Serving's metrics, as Prometheus reads them, before a run and after it.

Their difference is what the server did in between, whoever asked. So the calls are counted: where the server answered others
too, or fewer than were sent, its times are not of this run alone.
"""

from __future__ import annotations

import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from clients.benchmark.errors import BadInput

REQUEST_COUNT = ":tensorflow:serving:request_count"
REQUEST_LATENCY = ":tensorflow:serving:request_latency"
RUNTIME_LATENCY = ":tensorflow:serving:runtime_latency"
QUEUING_LATENCY = ":tensorflow:serving:batching_session:queuing_latency"

_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?[ \t]+(\S+)(?:[ \t]+-?[0-9]+)?")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)",?')
_ESCAPES = {"n": "\n"}
_MOST_BYTES = 64 << 20

# A sample's name and its labels.
Key = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True)
class Times:
    """`count` samples and their mean, in milliseconds."""

    count: int
    mean_ms: float


@dataclass(frozen=True)
class ServerSide:
    """What the server did between two readings, for one model's Predict calls by gRPC or REST.

    `requests` counts calls by status. `request` is the time in the server, of which `runtime` went by in the model's
    call, of which `queuing` (of all models) was waiting to be merged with others. None: the server does not tell.
    """

    requests: Mapping[str, int]
    request: Times | None
    runtime: Times | None
    queuing: Times | None


def read(url: str, timeout_s: float = 10.0) -> dict[Key, float]:
    """The samples at a URL. Raises BadInput where there are none."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as response:  # noqa: S310 (checked by the settings)
            content = response.read(_MOST_BYTES)
    except (urllib.error.URLError, TimeoutError, OSError, ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise BadInput(
            f"--metrics: {url} cannot be read: {reason}; expected TensorFlow Serving's REST port, started with --monitoring_config_file"
        ) from None
    page = content.decode("utf-8", "replace")
    samples = parse(page)
    if not any(name.startswith(":tensorflow:") for name, _ in samples):
        raise BadInput(f"--metrics: {url}: expected metrics of TensorFlow Serving in Prometheus' text format, got {page[:40]!r}")
    return samples


def parse(page: str) -> dict[Key, float]:
    """The samples of a page in Prometheus' text format; lines that are none are passed over."""
    samples = {}
    for line in page.splitlines():
        match = _SAMPLE.fullmatch(line.strip())
        if match and not line.startswith("#"):
            try:
                samples[match[1], _labels(match[2] or "")] = float(match[3])
            except ValueError:
                continue
    return samples


def difference(before: Mapping[Key, float], after: Mapping[Key, float], model: str) -> ServerSide | None:
    """What came between two readings; None where the server was started anew between them, which sets its counters to zero."""
    if any(after.get(key, 0) < value for key, value in before.items() if key[0].endswith(("_count", REQUEST_COUNT))):
        return None
    more = {key: value - before.get(key, 0) for key, value in after.items()}
    statuses: dict[str, int] = {}
    for (name, labels), value in more.items():
        given = dict(labels)
        if name == REQUEST_COUNT and given.get("model_name") == model and value:
            statuses[given.get("status", "?")] = int(value)
    return ServerSide(
        statuses,
        _times(more, REQUEST_LATENCY, {"model_name": model, "API": "predict"}),
        _times(more, RUNTIME_LATENCY, {"model_name": model, "API": "predict"}),
        _times(more, QUEUING_LATENCY, {}),
    )


def _times(samples: Mapping[Key, float], name: str, wanted: Mapping[str, str]) -> Times | None:
    """The mean of a histogram over all cells whose labels are as wanted; the case of the API's name differs between gRPC and REST."""
    count = total = 0.0
    for (sample, labels), value in samples.items():
        given = dict(labels)
        if all(given.get(label, "").lower() == value.lower() for label, value in wanted.items()):
            count += value if sample == f"{name}_count" else 0
            total += value if sample == f"{name}_sum" else 0
    return Times(int(count), total / count / 1000) if count else None


def _labels(text: str) -> frozenset[tuple[str, str]]:
    return frozenset((name, re.sub(r"\\(.)", _unescaped, value)) for name, value in _LABEL.findall(text))


def _unescaped(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[1])
