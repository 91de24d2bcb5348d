"""Resource templates and the like: manifests that cannot be read, types that change when tags are replaced, servers that nobody names."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.check.findings import Path, Problem, UnreadableInput
from pipelines.check.model import Flow, Target
from pipelines.check.reading import Document, Place, documents
from pipelines.language import selectors
from pipelines.language.errors import EvaluationError

_TAG = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_STAND_IN = re.compile(r"argotag(\d+)")
# Tags that may stand for anything; the workflow's name, say, is no number.
_FREE = re.compile(r"\{\{(=| *(inputs|workflow\.parameters|item|steps|tasks))")
_WITH_MANIFEST = ("create", "apply", "replace", "patch")
_NUMBER_FIELDS = """
    replicas containerPort hostPort nodePort parallelism completions backoffLimit activeDeadlineSeconds ttlSecondsAfterFinished
    terminationGracePeriodSeconds minReplicas maxReplicas runAsUser runAsGroup fsGroup initialDelaySeconds periodSeconds timeoutSeconds
    failureThreshold successThreshold revisionHistoryLimit progressDeadlineSeconds minReadySeconds port
"""
_NUMBERS = frozenset(_NUMBER_FIELDS.split())
_BOOLEANS = frozenset(("suspend", "privileged", "runAsNonRoot", "hostNetwork", "readOnly", "automountServiceAccountToken", "immutable"))
# Fields whose parts must be text.
_TEXTS = frozenset(("labels", "annotations", "matchLabels", "nodeSelector", "data", "stringData", "command", "args"))


def problems(flow: Flow) -> Iterator[Problem]:
    """What is wrong with the manifests of a workflow's resource templates."""
    for target in flow.every:
        if target.kind == "resource":
            yield from _resource(target, (*target.path, "resource"))
        yield from _elsewhere(target)


def _elsewhere(target: Target) -> Iterator[Problem]:
    """What is asked of others than the cluster: of a server, of a bucket, of a repository."""
    url = target.template.get("http", {}).get("url", "https://")
    if not url.startswith(("http://", "https://", "{{")):
        yield Problem("unknown-value", (*target.path, "http", "url"), f"{url!r} names no server", "begin it with http:// or https://")
    listed = target.template.get("data", {}).get("source", {}).get("artifactPaths", {})
    if "s3" in listed and not listed["s3"].get("bucket"):
        where = (*target.path, "data", "source", "artifactPaths", "s3", "bucket")
        yield Problem("missing-field", where, "the default repository's bucket is not used to list artifacts", "write bucket")
    for number, artifact in enumerate(target.inputs("artifacts")):
        if artifact.get("git", {}).get("singleBranch") and not artifact["git"].get("branch"):
            where = (*target.path, "inputs", "artifacts", number, "git", "branch")
            yield Problem("missing-field", where, "nothing says which branch is the single one", "write branch")


def _resource(target: Target, path: Path) -> Iterator[Problem]:
    resource = target.template["resource"]
    text, action = resource.get("manifest", ""), resource.get("action", "")
    yield from _conditions(target, resource, path)
    if text and "manifestFrom" in resource:
        yield Problem("bad-manifest", (*path, "manifestFrom"), "a resource has a manifest or a manifestFrom", "remove one of the two")
    if not text:
        if action in _WITH_MANIFEST and "manifestFrom" not in resource and not resource.get("flags"):
            yield Problem("bad-manifest", path, f"nothing says what to {action}", "write manifest or manifestFrom")
        return
    found = read(text)
    if isinstance(found, UnreadableInput):
        offset = _line_start(text, found.line)
        yield Problem("bad-manifest", (*path, "manifest"), f"the manifest is {found.message}", "write YAML", offset)
        return
    tags = _TAG.findall(text)
    for document in found:
        yield from _whole(document.value, action, bool(resource.get("flags")), (*path, "manifest"))
        yield from _types(document, text, tags, (*path, "manifest"))


def _conditions(target: Target, resource: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    deletes = resource.get("action") == "delete"
    for field in ("successCondition", "failureCondition"):
        text = resource.get(field, "")
        if text and deletes:
            yield Problem("misplaced-field", (*path, field), "what is deleted has no condition: the step fails", "remove it")
        elif text and "{{" not in text:
            try:
                selectors.parsed(text)
            except EvaluationError as error:
                yield Problem("broken-condition", (*path, field), str(error), "write such as status.succeeded > 0, status.phase == Done")
    if deletes and target.outputs("parameters"):
        yield Problem("bad-output", (*target.path, "outputs"), "what is deleted has no outputs: the step fails", "remove them")


@functools.lru_cache(maxsize=64)
def read(text: str) -> tuple[Document, ...] | UnreadableInput:
    """The objects of a manifest, with a word in the place of each tag."""
    numbers = iter(range(text.count("{{")))
    try:
        return tuple(documents(_TAG.sub(lambda _: f"argotag{next(numbers)}", text), "manifest"))
    except UnreadableInput as error:
        return error


def _whole(value: Any, action: str, has_flags: bool, path: Path) -> Iterator[Problem]:
    if action not in ("create", "apply", "replace") or (isinstance(value, str) and _STAND_IN.search(value)):
        return
    if not isinstance(value, dict):
        yield Problem("bad-manifest", path, "the manifest is no object", "write apiVersion, kind and metadata")
        return
    missing = [field for field in ("apiVersion", "kind", "metadata") if not value.get(field)]
    if missing and not has_flags:
        yield Problem("bad-manifest", path, f"the manifest has no {' and no '.join(missing)}", f"write {', '.join(missing)}")
    metadata = value.get("metadata")
    if action != "create" and isinstance(metadata, dict) and "generateName" in metadata and "name" not in metadata:
        yield Problem("bad-manifest", path, f"{action} needs a name, and there is generateName", "write metadata.name, or create")


def _types(document: Document, text: str, tags: list[str], path: Path) -> Iterator[Problem]:
    value = document.value
    if not isinstance(value, dict) or str(value.get("apiVersion", "")).startswith("argoproj.io/"):
        return
    holds_text = value.get("kind") in ("ConfigMap", "Secret")
    for scalar in _scalars(value, document.place, "", ""):
        match = _STAND_IN.fullmatch(scalar.value) if isinstance(scalar.value, str) else None
        tag = tags[int(match[1])] if match and int(match[1]) < len(tags) else ""
        owned = scalar.owner in _TEXTS and (scalar.owner != "data" or holds_text)
        offset = _line_start(text, scalar.place.line)
        yield from _type(scalar, tag, owned or (scalar.field == "value" and scalar.owner == "env"), path, offset)


def _line_start(text: str, line: int) -> int:
    return sum(len(one) + 1 for one in text.split("\n")[: line - 1])


@dataclass(frozen=True)
class _Scalar:
    """A scalar of a manifest, its field and the field around it."""

    field: str
    owner: str
    value: Any
    place: Place


def _type(scalar: _Scalar, tag: str, must_be_text: bool, path: Path, offset: int) -> Iterator[Problem]:
    field, shown = scalar.field, tag or str(scalar.value)
    number = field in _NUMBERS and (field != "port" or scalar.owner == "ports")
    if scalar.place.style in ("'", '"') and (tag or str(scalar.value).isdigit()) and (number or field in _BOOLEANS):
        message = f"{field} is a {'number' if number else 'boolean'}, and the quotes make it text"
        yield Problem("manifest-type", path, message, f"write it without quotes: {field}: {shown}", offset)
    elif must_be_text and not isinstance(scalar.value, str):
        message = f"{scalar.owner or field} holds text, and {shown} is none"
        yield Problem("manifest-type", path, message, f'put it in quotes: "{shown}"', offset)
    elif must_be_text and not scalar.place.style and _FREE.match(tag):
        message = f"{scalar.owner or field} holds text, and a value such as 1 or true becomes a number or a boolean"
        yield Problem("manifest-text", path, message, f'put the tag in quotes: "{shown}"', offset)


def _scalars(value: Any, place: Place, field: str, owner: str) -> Iterator[_Scalar]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _scalars(inner, place.members[key], key, field)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _scalars(inner, place.items[number], field, field)
    else:
        yield _Scalar(field, owner, value, place)


def kinds(target: Target) -> Iterator[Mapping[str, Any]]:
    """The objects that a resource template is about, as far as its manifest tells."""
    found = read(target.template["resource"].get("manifest", ""))
    if not isinstance(found, UnreadableInput):
        yield from (document.value for document in found if isinstance(document.value, dict))
