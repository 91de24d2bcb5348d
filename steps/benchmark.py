"""The step that measures what serves: the benchmark client as a process, as anybody would start it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from steps import contract, storage
from steps.contract import Folder, Name, Text
from steps.release.places import Places

_NOTHING_SUCCEEDED = 10
_STOP_S = 10.0


@dataclass(frozen=True)
class Settings:
    """`prepared` is a folder with eval.csv, relative to the volume or absolute; `address` is host:port of gRPC."""

    nfs_path: Folder
    user_name: Name
    model_name: Name
    output_dir: Name
    prepared: Text
    address: Text
    workflow_uid: Name


@dataclass(frozen=True)
class Outputs:
    """Rows/s and milliseconds, empty where too few requests were sent to say; the file of the whole result."""

    throughput: float | None
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    result: str


def main(settings: Settings) -> Outputs:
    """Measure. Raises Transient where no request succeeded, BadInput where the client refuses its input."""
    places = Places.of(settings.nfs_path, settings.user_name, settings.model_name, settings.output_dir)
    data = places.resolve(settings.prepared) / "eval.csv"
    result = places.output / "benchmark" / f"{settings.workflow_uid}.json"
    result.parent.mkdir(parents=True, exist_ok=True)
    measured = _measure(settings, data, result)
    latency = measured["latency_ms"]
    return Outputs(measured["throughput_rows_per_s"], latency["p50"], latency["p99"], places.relative(result))


def _measure(settings: Settings, data: Path, result: Path) -> dict[str, Any]:
    aside = result.with_name(f"{storage.ASIDE}{result.name}")
    command = [sys.executable, "-m", "clients.benchmark", "-s", settings.address, "-d", str(data), "--model", settings.model_name]
    command += ["-b", str(_batch_size(data)), "-n", "400", "-w", "20", "--json", str(aside)]
    try:
        _check_exit(_run(command), settings)
        content = aside.read_text()
    finally:
        aside.unlink(missing_ok=True)
    measured: dict[str, Any] = json.loads(content)
    storage.write_whole(result, content)
    return measured


def _batch_size(data: Path) -> int:
    """128 rows in a request, or as many as the file has: the client sends no batch that is larger than its file."""
    try:
        with open(data, "rb") as file:
            return max(1, sum(1 for _ in islice(file, 129)) - 1)
    except OSError:
        return 128  # the client says what is wrong with the file


def _run(command: list[str]) -> int:
    """The exit code of the client, its output in the step's log; it ends with the step."""
    with subprocess.Popen(command, stdout=sys.stderr) as client:
        try:
            return client.wait()
        except BaseException:
            client.terminate()
            try:
                client.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                client.kill()
            raise


def _check_exit(code: int, settings: Settings) -> None:
    """The client's exit codes as the step contract's."""
    if code == contract.DONE:
        return
    where = f"the benchmark client at {settings.address}"
    if code == _NOTHING_SUCCEEDED:
        raise contract.Transient(f"{where}: no request succeeded, its last lines above say why; is the server up?")
    if code == contract.BAD_INPUT:
        raise contract.BadInput(f"{where}: it refused its input, its last line above says why")
    if code < 0 or code >= 128:
        raise contract.Transient(f"{where}: killed (exit code {code})")
    raise contract.StepError(f"{where}: unexpected exit code {code}, see its output above")


if __name__ == "__main__":
    contract.run(main)
