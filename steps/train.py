"""The accuracy gate around a training program: counts starts and attempts, judges the result, leaves evidence.

The program trains, saves and evaluates; this step decides. It ends with 0 (go on), 3 (again, from the checkpoint) or 4
(the budget is spent); kills and faults of the program pass through with the program's own code, and use up no attempt.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps import attempts, contract, gate, program, storage
from steps.contract import Count, Folder, Fraction, Name, Positive, Text


@dataclass(frozen=True)
class Settings:
    """`prepared` is the folder that `prepare` made, relative to the volume or absolute; one attempt is `steps` training steps."""

    nfs_path: Folder
    user_name: Name
    model_name: Name
    checkpoint_dir: Name
    output_dir: Name
    prepared: Text
    model_dir: Folder
    model_script: Name
    steps: Positive
    batch_size: Positive
    seed: Count
    target_accuracy: Fraction
    retry_limit: Count
    restart_limit: Count
    workflow_uid: Name


@dataclass(frozen=True)
class Outputs:
    """The accuracy on all of eval with its 95 % interval (None where the program gave none), and where to find what was made."""

    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    attempts: int
    checkpoints: str
    evidence: str


@dataclass(frozen=True)
class _Run:
    """One start: everything that stays the same while it lasts."""

    settings: Settings
    program: program.Program
    prepared: Path
    schema: dict[str, Any]
    folder: Path
    budget: gate.Budget
    started: str


def main(settings: Settings) -> Outputs:
    """Train until the attempt's end and judge it. Raises BelowTarget, BudgetSpent, or what ended the program."""
    place = settings.nfs_path / settings.user_name / settings.model_name
    trainer = program.locate(settings.model_dir, settings.model_script)
    prepared = settings.nfs_path / settings.prepared
    schema = read_schema(prepared)
    _warn_of_the_impossible(settings.target_accuracy, schema.get("best_accuracy"))
    folder = attempts.folder_of(place / settings.checkpoint_dir, _identity(settings, trainer, schema))
    budget = gate.Budget(settings.retry_limit, settings.restart_limit)
    run = _Run(settings, trainer, prepared, schema, folder, budget, _now())
    with attempts.held(folder) as lock:
        state = attempts.load(folder, settings.workflow_uid)
        if state.done:
            contract.log(f"done before, in attempt {len(state.attempts)} of this run: {state.done.reason}")
            return _outputs(run, state)
        state = gate.begin(state, budget)
        attempts.save(folder, state)
        attempt = _attempt(run, len(state.attempts) + 1, lock)
        state = gate.finish(state, attempt)
        attempts.save(folder, state)
    if attempt.verdict == "missed":
        raise gate.missed(state, budget)
    contract.log(attempt.reason)
    return _outputs(run, state)


def read_schema(prepared: Path) -> dict[str, Any]:
    """The description of a prepared folder. Raises BadInput where it is none."""
    path = prepared / "schema.json"
    if not path.is_file():
        raise contract.BadInput(f"PREPARED: expected a folder that the step prepare has made, got {prepared}, without a schema.json")
    try:
        schema: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise contract.BadInput(f"{path}: expected JSON as the step prepare writes it, got {error}; remove the folder, run again") from None
    return schema


def _warn_of_the_impossible(target: float | None, best: float | None) -> None:
    if target is not None and best is not None and target > best:
        contract.log(f"TARGET_ACCURACY {target:g} is above {best:.4f}, the best that any model can reach on this synthetic data")


def _identity(settings: Settings, trainer: program.Program, schema: dict[str, Any]) -> dict[str, Any]:
    """What checkpoints belong to: where any of it changes, training starts afresh. The names are those people know."""
    return {
        "data": schema["data_sha256"],
        "columns": {column["name"]: column["kind"] for column in schema["columns"]},
        "classes": schema["label"]["classes"],
        "MODEL_SCRIPT": f"{trainer.script} {trainer.sha256()[:16]}",
        "BATCH_SIZE": settings.batch_size,
        "SEED": settings.seed,
    }


def _attempt(run: _Run, number: int, lock: int) -> gate.Attempt:
    """Run the program for attempt `number` and judge it, its evidence written. Raises what ended it otherwise."""
    settings, result_file = run.settings, run.folder / "result.json"
    result_file.unlink(missing_ok=True)
    environ = program.environment(
        settings, PREPARED=run.prepared, CHECKPOINTS=run.folder, RESULT=result_file, ATTEMPT=number, RUN_ID=settings.workflow_uid
    )
    contract.log(f"attempt {number} of {settings.retry_limit + 1}: {settings.steps} steps of {settings.batch_size}")
    code = program.run(run.program, "train", environ, lock)
    if code not in (contract.DONE, contract.BELOW_TARGET, contract.BUDGET_SPENT):
        raise program.ended(run.program, "train", code)
    result = _read_result(run, result_file, code)
    judgement = _judge(run, result, code)
    evidence = _evidence_file(run, number)
    evidence.parent.mkdir(parents=True, exist_ok=True)
    storage.write_whole(evidence, json.dumps(_evidence(run, number, result, judgement), indent=1, allow_nan=False) + "\n")
    return gate.Attempt(
        verdict=judgement.verdict,
        accuracy=judgement.accuracy,
        interval=judgement.interval,
        checkpoint=result.checkpoint if result else None,
        evidence=_relative(run, evidence),
        reason=judgement.reason,
        last=code == contract.BUDGET_SPENT,
    )


def _read_result(run: _Run, path: Path, code: int) -> gate.Result | None:
    """What the program says of its model; None where it says nothing and no check depends on it."""
    if path.exists():
        return gate.read_result(path.read_text(errors="replace"), run.schema["eval"]["rows"])
    if code == contract.DONE and run.settings.target_accuracy is not None:
        raise contract.BadInput(
            f"RESULT: expected {run.program.script} to write {path} before it ends with 0, since TARGET_ACCURACY is set, got no such file; "
            "mend the program, or set TARGET_ACCURACY to nothing for no check"
        )
    return None


def _judge(run: _Run, result: gate.Result | None, code: int) -> gate.Judgement:
    """The gate's verdict; a program that says itself that it is below the target is taken at its word."""
    majority = gate.majority_class_rate(run.schema["eval"]["class_counts"])
    if result is None:
        judgement = gate.Judgement("unchecked", None, None, "the program gave no RESULT, no target set")
    else:
        judgement = gate.judge(result, run.settings.target_accuracy, majority)
    if code != contract.DONE and judgement.verdict != "missed":
        said = f"{run.program.script} says that it is below the target (exit code {code})"
        reason = said if result is None else f"{judgement.reason}, but {said}"
        judgement = dataclasses.replace(judgement, verdict="missed", reason=reason)
    return judgement


def _evidence(run: _Run, number: int, result: gate.Result | None, judgement: gate.Judgement) -> dict[str, Any]:
    settings = dataclasses.asdict(run.settings)
    return {
        "format": 1,
        "run": run.settings.workflow_uid,
        "attempt": number,
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "metric": "accuracy",
        "accuracy": judgement.accuracy,
        "interval": judgement.interval,
        "confidence": gate.CONFIDENCE,
        "target": run.settings.target_accuracy,
        "majority_class_rate": gate.majority_class_rate(run.schema["eval"]["class_counts"]),
        "auc": result.auc if result else None,
        "loss": result.loss if result else None,
        "examples": result.examples if result else None,
        "step": result.step if result else None,
        "checkpoint": result.checkpoint if result else None,
        "data_sha256": run.schema["data_sha256"],
        "synthetic": run.schema["synthetic"],
        "best_accuracy": run.schema.get("best_accuracy"),
        "parameters": {name.upper(): str(value) if isinstance(value, Path) else value for name, value in settings.items()},
        "program_sha256": run.program.sha256(),
        "versions": {"python": platform.python_version(), **(result.versions if result else {})},
        "seed": run.settings.seed,
        "history": list(result.history) if result else [],
        "started": run.started,
        "finished": _now(),
    }


def _evidence_file(run: _Run, number: int) -> Path:
    settings = run.settings
    output = settings.nfs_path / settings.user_name / settings.model_name / settings.output_dir
    return output / "evidence" / settings.workflow_uid / f"attempt-{number}.json"


def _outputs(run: _Run, state: gate.State) -> Outputs:
    attempt = state.attempts[-1]
    low, high = attempt.interval or (None, None)
    return Outputs(attempt.accuracy, low, high, len(state.attempts), _relative(run, run.folder), attempt.evidence)


def _relative(run: _Run, path: Path) -> str:
    return str(path.relative_to(run.settings.nfs_path))


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


if __name__ == "__main__":
    contract.run(main)
