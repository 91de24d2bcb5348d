"""A workflow from its YAML, read as Kubernetes reads it: JSON values only, `n`, `y`, `on` and `off` booleans, no dates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from pipelines.language import scalars
from pipelines.local.errors import UnreadableWorkflow

# What can be run, the first kind first where a file holds more than one.
KINDS = ("Workflow", "CronWorkflow", "WorkflowTemplate", "ClusterWorkflowTemplate")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MOST_VALUES, _DEEPEST = 1_000_000, 200
_STRING = "tag:yaml.org,2002:str"


def load(source: str | Path) -> dict[str, Any]:
    """The one Workflow, CronWorkflow or WorkflowTemplate of a file or of YAML text. Raises UnreadableWorkflow."""
    return load_with(source)[0]


def load_with(source: str | Path, *more: str | Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The one workflow of the first file, and every object of all files: what the workflow may refer to. Raises UnreadableWorkflow."""
    first = _objects(source)
    runnable = [[value for value in first if isinstance(value, dict) and value.get("kind") == kind] for kind in KINDS]
    found: list[dict[str, Any]] = next(filter(None, runnable), [])
    if len(found) != 1:
        kinds = ", ".join(str(value.get("kind", "no kind")) if isinstance(value, dict) else "no object" for value in first) or "nothing"
        raise UnreadableWorkflow(f"{_where(source)}: expected one object of kind {', '.join(KINDS[:-1])} or {KINDS[-1]}, got {kinds}")
    rest = [value for one in more for value in _objects(one)]
    return found[0], [without_nulls(value) for value in [*first, *rest] if isinstance(value, dict)]


def name_of(value: Mapping[str, Any]) -> str:
    """The name of an object of which nobody knows yet whether it is in order; empty where it has none."""
    metadata = value.get("metadata")
    return str(metadata.get("name") or "") if isinstance(metadata, dict) else ""


def _objects(source: str | Path) -> list[Any]:
    return [value for value in _values(_text(source), _where(source)) if value is not None]


def _where(source: str | Path) -> str:
    return "the text" if isinstance(source, str) and ("\n" in source or ":" in source) else str(source)


def _text(source: str | Path) -> str:
    if isinstance(source, str) and ("\n" in source or ":" in source):
        return source
    try:
        return Path(source).read_text()
    except (OSError, ValueError) as error:
        raise UnreadableWorkflow(f"{source}: cannot be read as text: {error}") from None


def _values(text: str, where: str) -> list[Any]:
    reading = _Reading(where, text)
    try:
        return reading.documents()
    except yaml.YAMLError as error:
        raise UnreadableWorkflow(f"{where}: no YAML: {' '.join(str(error).split())}") from None


class _Reading:
    """Makes plain values of YAML's events. Depth is bounded, and what an alias repeats counts each time: no bomb goes off."""

    def __init__(self, where: str, text: str) -> None:
        self._where, self._count = where, 0
        # yaml's own types do not tell scalars, aliases and starts apart.
        self._events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
        self._anchors: dict[str, tuple[Any, int]] = {}

    def documents(self) -> list[Any]:
        """The value of each document."""
        found = []
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors = {}
                found.append(self._value(next(self._events), "", 0))
        return found

    def _value(self, event: Any, path: str, depth: int) -> Any:
        before = self._count
        self._count += 1
        if depth > _DEEPEST:
            self._fail(event, f"nested more than {_DEEPEST} deep")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                self._fail(event, f"{path}: the alias *{event.anchor} names nothing that is complete before it")
            value, count = self._anchors[str(event.anchor)]
            self._count += count
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(path, depth)
        elif isinstance(event, yaml.MappingStartEvent):
            value = self._mapping(path, depth)
        else:
            value = self._scalar(event, path)
        if self._count > _MOST_VALUES:
            self._fail(event, f"more than {_MOST_VALUES} values, aliases counted each time they are used")
        if not isinstance(event, yaml.AliasEvent) and event.anchor:
            self._anchors[event.anchor] = (value, self._count - before)
        return value

    def _sequence(self, path: str, depth: int) -> list[Any]:
        result: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            result.append(self._value(event, f"{path}[{len(result)}]", depth + 1))
        return result

    def _mapping(self, path: str, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._fail(event, f"{path}: a key must be text")
            key = str(event.value) if event.style else scalars.key(str(event.value))
            inner_path = f"{path}.{key}".lstrip(".")
            inner = self._value(next(self._events), inner_path, depth + 1)
            if key == "<<" and not event.style:
                for one in inner if isinstance(inner, list) else [inner]:
                    merged = {**(one if isinstance(one, dict) else {}), **merged}
            elif key in result:
                self._fail(event, f"{inner_path}: the key is there twice")
            else:
                result[key] = inner
        return {**merged, **result}

    def _scalar(self, event: Any, path: str) -> Any:
        text = str(event.value)
        if event.tag and event.tag != "!" and event.tag != _STRING:
            self._fail(event, f"{path}: the tag {event.tag} is not known")
        if event.style or event.tag:
            return text
        try:
            return scalars.plain(text)
        except OverflowError as error:
            return self._fail(event, f"{path}: {error}")

    def _fail(self, event: Any, message: str) -> Any:
        raise UnreadableWorkflow(f"{self._where}:{event.start_mark.line + 1}: {message}")


def without_nulls(value: Any) -> Any:
    """A copy without fields that are null: Kubernetes takes them for absent. What a loop's items hold stays."""
    if isinstance(value, dict):
        return {key: inner if key == "withItems" else without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def submitted(workflow: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """The workflow as it is submitted: a template becomes a Workflow, and the given parameters take the place of its own.

    A parameter that the workflow does not have is added, as `argo submit` does.
    """
    spec = dict(workflow.get("spec") or {})
    own = (spec.get("arguments") or {}).get("parameters") or []
    merged = [
        {"name": parameter["name"], "value": parameters[parameter["name"]]} if parameter["name"] in parameters else parameter
        for parameter in own
    ]
    names = {parameter["name"] for parameter in own}
    merged += [{"name": name, "value": value} for name, value in parameters.items() if name not in names]
    if merged:
        spec["arguments"] = {**(spec.get("arguments") or {}), "parameters": merged}
    metadata = dict(workflow.get("metadata") or {})
    if workflow.get("kind") != "Workflow" and "name" in metadata:
        metadata["generateName"] = f"{metadata.pop('name')}-"
    return {**workflow, "kind": "Workflow", "metadata": metadata, "spec": spec}
