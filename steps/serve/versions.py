"""Versions of models as they come and go: which are to be served, which are, and how each of them fares.

One thread loads and unloads. A new version is loaded before the one it replaces is dropped, and a version is closed only
when the last request that uses it is answered.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from steps.serve import config
from steps.serve.config import ModelSettings
from steps.serve.errors import ServingError
from steps.serve.log import log
from steps.serve.policy import Version, next_action


class Closable(Protocol):
    """What a load gives: something that serves until it is closed."""

    def close(self) -> None:
        """Give back its memory."""


@dataclass(frozen=True)
class Pace:
    """How often to look for versions (0: once; seconds), and how often to try to load one (retries, seconds between)."""

    poll_s: float
    max_load_retries: int
    retry_interval_s: float


class Versions:
    """The versions of all models. `load` makes a servable of a model's name, version and folder, or raises ServingError."""

    def __init__(self, load: Callable[[str, int, Path], Closable], pace: Pace, labels_before_available: bool = False) -> None:
        self._load_servable = load
        self._pace = pace
        self._labels_before_available = labels_before_available
        self._changed = threading.Condition()
        self._settings: tuple[ModelSettings, ...] = ()
        self._versions: dict[str, dict[int, Version]] = {}
        self._labels: dict[str, Mapping[str, int]] = {}
        self._poll_at = 0.0
        self._complaints: dict[str, str] = {}
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="versions", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def use(self, spec: Any) -> Iterator[Any]:
        """The servable that a ModelSpec asks for, kept from being unloaded meanwhile. Raises ServingError."""
        with self._changed:
            version = self._find(spec)
            version.in_flight += 1
        try:
            yield version.servable
        finally:
            with self._changed:
                version.in_flight -= 1
                if version.state == "UNLOADING" and not version.in_flight:
                    self._changed.notify_all()

    def states(self, spec: Any) -> list[Version]:
        """The versions of a model, newest first, or the one a ModelSpec names. Raises ServingError."""
        with self._changed:
            versions = self._versions.get(spec.name, {})
            choice = spec.WhichOneof("version_choice")
            if choice is None:
                if not versions:
                    raise ServingError("NOT_FOUND", f"Could not find any versions of model {spec.name}")
                return [versions[number] for number in sorted(versions, reverse=True)]
            number = spec.version.value if choice == "version" else self._labelled(spec.name, spec.version_label)
            if number not in versions:
                raise ServingError("NOT_FOUND", f"Could not find version {number} of model {spec.name}")
            return [versions[number]]

    def serve(self, settings: tuple[ModelSettings, ...], still_wanted: Callable[[], bool]) -> None:
        """Serve these models from now on, and wait until each new one has a version available, or `still_wanted` says no.

        Raises ServingError where labels cannot be given or a new model has no version that loads.
        """
        with self._changed:
            for model in settings:
                self._check_labels(model)
            labels = {model.name: model.labels for model in settings}
            new = {model.name for model in settings} - {model.name for model in self._settings}
            self._settings, self._labels = settings, labels
            self._poll_at = 0.0
            self._changed.notify_all()
            self._await_available(new, still_wanted)

    def stop(self) -> None:
        """Stop looking, loading and waiting. What serves goes on serving."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _find(self, spec: Any) -> Version:
        if not spec.name:
            raise ServingError("INVALID_ARGUMENT", "ModelSpec has no name specified.")
        choice = spec.WhichOneof("version_choice")
        versions = self._versions.get(spec.name, {})
        if choice is None:
            available = [number for number, version in versions.items() if version.state == "AVAILABLE"]
            if not available:
                raise ServingError("NOT_FOUND", f"Servable not found for request: Latest({spec.name})")
            return versions[max(available)]
        number = spec.version.value if choice == "version" else self._labelled(spec.name, spec.version_label)
        if number not in versions or versions[number].state != "AVAILABLE":
            raise ServingError("NOT_FOUND", f"Servable not found for request: Specific({spec.name}, {number})")
        return versions[number]

    def _labelled(self, name: str, label: str) -> int:
        labels = self._labels.get(name, {})
        if label not in labels:
            raise ServingError("INVALID_ARGUMENT", f"Unrecognized servable version label: {label}")
        return labels[label]

    def _check_labels(self, model: ModelSettings) -> None:
        """A label may move to a version only when that is available, or callers of the label would find nothing."""
        before = self._labels.get(model.name, {})
        for label, number in model.labels.items():
            version = self._versions.get(model.name, {}).get(number)
            if (version and version.state == "AVAILABLE") or (self._labels_before_available and before.get(label, number) == number):
                continue
            raise ServingError(
                "FAILED_PRECONDITION",
                f"Request to assign label to version {number} of model {model.name}, which is not currently available for inference",
            )

    def _await_available(self, names: set[str], still_wanted: Callable[[], bool]) -> None:
        def reached(name: str) -> list[Version]:
            versions = self._versions.get(name, {}).values()
            return [version for version in versions if version.aspired and version.state in ("AVAILABLE", "END")]

        while not self._stopped and still_wanted() and not all(reached(name) for name in names):
            self._changed.wait(0.5)
        failed = [version for name in sorted(names) for version in reached(name) if all(other.state == "END" for other in reached(name))]
        if failed:
            reasons = ", ".join(
                f"{{name: {version.name} version: {version.number}}}"
                + (f" due to error: {version.error.code}: {version.error.message}" if version.error else "")
                for version in failed
            )
            raise ServingError("UNKNOWN", f"{len(failed)} servable(s) did not become available: {{{reasons}}}")

    def _work(self) -> None:
        while not self._stopped:
            now = time.monotonic()
            if now >= self._poll_at:
                self._poll()
            self._close_drained()
            action = self._next(now)
            if action is None:
                self._rest()
            elif action[0] == "load":
                self._load(action[1])
            else:
                self._unload(action[1])

    def _next(self, now: float) -> tuple[Literal["load", "unload"], Version] | None:
        with self._changed:
            for versions in self._versions.values():
                action = next_action(versions.values(), now)
                if action:
                    return action
        return None

    def _rest(self) -> None:
        """Wait for the next poll or retry, or for a change."""
        with self._changed:
            if self._stopped or self._drained() or self._poll_at == 0:
                return
            versions = [version for versions in self._versions.values() for version in versions.values()]
            due = min([self._poll_at, *(version.retry_at for version in versions if version.state == "LOADING" and version.aspired)])
            wait_s = due - time.monotonic()
            if wait_s > 0:
                self._changed.wait(min(wait_s, threading.TIMEOUT_MAX))

    def _poll(self) -> None:
        """Look which versions there are. A path that cannot be read leaves everything as it is."""
        with self._changed:
            settings = self._settings
            self._poll_at = time.monotonic() + self._pace.poll_s if self._pace.poll_s > 0 else float("inf")
        aspired: dict[str, Mapping[int, Path]] = {}
        for model in settings:
            try:
                offered = config.offered_versions(model.base_path)
            except ServingError as error:
                self._complain(model.name, error.message)
                continue
            aspired[model.name] = config.chosen_versions(model.policy, offered)
            missing = sorted((model.policy.specific or set()) - aspired[model.name].keys())
            what = f"versions {', '.join(map(str, missing))} are" if missing else "no version, a folder named as a number, is"
            complain = missing or not aspired[model.name]
            self._complain(model.name, f"{what} not there under {model.base_path}" if complain else "")
        with self._changed:
            if settings is self._settings:
                for name in self._versions.keys() - {model.name for model in settings}:
                    self._aspire(name, {})
                for name, paths in aspired.items():
                    self._aspire(name, paths)
                self._changed.notify_all()

    def _complain(self, name: str, complaint: str) -> None:
        """Say what is wrong with a model's folder, once."""
        if complaint and self._complaints.get(name) != complaint:
            log(f"model {name}: {complaint}")
        self._complaints[name] = complaint

    def _aspire(self, name: str, paths: Mapping[int, Path]) -> None:
        versions = self._versions.setdefault(name, {})
        for number, version in versions.items():
            if number not in paths:
                version.aspired = False
                if version.state in ("START", "LOADING"):
                    version.state = "END"
        for number, path in paths.items():
            known = versions.get(number)
            if known is None or (known.state == "END" and not known.aspired):
                versions[number] = Version(name, number, path)
            else:
                known.aspired = True

    def _load(self, version: Version) -> None:
        with self._changed:
            version.state = "LOADING"
        started = time.monotonic()
        error = None
        try:
            servable = self._load_servable(version.name, version.number, version.path)
        except ServingError as failure:
            error = failure
        except Exception as failure:
            error = ServingError("INTERNAL", f"{type(failure).__name__}: {failure}")
        with self._changed:
            if error is None:
                version.servable, version.state, version.error = servable, "AVAILABLE", None
                log(f"version {version.number} of {version.name} is available, loaded in {time.monotonic() - started:.1f} s")
            else:
                self._note_failure(version, error)
            self._changed.notify_all()

    def _note_failure(self, version: Version, error: ServingError) -> None:
        version.error = error
        version.failures += 1
        again = version.failures <= self._pace.max_load_retries
        if again:
            version.retry_at = time.monotonic() + max(self._pace.retry_interval_s, 0)
            then = f"trying again in {self._pace.retry_interval_s:.0f} s ({version.failures} of {self._pace.max_load_retries})"
        else:
            version.state = "END"
            then = "giving it up"
        log(f"version {version.number} of {version.name} does not load: {error.code}: {error.message}; {then}")

    def _unload(self, version: Version) -> None:
        with self._changed:
            version.state = "UNLOADING"

    def _drained(self) -> list[Version]:
        versions = (version for versions in self._versions.values() for version in versions.values())
        return [version for version in versions if version.state == "UNLOADING" and not version.in_flight]

    def _close_drained(self) -> None:
        with self._changed:
            drained = self._drained()
        for version in drained:
            version.servable.close()
            with self._changed:
                version.servable, version.state = None, "END"
                self._changed.notify_all()
            log(f"version {version.number} of {version.name} is unloaded")
