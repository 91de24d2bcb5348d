"""A run's folder and workspace as the pipeline leaves them: three attempts, one of them killed and started again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

START = datetime(2026, 11, 23, 16, 0, 5, tzinfo=UTC)
EVIDENCE = "ada/wide-deep/output/evidence/7e57"
RESULT = "ada/wide-deep/output/benchmark/7e57.json"


def at(seconds: float) -> str:
    """A time of the run, as Argo writes it."""
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def node(name: str, from_s: float, to_s: float, phase: str = "Succeeded", exit_code: str = "0", **fields: Any) -> dict[str, Any]:
    """A node of .status.nodes, by default a pod that succeeded."""
    outputs = {"exitCode": exit_code, "parameters": [{"name": key, "value": value} for key, value in fields.pop("outputs", {}).items()]}
    described = {"id": f"id-{name}", "name": name, "displayName": name.rpartition(".")[2], "type": "Pod", "boundaryID": "id-run-abc"}
    return described | {"phase": phase, "startedAt": at(from_s), "finishedAt": at(to_s), "outputs": outputs} | fields


def status() -> dict[str, Any]:
    """.status of a whole run of train-and-serve."""
    released = {"version": "3"}
    nodes = [
        node("run-abc", 0, 74, type="Steps", boundaryID="", displayName="run-abc"),
        node("run-abc[0]", 0, 4, type="StepGroup"),
        node("run-abc[0].download", 0, 4, type="Retry", outputs={"data": "datasets/criteo"}),
        node("run-abc[0].download(0)", 0, 4, outputs={"data": "datasets/criteo"}),
        node("run-abc[1].prepare", 4, 11, outputs={"prepared": "ada/wide-deep/prepared/0f3c"}),
        node("run-abc[2].train", 11, 55, type="Retry", outputs={"accuracy": "0.7631", "evidence": EVIDENCE}),
        node("run-abc[2].train(0)", 11, 23, "Failed", "3", message="main: Error (exit code 3)", outputs={"evidence": EVIDENCE}),
        node("run-abc[2].train(1)", 25, 29, "Failed", "137", message="OOMKilled (exit code 137)"),
        node("run-abc[2].train(2)", 31, 42, "Failed", "3", message="main: Error (exit code 3)"),
        node("run-abc[2].train(3)", 44, 55, outputs={"accuracy": "0.7631", "evidence": EVIDENCE}),
        node("run-abc[3].export", 55, 60, outputs={"candidate": "ada/wide-deep/output/staging/7e57"}),
        node("run-abc[4].validate", 60, 64, outputs=released),
        node("run-abc[5].deploy", 64, 67.4, outputs={"address": "127.0.0.1:8500"}),
        node("run-abc[6].benchmark", 67.4, 74, outputs={"throughput": "18234.2", "result": RESULT}),
    ]
    return {"phase": "Succeeded", "startedAt": at(0), "finishedAt": at(74), "nodes": {found["id"]: found for found in nodes}}


def evidence(attempt: int, accuracy: float, verdict: str) -> dict[str, Any]:
    """One attempt's evidence: 500 steps, a loss every 50."""
    first = (attempt - 1) * 500
    history: list[dict[str, float]] = [
        {"step": first + at_step, "loss": 0.46 + 0.2 * math.exp(-(first + at_step) / 400) + 0.004 * math.sin(at_step)}
        for at_step in range(50, 501, 50)
    ]
    history[-1]["accuracy"] = accuracy
    return {
        "run": "7e57",
        "attempt": attempt,
        "verdict": verdict,
        "accuracy": accuracy,
        "interval": [accuracy - 0.0058, accuracy + 0.0058],
        "confidence": 0.95,
        "target": 0.76,
        "majority_class_rate": 0.744,
        "auc": accuracy + 0.04,
        "loss": history[-1]["loss"],
        "examples": 20000,
        "step": first + 500,
        "checkpoint": f"step-{first + 500}",
        "data_sha256": "ab" * 32,
        "synthetic": True,
        "best_accuracy": 0.847,
        "reason": "" if verdict == "passed" else f"accuracy {accuracy} is below the target 0.76",
        "history": history,
    }


def benchmark() -> dict[str, Any]:
    """The client's result: 180 measured requests, latencies with a tail."""
    edges = [3.1 * 1.13**index for index in range(21)]
    counts = [1, 4, 19, 41, 38, 27, 16, 11, 7, 4, 3, 2, 2, 0, 1, 1, 0, 1, 1, 1]
    return {
        "server": "127.0.0.1:8500",
        "model": "wide-deep",
        "signature": "serving_default",
        "version": 3,
        "batch_size": 128,
        "requests": 200,
        "failed": {},
        "rows": 23040,
        "accuracy": 0.7631,
        "throughput_rows_per_s": 18234.2,
        "requests_per_s": 142.5,
        "latency_ms": {"mean": 5.61, "p50": 5.02, "p90": 8.7, "p99": 28.4, "min": 3.1, "max": 35.6},
        "confidence": 0.95,
        "intervals": {
            "throughput_rows_per_s": [17911.0, 18558.0],
            "requests_per_s": [139.9, 145.0],
            "p50": [4.81, 5.32],
            "p99": [21.0, None],
        },
        "histogram": [
            {"from_ms": low, "to_ms": high, "count": count} for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
        ],
        "warnings": [],
    }


def lay(folder: Path, described: dict[str, Any], attempts: list[dict[str, Any]], measured: dict[str, Any] | None) -> tuple[Path, Path]:
    """Write a run's folder and the workspace, and return both."""
    run_folder, workspace = folder / "run-abc", folder / "workspace"
    (workspace / EVIDENCE).mkdir(parents=True)
    (workspace / RESULT).parent.mkdir()
    run_folder.mkdir()
    (run_folder / "status.json").write_text(json.dumps(described))
    for found in attempts:
        (workspace / EVIDENCE / f"attempt-{found['attempt']}.json").write_text(json.dumps(found))
    if measured:
        (workspace / RESULT).write_text(json.dumps(measured))
    return run_folder, workspace


def whole(folder: Path) -> tuple[Path, Path]:
    """The run of `status`, with its evidence and benchmark."""
    attempts = [evidence(1, 0.7481, "missed"), evidence(2, 0.7572, "missed"), evidence(3, 0.7631, "passed")]
    return lay(folder, status(), attempts, benchmark())


@pytest.fixture
def sample(tmp_path: Path) -> tuple[Path, Path]:
    """The folder of a whole run, and its workspace."""
    return whole(tmp_path)


@pytest.fixture
def make_node() -> Callable[..., dict[str, Any]]:
    """node(name, from_s, to_s, phase, exit_code, **fields)."""
    return node
