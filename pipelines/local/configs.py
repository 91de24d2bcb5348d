"""What ConfigMaps and Secrets among the files give to parameters, variables and volumes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipelines.language import gotext, tags
from pipelines.language.errors import EvaluationError
from pipelines.local import document, references
from pipelines.local.errors import Problem
from pipelines.local.references import Objects

# What refers to an object: the field, the object's kind, and the field of its name.
_KEYS = (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret"))
_SOURCES = (("configMapRef", "ConfigMap"), ("secretRef", "Secret"))
_VOLUMES = (("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName"))
# A parameter is read only from ConfigMaps that say that they hold parameters.
_LABEL, _LABELLED = "workflows.argoproj.io/configmap-type", "Parameter"
# What a process can know of its pod.
_POD_FIELDS = {"metadata.name": "", "metadata.namespace": "default", "status.podIP": "127.0.0.1", "status.hostIP": "127.0.0.1"}


def entries(objects: Objects, kind: str, name: str) -> dict[str, bytes] | None:
    """What a ConfigMap or a Secret holds; None where there is none of that name. Raises EvaluationError for a broken one."""
    found = references.find(objects, kind, name)
    if found is None:
        return None
    sections = ("data", "stringData") if kind == "Secret" else ("data", "binaryData")
    encoded = sections[0] if kind == "Secret" else sections[1]
    held: dict[str, bytes] = {}
    for section in sections:
        rows = found.get(section) or {}
        if not isinstance(rows, dict):
            raise EvaluationError(f"{kind} {name}: {section}: expected a map")
        for key, text in rows.items():
            try:
                held[key] = base64.b64decode(text, validate=True) if section == encoded else gotext.any_string(text).encode()
            except (binascii.Error, TypeError, ValueError):
                raise EvaluationError(f"{kind} {name}: {section}.{key}: expected base64, got {gotext.any_string(text)[:40]!r}") from None
    return held


def value_of(objects: Objects, kind: str, reference: Mapping[str, Any]) -> str | None:
    """The value of a key; None for an optional one that is not there. Raises EvaluationError."""
    name, key = reference.get("name", ""), reference["key"]
    held = entries(objects, kind, name)
    if held is not None and key in held:
        return held[key].decode(errors="replace")
    if reference.get("optional"):
        return None
    missing = f"the {kind} {name!r} has no key {key!r}" if held is not None else _absent(kind, name)
    raise EvaluationError(missing)


def _absent(kind: str, name: str) -> str:
    return f"there is no {kind} {name!r} among the files; name the file that holds it after the workflow's"


def parameter(objects: Objects, declared: Mapping[str, Any], known: Mapping[str, Any]) -> Mapping[str, Any]:
    """A parameter with the value that a ConfigMap has for it, or its default, in it. Raises EvaluationError."""
    source = declared.get("valueFrom") or {}
    reference = source.get("configMapKeyRef")
    if reference is None or "value" in declared:
        return declared
    reference = tags.replace(dict(reference), tags.Variables(known), tags.everything)
    try:
        holder = references.find(objects, "ConfigMap", reference.get("name", "")) or {}
        value = value_of(objects, "ConfigMap", reference)
        labels = (holder.get("metadata") or {}).get("labels") or {}
        if value is not None and labels.get(_LABEL) != _LABELLED:
            name = document.name_of(holder)
            raise EvaluationError(f"the ConfigMap {name!r} needs the label {_LABEL}: {_LABELLED} to give values to parameters")
    except EvaluationError:
        if source.get("default") is None:
            raise
        value = gotext.any_string(source["default"])
    return {**declared, "value": value or ""}


def with_parameters(workflow: Mapping[str, Any], objects: Objects, places: Mapping[str, str]) -> tuple[dict[str, Any], list[Problem]]:
    """A workflow with the values of ConfigMaps in its arguments and its templates' inputs, and what could not be found."""
    problems: list[Problem] = []

    def filled(section: Mapping[str, Any], known: Mapping[str, Any], path: str) -> dict[str, Any]:
        rows = []
        for place, declared in enumerate(section.get("parameters") or []):
            rows.append(declared)
            try:
                rows[-1] = parameter(objects, declared, known)
            except EvaluationError as error:
                problems.append(Problem(f"{path}.parameters[{place}].valueFrom.configMapKeyRef", str(error)))
        return {**section, "parameters": rows}

    spec = dict(workflow["spec"])
    if "arguments" in spec:
        spec["arguments"] = filled(spec["arguments"], {}, "spec.arguments")
    rows = (spec.get("arguments") or {}).get("parameters") or []
    known = {f"workflow.parameters.{row['name']}": gotext.any_string(row["value"]) for row in rows if "value" in row}
    listed = []
    for place, template in enumerate(spec.get("templates") or []):
        path = f"{places.get(template.get('name', ''), f'spec.templates[{place}]')}.inputs"
        listed.append({**template, "inputs": filled(template["inputs"], known, path)} if "inputs" in template else template)
    return {**workflow, "spec": {**spec, "templates": listed}}, problems


def environment(objects: Objects, container: Mapping[str, Any], pod: str, expanded: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """The variables of a container in their order; `expanded` replaces $(NAME) in values written down. Raises EvaluationError."""
    for source in container.get("envFrom") or []:
        for field, kind in _SOURCES:
            held = entries(objects, kind, source[field].get("name", "")) if field in source else None
            for key, content in (held or {}).items():
                yield f"{source.get('prefix') or ''}{key}", content.decode(errors="replace")
    for entry in container.get("env") or []:
        source = entry.get("valueFrom")
        if not source:
            yield entry["name"], expanded(gotext.any_string(entry.get("value", "")))
        elif "fieldRef" in source:
            yield entry["name"], _POD_FIELDS[source["fieldRef"]["fieldPath"]] or pod
        for field, kind in _KEYS if source else ():
            value = value_of(objects, kind, source[field]) if field in source else None
            if value is not None:
                yield entry["name"], value


def files(objects: Objects, volume: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of a volume made of a ConfigMap or a Secret, by their paths in it. Raises EvaluationError."""
    found: dict[str, bytes] = {}
    for field, kind, named in _VOLUMES:
        source = volume.get(field)
        if source is None:
            continue
        held = entries(objects, kind, source.get(named, "")) or {}
        chosen = source.get("items") or [{"key": key, "path": key} for key in held]
        found |= {item["path"]: held[item["key"]] for item in chosen if item["key"] in held}
    return found


def of_container(objects: Objects, container: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """What the variables of a container name and is not there."""
    for place, source in enumerate(container.get("envFrom") or []):
        for field, kind in _SOURCES:
            reference = source.get(field)
            if reference and not reference.get("optional"):
                yield from _needed(objects, kind, reference.get("name", ""), f"{path}.envFrom[{place}].{field}")
    for place, entry in enumerate(container.get("env") or []):
        source = entry.get("valueFrom") or {}
        where = f"{path}.env[{place}].valueFrom"
        if "fieldRef" in source and source["fieldRef"]["fieldPath"] not in _POD_FIELDS:
            yield Problem(f"{where}.fieldRef.fieldPath", f"expected one of {', '.join(_POD_FIELDS)}, which a process can know")
        for field, kind in _KEYS:
            if field in source and "{{" not in gotext.json_text(source[field]):
                try:
                    value_of(objects, kind, source[field])
                except EvaluationError as error:
                    yield Problem(f"{where}.{field}", str(error))


def of_volumes(objects: Objects, volumes: list[Mapping[str, Any]], path: str) -> Iterator[Problem]:
    """What volumes name and is not there."""
    for place, volume in enumerate(volumes):
        for field, kind, named in _VOLUMES:
            source = volume.get(field)
            if source and not source.get("optional"):
                yield from _needed(objects, kind, source.get(named, ""), f"{path}[{place}].{field}")


def is_given(volume: Mapping[str, Any]) -> bool:
    """Whether a volume is made of a ConfigMap or a Secret."""
    return any(field in volume for field, _, _ in _VOLUMES)


def _needed(objects: Objects, kind: str, name: str, path: str) -> Iterator[Problem]:
    if "{{" in name:
        return
    try:
        if entries(objects, kind, name) is None:
            yield Problem(path, _absent(kind, name))
    except EvaluationError as error:
        yield Problem(path, str(error))


def volumes_of(spec: Mapping[str, Any], template: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Every volume that a template may mount, by its name; its own hide those of the workflow."""
    declared: dict[str, Mapping[str, Any]] = {claim["metadata"].get("name", ""): claim for claim in spec.get("volumeClaimTemplates") or []}
    return declared | {volume["name"]: volume for volume in [*(spec.get("volumes") or []), *(template.get("volumes") or [])]}
