"""Passwords in plain text, keys that a ConfigMap or Secret among the files does not have, and texts too long for a process."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.check.fields import near
from pipelines.check.findings import Path, Problem
from pipelines.check.model import Flow
from pipelines.check.pods import containers

_SECRET_NAME = re.compile(
    r"(^|[_-])(password|passwd|pass|pwd|passphrase|token|secret|credentials?|api_?key|(access|private|secret|client)_?(key|secret))$",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SECRET_VALUE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b|\bxox[baprs]-[A-Za-z0-9-]{10,}"
    r"|--(password|token|api-key|secret)[= ]['\"]?[^\s'\"${}<-]{4,}|://[^/\s:@{}$<]+:[^/\s:@{}$<]{3,}@"
    r"|\bglpat-[A-Za-z0-9_-]{20}|\bsk-[A-Za-z0-9_-]{32,}|\bAIza[0-9A-Za-z_-]{35}\b"
)
# A field such as S3_SECRET may hold the name of a Secret, which most often has hyphens.
_OF_SECRETS, _SECRET_S_NAME = re.compile(r"(?<!client)[_-]?(secret|credentials?)$", re.IGNORECASE), re.compile(r"[a-z0-9.]+(-[a-z0-9.]+)+")
_PLACEHOLDER = re.compile(r"|[<$].*|none|null|changeme|xxx+|\*+|todo|/.*", re.IGNORECASE)
# The most that Linux takes as one argument or one variable of the environment (MAX_ARG_STRLEN).
_LONGEST_BYTES = 131_072


def problems(flow: Flow) -> Iterator[Problem]:
    """What is wrong with the values that a workflow gives to its containers."""
    parameters = flow.spec.get("arguments", {}).get("parameters", [])
    yield from _parameters(flow, parameters, (*flow.path, "arguments", "parameters"))
    for target in flow.every:
        yield from _parameters(flow, target.inputs("parameters"), (*target.path, "inputs", "parameters"))
        for call in target.calls:
            given = call.holder.get("arguments", {}).get("parameters", [])
            yield from _parameters(flow, given, (*call.path, "arguments", "parameters"))
        for path, container in containers(target):
            yield from _container(flow, container, path)
    for path, text in _all_texts(flow.spec, flow.path):
        if len(text) >= 20 and _SECRET_VALUE.search(text):
            yield _plain(path, "a password or key stands here in plain text")


def _all_texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _all_texts(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _all_texts(inner, (*path, number))


def _parameters(flow: Flow, parameters: list[dict[str, Any]], path: Path) -> Iterator[Problem]:
    for number, parameter in enumerate(parameters):
        for field in ("value", "default"):
            text = parameter.get(field, "")
            yield from _named(parameter.get("name", ""), text, (*path, number, field))
            yield from _length(text, (*path, number, field))
        reference = parameter.get("valueFrom", {}).get("configMapKeyRef")
        if reference and "default" not in parameter["valueFrom"]:
            yield from _key(flow, "ConfigMap", reference, (*path, number, "valueFrom", "configMapKeyRef"))


def _container(flow: Flow, container: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    for number, entry in enumerate(container.get("env", [])):
        where = (*path, "env", number)
        text = entry.get("value", "")
        yield from _named(entry.get("name", ""), text, (*where, "value"))
        yield from _length(text, (*where, "value"))
        for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            reference = entry.get("valueFrom", {}).get(field)
            if reference:
                yield from _key(flow, kind, reference, (*where, "valueFrom", field))
    for field in ("command", "args"):
        for number, text in enumerate(container.get(field, [])):
            yield from _length(text, (*path, field, number))


def _named(name: str, value: str, path: Path) -> Iterator[Problem]:
    if not _SECRET_NAME.search(_CAMEL.sub("_", name)) or "{{" in value or _PLACEHOLDER.fullmatch(value) or value.isdigit():
        return
    if not (_OF_SECRETS.search(name) and _SECRET_S_NAME.fullmatch(value)):
        yield _plain(path, f"{name} stands here in plain text")


def _plain(path: Path, message: str) -> Problem:
    return Problem(
        "plain-secret", path, f"{message}, for everyone who may read workflows", "put it into a Secret, and use valueFrom.secretKeyRef"
    )


def _length(text: str, path: Path) -> Iterator[Problem]:
    """Argo v4.0.7 writes a long argument of a container to a file and hands over @FILE; nothing else of that length can start."""
    size = len(text.encode(errors="replace")) if len(text) * 4 > _LONGEST_BYTES else 0
    if size >= _LONGEST_BYTES:
        message = f"{size:,} bytes: Linux takes at most {_LONGEST_BYTES - 1:,} as one argument or variable"
        message += "" if path[-1] == "command" or "env" in path else "; as an argument, the program gets @/tmp/argo_arg_N.txt instead"
        yield Problem("argument-size", path, message, "hand it over as an artifact, such as raw")


def _key(flow: Flow, kind: str, reference: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    name, key = str(reference.get("name", "")), str(reference.get("key", ""))
    if reference.get("optional") or "{{" in name + key:
        return
    for _, value in flow.library.objects(kind):
        metadata = value.get("metadata")
        if not isinstance(metadata, dict) or metadata.get("name") != name:
            continue
        if flow.namespace and metadata.get("namespace", flow.namespace) != flow.namespace:
            continue
        held = [part for field in ("data", "stringData", "binaryData") if isinstance(part := value.get(field), dict)]
        keys = [str(one) for part in held for one in part]
        if key not in keys:
            yield Problem("unknown-key", (*path, "key"), f"the {kind} {name!r} has no key {key!r}", near(key, keys))
