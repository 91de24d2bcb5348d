"""What is asked of a benchmark: the command line's flags, under the same names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from clients.benchmark.errors import BadInput
from clients.benchmark.formats import FORMATS
from clients.benchmark.load import Closed, Load, Ramp
from clients.benchmark.transport import Endpoint

_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]+):([0-9]{1,5})")


@dataclass(frozen=True)
class Settings:
    """One run: `num_iteration` requests of up to `batch_size` rows of `data_file`, one in flight.

    The first `warm_up_iteration` requests are sent and judged, but not timed. A file without a header needs its
    columns from `columns_file` or a known `format`. A call without an answer after `deadline_s` seconds has failed.
    Raises BadInput where a value makes no sense.
    """

    data_file: Path
    server: str = "localhost:8500"
    batch_size: int = 1
    num_iteration: int = 40
    warm_up_iteration: int = 10
    model: str = "wide-deep-large-ds-fp32-training"
    signature: str = "serving_default"
    columns_file: Path | None = None
    format: str | None = None
    transport: str = "grpc"
    concurrency: int = 1
    deadline_s: float = 30.0

    def __post_init__(self) -> None:
        address = _ADDRESS.fullmatch(self.server)
        if not address or not 1 <= int(address[1]) <= 65535:
            raise BadInput(f"-s/--server: expected HOST:PORT of the server's gRPC side, such as localhost:8500, got {self.server!r}")
        for flag, value, least in (("-b/--batch_size", self.batch_size, 1), ("-n/--num_iteration", self.num_iteration, 1)):
            if value < least:
                raise BadInput(f"{flag}: expected a whole number, {least} or more, got {value}")
        if not 0 <= self.warm_up_iteration < self.num_iteration:
            raise BadInput(
                f"-w/--warm_up_iteration: expected 0 to {self.num_iteration - 1}, fewer than the {self.num_iteration} requests of "
                f"-n/--num_iteration, or nothing is measured; got {self.warm_up_iteration}"
            )
        if self.format is not None and self.format not in FORMATS:
            raise BadInput(f"--format: expected one of {', '.join(FORMATS)}, got {self.format!r}")
        if self.format is not None and self.columns_file is not None:
            raise BadInput("--format and --columns: expected one of them, got both; a known format has its own columns")

    def load(self) -> Load:
        """When requests are due."""
        return Load(Closed(Ramp.constant(self.concurrency)), count=self.num_iteration, warm_up=self.warm_up_iteration)

    def endpoint(self) -> Endpoint:
        """Where they go."""
        return Endpoint(self.server, deadline_s=self.deadline_s)
