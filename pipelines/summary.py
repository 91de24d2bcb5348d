"""What a person is told at the end of a run of a pipeline, from the files that the run left."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from steps.release import Server
from steps.release import records as release_records

Rows = Sequence[tuple[str, str]]


def failed_step_exit_code(status: Mapping[str, Any]) -> int | None:
    """The exit code of the pod that failed last; None where none did."""
    failed = [node for node in status["nodes"].values() if node["type"] == "Pod" and node["phase"] in ("Failed", "Error")]
    if not failed:
        return None
    last = max(failed, key=lambda node: str(node.get("finishedAt") or ""))
    code = (last.get("outputs") or {}).get("exitCode")
    return int(code) if code else None


def of_run(status: Mapping[str, Any], workspace: Path, output: Path, run: str, kept: Server | None) -> Rows:
    """Accuracy, version, server, speed, and where evidence and data lie. `kept` is a server that is left up."""
    evidence, outputs = output / "evidence" / run, _outputs(status)
    judged, measured = newest_evidence(evidence), _json(output / "benchmark" / f"{run}.json")
    released = _released(output / "releases.jsonl", run)
    address = (
        _left_up(kept)
        if kept
        else f"{outputs['address']}, stopped with the run; --keep-serving leaves it up"
        if "address" in outputs
        else ""
    )
    return [
        *([("accuracy", _accuracy(judged))] if judged else []),
        *([("version", f"{released} of {output.parent.name}")] if released else []),
        *([("address", address)] if address else []),
        *([("benchmark", _speed(measured))] if measured else []),
        *([("evidence", shown(evidence))] if judged else []),
        *([("eval data", shown(workspace / outputs["prepared"] / "eval.csv"))] if "prepared" in outputs else []),
    ]


def newest_evidence(folder: Path) -> dict[str, Any] | None:
    """The evidence of a run's newest attempt, or None where nothing was judged."""
    attempts = sorted(folder.glob("attempt-*.json"), key=lambda path: int(path.stem.removeprefix("attempt-")))
    return _json(attempts[-1]) if attempts else None


def shown(path: Path) -> str:
    """A path as a person would type it: from the current folder where it lies in that."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def text(rows: Rows) -> str:
    """Names and values, a row a line."""
    return "\n".join(f"  {name:<10} {value}" for name, value in rows)


def _accuracy(evidence: Mapping[str, Any]) -> str:
    measured = "not measured"
    if evidence["accuracy"] is not None:
        low, high = evidence["interval"]
        measured = f"{evidence['accuracy']:.4f} [{low:.4f}, {high:.4f}]"
    target = "no target" if evidence["target"] is None else f"target {evidence['target']:g}"
    attempts = f"{evidence['attempt']} attempt{'s' if evidence['attempt'] > 1 else ''}"
    line = f"{measured}, {target}: {evidence['verdict']} after {attempts}"
    if not evidence["synthetic"]:
        return line
    best = evidence["best_accuracy"]
    return f"{line}; synthetic data" + (f", best possible {best:.4f}" if best is not None else "")


def _released(records: Path, run: str) -> int | None:
    """The version that a run brought to serve."""
    versions = [record.version for record in release_records.read(records) if record.run == run and record.action == "deploy"]
    return versions[-1] if versions else None


def _left_up(server: Server) -> str:
    rest = f"localhost:{server.rest_port} (REST)"
    return f"{server.address} (gRPC), {rest}, left up with version {server.version}; `kill {server.pid}` stops it"


def _outputs(status: Mapping[str, Any]) -> dict[str, str]:
    """The output parameters of a run's steps, by name."""
    done = [node.get("outputs") or {} for node in status["nodes"].values() if node["phase"] == "Succeeded"]
    return {row["name"]: row["value"] for outputs in done for row in outputs.get("parameters") or []}


def _speed(record: Mapping[str, Any]) -> str:
    latency = record["latency_ms"]
    told = [f"{name} {latency[name]:.2f} ms" for name in ("p50", "p99") if latency[name] is not None]
    line = ", ".join([f"{record['throughput_rows_per_s']:,.0f} rows/s", *told, f"{record['batch_size']} rows in a request"])
    return "; ".join([*(f"NOT TO BE TRUSTED: {warning}" for warning in record["warnings"]), line])


def _json(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text()) if path.is_file() else None
