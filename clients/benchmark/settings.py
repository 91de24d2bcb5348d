"""What is asked of a benchmark: the command line's flags, under the same names."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clients.benchmark.credentials import metadata, tls
from clients.benchmark.data.formats import FORMATS
from clients.benchmark.errors import BadInput
from clients.benchmark.judging.tolerance import Tolerance
from clients.benchmark.load import Bursts, Closed, Constant, Load, Poisson, Ramp, Recorded
from clients.benchmark.schedule import read_schedule
from clients.benchmark.transport import TRANSPORTS, Endpoint

_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]+):([0-9]{1,5})")
_UNIX = re.compile(r"unix:[^\0]+")
ARRIVALS = ("constant", "poisson", "bursts")
COMPRESSIONS = ("none", "gzip")
# One process of this client can send no more; whoever asks for it has miscounted zeros.
_ABSURD_RATE = 10_000_000.0
_MOST_IN_FLIGHT, _MOST_CONNECTIONS, _MOST_PROCESSES = 65_536, 1024, 256
_DAY_S = 86_400.0
# The length of a run where none was asked for: calls of a closed load, as ever, and seconds of an open one.
_CALLS, _OPEN_S, _WARM_UP = 40, 10.0, 10
_NS = 1e9


@dataclass(frozen=True)
class Settings:
    """One run: requests of up to `batch_size` rows of `data_file`, sent as the load says, over the connections it says.

    A closed load keeps `concurrency` calls in flight. With `rate` (calls per second) or `schedule_file` the load is
    open: each call has its instant, whatever the server does, and `arrivals` says how these are spread, from `seed` on.
    A pair of rates or of calls in flight is a ramp: from the one to the other within `ramp_s`.

    The run ends after `num_iteration` calls (where no duration is given 40, or 10 s of a rate), or when `duration_s` of measured time are
    over. The first `warm_up_iteration` calls, and those within `warm_up_s` of the start, are sent and judged, but not
    timed. A call without an answer after `deadline_s` seconds has failed.

    A file without a header needs its columns from `columns_file` or a known `format`. `label` is the column of labels, by
    itself the one of that name; `output` is the model's output that answers it, where names do not tell. Without a file
    rows can be generated (`generate`, from `seed` on); `shapes` are the shapes of one row's values, by input, where the
    signature leaves them open. Requests take `memory_mib` MiB at most in each process; those beyond are read from disk while
    the run goes on. Answers are compared with those recorded in `expect`, where numbers may differ by `tolerance`, and
    recorded in `save_answers`.

    Secrets come from files or from
    the environment variable `token_env`. Raises BadInput where a value makes no sense.
    """

    data_file: Path | None
    server: str = "localhost:8500"
    batch_size: int = 1
    num_iteration: int | None = None
    warm_up_iteration: int = _WARM_UP
    model: str = "wide-deep-large-ds-fp32-training"
    signature: str = "serving_default"
    model_version: int | None = None
    columns_file: Path | None = None
    format: str | None = None
    label: str | None = None
    output: str | None = None
    generate: bool = False
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    memory_mib: int = 1024
    expect: Path | None = None
    tolerance: Tolerance = field(default_factory=Tolerance)
    save_answers: Path | None = None
    concurrency: int | tuple[int, int] = 1
    rate: float | tuple[float, float] | None = None
    ramp_s: float = 0.0
    arrivals: str = "constant"
    burst_size: int = 10
    schedule_file: Path | None = None
    seed: int = 0
    duration_s: float | None = None
    warm_up_s: float = 0.0
    connections: int = 1
    processes: int = 1
    transport: str = "grpc"
    deadline_s: float = 30.0
    max_message_bytes: int | None = None
    compression: str = "none"
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    metadata_file: Path | None = None
    token_file: Path | None = None
    token_env: str | None = None
    metrics_url: str | None = None

    def __post_init__(self) -> None:
        address = _ADDRESS.fullmatch(self.server)
        if not _UNIX.fullmatch(self.server) and (not address or not 1 <= int(address[1]) <= 65535):
            raise BadInput(f"-s/--server: expected HOST:PORT of the server's gRPC side, such as localhost:8500, got {self.server!r}")
        self._check_numbers()
        self._check_choices()

    def _check_numbers(self) -> None:
        calls, huge = self.calls, 1 << 62
        table: list[tuple[str, float | None, float, float]] = [
            ("-b/--batch_size", self.batch_size, 1, math.inf),
            ("-n/--num_iteration", self.num_iteration, 1, huge),
            *(("--concurrency", value, 1, _MOST_IN_FLIGHT) for value in _pair(self.concurrency)),
            ("--connections", self.connections, 1, _MOST_CONNECTIONS),
            ("--processes", self.processes, 1, _MOST_PROCESSES),
            ("--burst", self.burst_size, 1, huge),
            ("--memory", self.memory_mib, 1, 1 << 30),
            ("--max-message-size", self.max_message_bytes, 1, (1 << 31) - 1),
            ("-w/--warm_up_iteration", self.warm_up_iteration, 0, huge),
            ("--seed", self.seed, 0, huge),
            ("--model-version", self.model_version, 0, huge),
        ]
        for flag, value, least, most in table:
            if value is not None and not (value == int(value) and least <= value <= most):
                beyond = " or more" if most in (huge, math.inf) else f" to {most:,}"
                raise BadInput(f"{flag}: expected a whole number, {least}{beyond}, got {value}")
        if calls is not None and self.warm_up_iteration >= calls:
            raise BadInput(
                f"-w/--warm_up_iteration: expected 0 to {calls - 1}, fewer than the {calls} requests of "
                f"-n/--num_iteration, or nothing is measured; got {self.warm_up_iteration}"
                f"{', which is the default' if self.warm_up_iteration == _WARM_UP else ''}"
            )
        seconds = [("--duration", self.duration_s), ("--deadline", self.deadline_s), ("--ramp", self.ramp_s or None)]
        for flag, amount in [*seconds, ("--warm-up", self.warm_up_s or None)]:
            if amount is not None and not 0 < amount <= _DAY_S:
                raise BadInput(f"{flag}: expected seconds, above 0 and up to {_DAY_S:,.0f}, got {amount:g}")
        for rate in _pair(self.rate):
            if not 0 < rate <= _ABSURD_RATE:
                raise BadInput(f"--rate: expected calls per second, above 0 and up to {_ABSURD_RATE:,.0f}, got {rate:g}")

    def _check_choices(self) -> None:
        choices = [("--arrivals", self.arrivals, ARRIVALS), ("--compression", self.compression, COMPRESSIONS)]
        for flag, value, known in [*choices, ("--transport", self.transport, TRANSPORTS), ("--format", self.format, FORMATS)]:
            if value is not None and value not in known:
                raise BadInput(f"{flag}: expected one of {', '.join(known)}, got {value!r}")
        if self.data_file is None and not self.generate:
            raise BadInput("-d/--data_file: expected a file of rows; or --generate, to have rows made up from the signature")
        table = [
            (self.generate and self.data_file is not None, "-d/--data_file and --generate", "rows are read or made up"),
            (self.generate and self.label is not None, "--generate and --label", "rows that are made up have no labels"),
            (self.format is not None and self.columns_file is not None, "--format and --columns", "a known format has its own columns"),
            (self.rate is not None and self.concurrency != 1, "--rate and --concurrency", "an open load sends when a call is due"),
            (self.rate is not None and self.schedule_file is not None, "--rate and --schedule", "a schedule has its own instants"),
            (self.schedule_file is not None and self.concurrency != 1, "--schedule and --concurrency", "a schedule has its own instants"),
            (self.token_file is not None and self.token_env is not None, "--token-file and --token-env", "a call carries one token"),
        ]
        for both, flags, why in table:
            if both:
                raise BadInput(f"{flags}: expected one of them, got both; {why}")
        self._check_companions()
        if not isinstance(self.concurrency, tuple) and self.rate is None and self.schedule_file is None:
            self._check_shares("--concurrency", self.concurrency)

    def _check_companions(self) -> None:
        """What goes together, and what does not go alone."""
        if self.transport == "rest" and self.compression != "none":
            raise BadInput(f"--compression {self.compression}: expected together with gRPC, got --transport rest")
        if self.metrics_url is not None and not self.metrics_url.startswith(("http://", "https://")):
            raise BadInput(
                "--metrics: expected the URL of the server's metrics, such as http://localhost:8501/monitoring/prometheus/metrics, "
                f"got {self.metrics_url!r}"
            )
        ramps = isinstance(self.rate, tuple) or isinstance(self.concurrency, tuple)
        if ramps != bool(self.ramp_s):
            raise BadInput("--ramp: expected together with FROM..TO of --rate or --concurrency, and not without; got one of the two")
        if (self.cert_file is None) != (self.key_file is None):
            raise BadInput("--cert and --key: expected both or neither, got one")
        if self.rate is None and self.arrivals != "constant":
            raise BadInput(f"--arrivals {self.arrivals}: expected together with --rate, got no rate")

    def _check_shares(self, flag: str, value: int) -> None:
        if value < self.processes:
            raise BadInput(f"--processes: expected no more than the {value} calls in flight of {flag}, got {self.processes}")

    @property
    def calls(self) -> int | None:
        """The number of calls at which a run ends; None where only its duration or its schedule ends it."""
        if self.num_iteration is None and self.duration_s is None and not self.load_is_open:
            return _CALLS
        return self.num_iteration

    @property
    def seconds(self) -> float | None:
        """The measured time at which a run ends; None where only its calls or its schedule end it."""
        if self.rate is not None and self.num_iteration is None and self.duration_s is None:
            return _OPEN_S
        return self.duration_s

    @property
    def is_tls(self) -> bool:
        """Whether the connections are encrypted: a certificate or an authority is of no use otherwise."""
        return self.tls or self.ca_file is not None or self.cert_file is not None

    def load(self) -> Load:
        """When requests are due. Raises BadInput for a schedule that cannot be read."""
        return Load(
            self._pace(),
            count=self.calls,
            duration_ns=None if self.seconds is None else round(self.seconds * _NS),
            warm_up=self.warm_up_iteration,
            warm_up_ns=round(self.warm_up_s * _NS),
        )

    @property
    def load_is_open(self) -> bool:
        """Whether calls are due at instants of their own."""
        return self.rate is not None or self.schedule_file is not None

    @property
    def load_text(self) -> str:
        """The load in a few words."""
        unit = f" within {self.ramp_s:g} s" if self.ramp_s else ""
        if self.schedule_file is not None:
            return f"schedule {self.schedule_file}"
        if self.rate is not None:
            kind = f"bursts of {self.burst_size}" if self.arrivals == "bursts" else self.arrivals
            return f"{_span(self.rate)} requests/s{unit}, {kind}"
        return "one in flight" if self.concurrency == 1 else f"{_span(self.concurrency)} in flight{unit}"

    def _pace(self) -> Closed | Constant | Poisson | Bursts | Recorded:
        if self.schedule_file is not None:
            return Recorded(read_schedule(self.schedule_file))
        if self.rate is None:
            return Closed(self._ramp(self.concurrency))
        rate = self._ramp(self.rate)
        if self.arrivals == "bursts":
            return Bursts(rate, self.burst_size)
        return Poisson(rate, self.seed) if self.arrivals == "poisson" else Constant(rate)

    def _ramp(self, value: float | tuple[float, float]) -> Ramp:
        start, end = value if isinstance(value, tuple) else (value, value)
        return Ramp(start, end, round(self.ramp_s * _NS))

    def endpoint(self) -> Endpoint:
        """Where requests go. Raises BadInput for a certificate or a token that cannot be read."""
        return Endpoint(
            self.server,
            deadline_s=self.deadline_s,
            connections=self.connections,
            tls=tls(self.ca_file, self.cert_file, self.key_file) if self.is_tls else None,
            metadata=metadata(self.metadata_file, self.token_file, self.token_env),
            max_message_bytes=self.max_message_bytes,
            compression=None if self.compression == "none" else self.compression,
            one_in_flight=not self.load_is_open and self.concurrency == self.processes,
        )


def _span(value: float | tuple[float, float]) -> str:
    return " to ".join(f"{part:,g}" for part in _pair(value))


def _pair(value: float | tuple[float, float] | None) -> tuple[float, ...]:
    """The one value, or both of a ramp."""
    return () if value is None else value if isinstance(value, tuple) else (value,)
