"""How a version comes to serve, written once for every place that serves: canary first, then the real servers, back where that fails."""

from __future__ import annotations

from typing import Literal, Protocol

from steps import contract
from steps.release import records, repository
from steps.release.places import Places
from steps.release.records import Record


class Backend(Protocol):
    """A place that serves: a process on this machine, or a Deployment on a cluster.

    `canary` and `roll` raise BadModel, BadInput or Transient with the reason; whatever they began is then taken back by `back`.
    """

    @property
    def address(self) -> str:
        """Where clients find what serves, `host:port` of gRPC."""
        ...

    def current(self) -> int | None:
        """The version that serves; None where nothing does."""
        ...

    def is_serving(self, version: int) -> bool:
        """Whether everything is as a release of this version would leave it, the recorded sample answered right."""
        ...

    def canary(self, version: int) -> None:
        """Start a version where no traffic goes, wait until it is available, have it answer the recorded sample, take it away again."""
        ...

    def roll(self, version: int) -> None:
        """Have the real servers load a version, then drop the one before; wait until they answer the recorded sample."""
        ...

    def back(self, version: int | None) -> None:
        """Have everything as it was: this version serves, or nothing at all is left of a first release."""
        ...


def deploy(backend: Backend, places: Places, version: int) -> None:
    """Have a version serve. Run twice, it changes nothing. A failure leaves the version before, is recorded, and raised."""
    _release(backend, places, version, "deploy")


def roll_back(backend: Backend, places: Places, version: int | None) -> int:
    """Have the version that was released before serve again, or the given one; returns which. Raises BadInput where there is none."""
    kept = repository.versions(places.repository)
    target = version or records.version_before(records.read(places.records), backend.current(), kept)
    if target is None:
        raise contract.BadInput(
            f"{places.output}: no version to go back to: expected one released before that is still in {places.repository}"
        )
    _release(backend, places, target, "rollback")
    return target


def _release(backend: Backend, places: Places, version: int, action: Literal["deploy", "rollback"]) -> None:
    if not (places.version(version) / "saved_model.pb").is_file():
        kept = ", ".join(map(str, repository.versions(places.repository))) or "none"
        raise contract.BadInput(f"VERSION: expected a published version of {places.model} (there are: {kept}), got {version}")
    history = records.deployed(records.read(places.records))
    previous = history[-1] if history else None
    if backend.is_serving(version):
        contract.log(f"version {version} of {places.model} serves already at {backend.address}")
        if previous != version:
            _record(places, Record(action, version, previous))
        return
    before = backend.current()
    try:
        backend.canary(version)
        backend.roll(version)
    except BaseException as error:
        _take_back(backend, before)
        failed: Literal["deploy-failed", "rollback-failed"] = "deploy-failed" if action == "deploy" else "rollback-failed"
        _record_failure(places, Record(failed, version, previous, reason=str(error) or type(error).__name__))
        if isinstance(error, contract.StepError):
            raise type(error)(f"{error}. {_what_stands(before)}") from error
        raise
    _record(places, Record(action, version, previous))
    contract.log(f"version {version} of {places.model} serves at {backend.address}")


def _what_stands(before: int | None) -> str:
    return f"Version {before} goes on serving" if before else "Nothing serves, and nothing was left half-made"


def _take_back(backend: Backend, before: int | None) -> None:
    """Going back must not hide why: what goes wrong in it is told, not raised."""
    try:
        backend.back(before)
    except (contract.StepError, OSError) as error:
        contract.log(f"going back to {f'version {before}' if before else 'nothing'} failed as well: {error}")


def _record_failure(places: Places, record: Record) -> None:
    try:
        _record(places, record)
    except OSError as error:
        contract.log(f"the failure could not be recorded in {places.records}: {error}")


def _record(places: Places, record: Record) -> None:
    assert record.version is not None
    run = str(repository.origin(places.version(record.version)).get("run", ""))
    records.append(places.records, Record(record.action, record.version, record.previous, record.reason, run))
