"""Resource templates: manifests that cannot be read, and types that change when tags are replaced."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.check.findings import Path, Problem, UnreadableInput
from pipelines.check.model import Flow, Target
from pipelines.check.reading import Document, Place, documents

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


def _resource(target: Target, path: Path) -> Iterator[Problem]:
    resource = target.template["resource"]
    text, action = resource.get("manifest", ""), resource.get("action", "")
    if text and "manifestFrom" in resource:
        yield Problem("bad-manifest", (*path, "manifestFrom"), "a resource has a manifest or a manifestFrom", "remove one of the two")
    if not text:
        if action in _WITH_MANIFEST and "manifestFrom" not in resource and not resource.get("flags"):
            yield Problem("bad-manifest", path, f"nothing says what to {action}", "write manifest or manifestFrom")
        return
    found = read(text)
    if isinstance(found, UnreadableInput):
        offset = sum(len(line) + 1 for line in text.split("\n")[: found.line - 1])
        yield Problem("bad-manifest", (*path, "manifest"), f"the manifest is {found.message}", "write YAML", offset)
        return
    found_tags = list(_TAG.finditer(text))
    for document in found:
        yield from _whole(document.value, action, bool(resource.get("flags")), (*path, "manifest"))
        yield from _types(document, found_tags, (*path, "manifest"))


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


def _types(document: Document, found: list[re.Match[str]], path: Path) -> Iterator[Problem]:
    if isinstance(document.value, dict) and str(document.value.get("apiVersion", "")).startswith("argoproj.io/"):
        return
    for field, owner, place, number in _stand_ins(document.value, document.place, "", ""):
        if number >= len(found):
            continue
        offset = found[number].start()
        if place.style in ("'", '"') and ((field in _NUMBERS and (field != "port" or owner == "ports")) or field in _BOOLEANS):
            word = "number" if field in _NUMBERS else "boolean"
            message = f"{field} is a {word}, and the quotes make it text"
            yield Problem("manifest-type", path, message, f"write the tag without quotes: {field}: {{{{...}}}}", offset)
        elif not place.style and _FREE.match(found[number][0]) and (owner in _TEXTS or (field == "value" and owner == "env")):
            message = f"{owner or field} holds text, and a value such as 1 or true becomes a number or a boolean"
            yield Problem("manifest-text", path, message, 'put the tag in quotes: "{{...}}"', offset)


def _stand_ins(value: Any, place: Place, field: str, owner: str) -> Iterator[tuple[str, str, Place, int]]:
    """The scalars that are one tag: field, the field around it, place, the tag's number."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _stand_ins(inner, place.members[key], key, field)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _stand_ins(inner, place.items[number], field, field)
    elif isinstance(value, str) and (match := _STAND_IN.fullmatch(value)):
        yield field, owner, place, int(match[1])


def kinds(target: Target) -> Iterator[Mapping[str, Any]]:
    """The objects that a resource template is about, as far as its manifest tells."""
    found = read(target.template["resource"].get("manifest", ""))
    if not isinstance(found, UnreadableInput):
        yield from (document.value for document in found if isinstance(document.value, dict))
