"""What the server says of itself before a run and after it: the states of the model's versions, and TensorFlow Serving's metrics.

The difference of the metrics is what the server did in between, whoever asked. So the calls are counted: where the server
answered others too, its times are not of this run alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from clients.benchmark.errors import BadInput
from clients.benchmark.transport import Failure, Transport
from clients.serving.calls import GET_MODEL_STATUS
from clients.serving.messages import STATES, GetModelStatusRequest, GetModelStatusResponse

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
class Look:
    """The server at an instant: the state of each version by number (none where it does not tell), and its metrics where asked for."""

    states: Mapping[int, str]
    samples: Mapping[Key, float] | None


@dataclass(frozen=True)
class Watched:
    """The server before a run and after it. `work` is None where its metrics were not asked for, or it was started anew meanwhile."""

    before: Mapping[int, str]
    after: Mapping[int, str]
    work: ServerSide | None
    restarted: bool

    @classmethod
    def between(cls, before: Look, after: Look, model: str) -> Watched:
        """What two looks say together."""
        asked = before.samples is not None and after.samples is not None
        work = difference(before.samples or {}, after.samples or {}, model) if asked else None
        return cls(before.states, after.states, work, asked and work is None)

    def notes(self, calls: int) -> list[str]:
        """What a reader should know, where this run made so many calls."""
        answered = sum(self.work.requests.values()) if self.work else calls
        found = [
            (self.before != self.after, f"the model's versions at the server were {_told(self.before)}, and are {_told(self.after)}"),
            (self.restarted, "the server's metrics began anew during the run: what it says of itself is lost"),
            (
                answered != calls,
                f"the server counted {answered:,} calls, the run {calls:,}: the server's times are not of this run alone",
            ),
        ]
        return [text for holds, text in found if holds]

    def record(self) -> dict[str, Any]:
        """For JSON."""
        work = None
        if self.work:
            times = {name: getattr(self.work, name) for name in ("request", "runtime", "queuing")}
            work = {"requests": dict(self.work.requests), **{name: part and vars(part) for name, part in times.items()}}
        return {"versions_before": dict(self.before), "versions_after": dict(self.after), "work": work}


def _told(states: Mapping[int, str]) -> str:
    return ", ".join(f"{version} {state}" for version, state in sorted(states.items())) or "unknown"


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


def look(transport: Transport, model: str, metrics_url: str | None) -> Look:
    """Ask the server of itself. Raises BadInput where metrics are asked for and cannot be read."""
    return Look(_states(transport, model), read(metrics_url) if metrics_url else None)


def look_again(transport: Transport, model: str, metrics_url: str | None) -> Look:
    """After a run, whose figures are not lost where the server no longer answers."""
    try:
        return look(transport, model, metrics_url)
    except BadInput:
        return Look(_states(transport, model), {})


def _states(transport: Transport, model: str) -> dict[int, str]:
    request = GetModelStatusRequest()
    request.model_spec.name = model
    answer = transport.call(GET_MODEL_STATUS, request.SerializeToString())
    try:
        rows = [] if isinstance(answer, Failure) else GetModelStatusResponse.FromString(answer).model_version_status
    except DecodeError:
        rows = []
    names = {number: name for name, number in STATES.items()}
    return {row.version: names.get(row.state, "UNKNOWN") for row in rows}


def read(url: str, timeout_s: float = 10.0) -> dict[Key, float]:
    """The samples at a URL. Raises BadInput where there are none."""
    from http.client import HTTPException  # these cost a tenth of the client's start
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=timeout_s) as response:  # noqa: S310 (checked by the settings)
            content = response.read(_MOST_BYTES)
    except (OSError, HTTPException, ValueError) as error:
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
