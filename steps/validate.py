"""The step between export and the repository: a candidate that holds is given a version, one that does not is put aside.

It loads the model in a process of its own, so what is judged is the exported files and nothing that training left in
memory. Killed at any moment and run again it ends the same: a version appears by one rename, its origin inside it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steps import contract, storage
from steps.contract import Folder, Name, Positive, Text
from steps.release import records, repository
from steps.release.places import Places
from steps.release.records import Record
from steps.train import read_schema

if TYPE_CHECKING:
    from steps.release.checks import Sample
    from steps.release.model import LoadedModel

_EVAL_ROWS = 256
_SAMPLE_ROWS = 64


@dataclass(frozen=True)
class Settings:
    """`candidate` and `prepared` are folders, relative to the volume or absolute."""

    nfs_path: Folder
    user_name: Name
    model_name: Name
    output_dir: Name
    candidate: Text
    prepared: Text
    keep_versions: Positive
    workflow_uid: Name


@dataclass(frozen=True)
class Outputs:
    """The version that the candidate was published as."""

    version: int


def main(settings: Settings) -> Outputs:
    """Validate the candidate and publish it. Raises BadInput for a bad model, which then lies under `rejected`."""
    places = Places.of(settings.nfs_path, settings.user_name, settings.model_name, settings.output_dir)
    candidate = places.resolve(settings.candidate)
    with places.lock():
        storage.remove_asides(places.repository)
        version = _judge(settings, places, candidate) if candidate.is_dir() else _earlier_verdict(settings, places, candidate)
        _record(places, Record("publish", version, run=settings.workflow_uid, candidate=candidate.name))
        _prune(places, settings.keep_versions)
    return Outputs(version)


def _judge(settings: Settings, places: Places, candidate: Path) -> int:
    """The version of a candidate that holds, published now or by an earlier start of this run."""
    from steps.release.checks import BadModel

    if candidate.parent.resolve() != places.staging.resolve():
        raise contract.BadInput(f"CANDIDATE: expected a folder in {places.staging}, got {candidate}")
    storage.remove_asides(candidate / repository.EXTRA)
    content = repository.content_hash(candidate)
    version = repository.published(places.repository, settings.workflow_uid, content=content)
    if version is not None:
        contract.log(f"this candidate is published already, as version {version}")
        shutil.rmtree(candidate)
        return version
    try:
        _check(candidate, places.resolve(settings.prepared), settings.model_name)
    except BadModel as error:
        where = repository.reject(candidate, places.rejected, _noted(settings, candidate, content) | {"reason": str(error)})
        _record(places, Record("reject", None, reason=str(error), run=settings.workflow_uid, candidate=candidate.name))
        raise BadModel(f"{error}. The candidate was put aside in {where}; nothing was published and what serves goes on serving") from None
    version = repository.next_version(repository.versions(places.repository), records.highest_version(records.read(places.records)))
    repository.publish(candidate, places.repository, version, _noted(settings, candidate, content))
    contract.log(f"published as version {version} in {places.repository}")
    return version


def _earlier_verdict(settings: Settings, places: Places, candidate: Path) -> int:
    """What an earlier start of this run, killed before it could say so, has decided."""
    run, name = settings.workflow_uid, candidate.name
    version = repository.published(places.repository, run, candidate=name)
    if version is not None:
        return version
    refused = repository.rejection(places.rejected, run, name)
    if refused is not None:
        _record(places, Record("reject", None, reason=refused["reason"], run=run, candidate=name))
        raise contract.BadInput(f"{refused['reason']}. The candidate was put aside in {places.rejected} before; nothing was published")
    raise contract.BadInput(f"CANDIDATE: expected the folder of an exported model, got {candidate}, which does not exist; run export again")


def _check(candidate: Path, prepared: Path, model_name: str) -> None:
    """All that a candidate must pass, then what a server needs beside it: the sample and warm-up requests."""
    from steps.release import checks
    from steps.release.model import LoadedModel

    schema = read_schema(prepared)
    columns, classes = schema["columns"], len(schema["label"]["classes"])
    model = LoadedModel(candidate)
    checks.check_signature(model.inputs, model.outputs, columns, classes)
    rows = _rows_to_try(prepared / "eval.parquet", columns)
    answers = model.answer(rows, "rows of eval and an all-blank row")
    count = len(next(iter(rows.values())))
    checks.check_answers(answers, count, classes, "rows of eval and an all-blank row")
    for row in (0, count - 1):
        alone = model.answer({name: values[row : row + 1] for name, values in rows.items()}, "one row alone")
        checks.check_answers(alone, 1, classes, "one row alone")
        checks.check_agreement(
            alone["probabilities"], answers["probabilities"][row : row + 1], "one row alone and the same row among others"
        )
    _check_sample(candidate, model, columns, rows, answers["probabilities"])
    _write_warm_up(candidate, model_name)


def _check_sample(candidate: Path, model: LoadedModel, columns: list[dict[str, Any]], rows: Mapping[str, Any], probabilities: Any) -> None:
    """The trainer's own answers against the SavedModel's; where the program left no sample, the SavedModel's are recorded."""
    from steps.release import checks

    path = candidate / repository.SAMPLE
    if not path.exists():
        contract.log("the program left no assets.extra/sample.json; the answers of the SavedModel itself are recorded as the sample")
        recorded = checks.Sample({name: values[:_SAMPLE_ROWS] for name, values in rows.items()}, probabilities[:_SAMPLE_ROWS])
        path.parent.mkdir(exist_ok=True)
        storage.write_whole(path, checks.sample_json(recorded))
        return
    sample: Sample = checks.read_sample(path)
    checks.check_sample_columns(sample, columns)
    answers = model.answer(sample.inputs, "the sample")
    checks.check_answers(answers, len(sample.probabilities), len(probabilities[0]), "the sample")
    checks.check_agreement(answers["probabilities"], sample.probabilities, "the trainer's answers to the sample and the SavedModel's")


def _rows_to_try(path: Path, columns: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows of eval and a last one that is blank in every column, as a client sends them."""
    import numpy as np
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        batch = next(file.iter_batches(batch_size=_EVAL_ROWS, columns=[column["name"] for column in columns]))
    rows: dict[str, Any] = {}
    for column in columns:
        values = batch.column(column["name"])
        if column["kind"] == "number":
            rows[column["name"]] = np.append(values.to_numpy(zero_copy_only=False).astype("f4"), np.float32("nan"))
        else:
            rows[column["name"]] = np.array([value or "" for value in values.to_pylist()] + [""], object)
    return rows


def _write_warm_up(candidate: Path, model_name: str) -> None:
    """Requests of one row and of all rows of the sample, which a server answers before it takes traffic."""
    from clients.serving import messages
    from steps.release import checks, model, questions

    sample = checks.read_sample(candidate / repository.SAMPLE)
    logs = []
    for rows in sorted({1, len(sample.probabilities)}):
        log = messages.PredictionLog()
        log.predict_log.request.CopyFrom(
            questions.predict_request(model_name, None, {name: values[:rows] for name, values in sample.inputs.items()})
        )
        logs.append(log)
    path = candidate / repository.WARM_UP
    aside = path.with_name(f"{storage.ASIDE}{path.name}")
    model.warm_up_file(aside, logs)
    storage.write_whole(path, aside.read_bytes())
    aside.unlink()


def _prune(places: Places, keep: int) -> None:
    """Remove versions beyond the newest `keep`, never the one that serves or was released last."""
    from steps import release

    note = release.serving(places.output)
    protected = records.may_serve(records.read(places.records)) | ({note.version} if note else set())
    for version in repository.to_remove(repository.versions(places.repository), keep, protected):
        repository.remove(places.repository, version)
        contract.log(f"removed version {version}: only the newest {keep} are kept, and the one that serves")


def _noted(settings: Settings, candidate: Path, content: str) -> dict[str, Any]:
    return {"run": settings.workflow_uid, "candidate": candidate.name, "content": content}


def _record(places: Places, record: Record) -> None:
    """Append a record, unless an earlier start of the run has."""
    key = (record.action, record.version, record.run, record.candidate)
    if all((earlier.action, earlier.version, earlier.run, earlier.candidate) != key for earlier in records.read(places.records)):
        records.append(places.records, record)


if __name__ == "__main__":
    contract.run(main)
