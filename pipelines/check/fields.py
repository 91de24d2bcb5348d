"""Fields by Argo's schema: unknown names, wrong types, missing fields, values that are not among those allowed.

What is left is clean: the other rules may take every value for the type that the schema gives it.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path as File
from typing import Any

from pipelines.check.findings import Path, Problem
from pipelines.check.reading import Place
from pipelines.language import gotext

_QUANTITY = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?\d+)?")
_POLICIES = ("Always", "OnFailure", "OnError", "OnTransientError")
# The values that a field may have; those with an empty text may be left empty.
_CHOICES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("RetryStrategy", "retryPolicy"): ("", *_POLICIES),
    ("PodGC", "strategy"): ("", "OnPodCompletion", "OnPodSuccess", "OnWorkflowCompletion", "OnWorkflowSuccess"),
    ("ArtifactGC", "strategy"): ("", "OnWorkflowCompletion", "OnWorkflowDeletion", "Never"),
    ("WorkflowLevelArtifactGC", "strategy"): ("", "OnWorkflowCompletion", "OnWorkflowDeletion", "Never"),
    ("VolumeClaimGC", "strategy"): ("", "OnWorkflowCompletion", "OnWorkflowSuccess"),
    ("CronWorkflowSpec", "concurrencyPolicy"): ("", "Allow", "Forbid", "Replace"),
    ("ResourceTemplate", "action"): ("get", "create", "apply", "delete", "replace", "patch"),
    ("ResourceTemplate", "mergeStrategy"): ("", "strategic", "merge", "json"),
    ("k8s.Container", "imagePullPolicy"): ("", "Always", "IfNotPresent", "Never"),
    ("ScriptTemplate", "imagePullPolicy"): ("", "Always", "IfNotPresent", "Never"),
    ("UserContainer", "imagePullPolicy"): ("", "Always", "IfNotPresent", "Never"),
    ("ContainerNode", "imagePullPolicy"): ("", "Always", "IfNotPresent", "Never"),
    ("k8s.Toleration", "effect"): ("", "NoSchedule", "PreferNoSchedule", "NoExecute"),
    ("k8s.Toleration", "operator"): ("", "Exists", "Equal"),
    ("WorkflowSpec", "dnsPolicy"): ("", "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"),
}


@functools.cache
def sections() -> dict[str, dict[str, tuple[str, bool]]]:
    """Argo's schema: section, field, its kind and whether it must be there."""
    raw = json.loads(File(__file__).with_name("schema.json").read_text())["sections"]
    return {name: {field: (text.split(" ")[0], text.endswith(" required")) for field, text in rows.items()} for name, rows in raw.items()}


def near(name: str, known: Iterable[str]) -> str:
    """The known name that was probably meant, as the end of a fix; else what there is."""
    names = sorted(known)
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if found:
        return f"did you mean {found[0]}?"
    return f"there is {', '.join(names[:8])}{' ...' if len(names) > 8 else ''}" if names else "there is none"


def checked(value: Any, place: Place, section: str, path: Path) -> tuple[dict[str, Any], list[Problem]]:
    """An object of a section without what does not fit the schema, and the problems."""
    reading = _Checking()
    clean = reading.of(value, place, section, path)
    return clean, reading.problems


class _Checking:
    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._sections = sections()

    def of(self, value: Any, place: Place, kind: str, path: Path) -> Any:
        """The value as far as it is of its kind."""
        first = kind[0]
        if first == "[":
            return self._list(value, place, kind[1:-1], path)
        if first == "{":
            return self._map(value, place, kind[1:-1], path)
        if kind in self._sections:
            return self._section(value, place, kind, path)
        return self._scalar(value, place, kind, path) if kind != "any" else value

    def _add(self, rule: str, path: Path, message: str, fix: str) -> None:
        self.problems.append(Problem(rule, path, message, fix))

    def _section(self, value: Any, place: Place, section: str, path: Path) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._wrong(value, "a map", path)
            return {}
        rows = self._sections[section]
        result = {}
        for name, inner in value.items():
            inner_path = (*path, name)
            row = rows.get(name)
            if row is None:
                self._unknown(name, place, rows, inner_path)
                continue
            clean = self.of(inner, place.members[name], row[0], inner_path)
            if name == "withItems":
                self._words(place.members[name], inner_path)
            choices = _CHOICES.get((section, name)) if isinstance(clean, str) else None
            if choices and clean not in choices and "{{" not in clean:
                self._add("unknown-value", inner_path, f"{clean!r} is not allowed here", near(clean, filter(None, choices)))
            result[name] = clean
        for name, (_, required) in rows.items():
            if required and name not in result:
                self._add("missing-field", (*path, name), f"{name} is missing, and must be there", f"write {name}")
        return result

    def _unknown(self, name: str, place: Place, rows: Mapping[str, Any], path: Path) -> None:
        inner = place.members.get(name)
        if inner and inner.key_word:
            self._boolean(inner.key_word, path)
        else:
            self._add("unknown-field", path, f"Argo has no field {name!r} here", near(name, rows))

    def _words(self, place: Place, path: Path) -> None:
        """Items that a loop would find to be booleans."""
        if place.word:
            self._boolean(place.word, path)
        for key, inner in place.members.items():
            self._words(inner, (*path, key))
        for number, inner in enumerate(place.items):
            self._words(inner, (*path, number))

    def _list(self, value: Any, place: Place, kind: str, path: Path) -> list[Any]:
        if not isinstance(value, list):
            self._wrong(value, "a list of lists, such as - - name: ..." if kind == "WorkflowStep" else "a list", path)
            return []
        return [self.of(item, place.items[number], kind, (*path, number)) for number, item in enumerate(value)]

    def _map(self, value: Any, place: Place, kind: str, path: Path) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._wrong(value, "a map", path)
            return {}
        result = {}
        for name, inner in value.items():
            where = place.members[name]
            if where.key_word:
                self._boolean(where.key_word, (*path, name))
            result[name] = self.of(inner, where, kind, (*path, name))
        return result

    def _scalar(self, value: Any, place: Place, kind: str, path: Path) -> Any:
        expected, fits, empty = _SCALARS[kind]
        if kind == "quantity":
            return self._quantity(value, path)
        if place.word and kind in ("text", "scalar", "whole-or-text"):
            self._boolean(place.word, path)
            return place.word
        if fits(value):
            return gotext.any_string(value) if kind == "scalar" else value
        self._wrong(value, expected, path, kind)
        return gotext.any_string(value) if kind == "text" else empty

    def _boolean(self, word: str, path: Path) -> None:
        message = f"Kubernetes' YAML reader takes {word!r} for a boolean, not for text"
        self._add("yaml-boolean", path, message, f'put it in quotes: "{word}"')

    def _quantity(self, value: Any, path: Path) -> Any:
        text = gotext.any_string(value)
        if "{{" in text:
            fix = "set it in podSpecPatch, which may hold {{...}}"
            self._add("tag-in-resources", path, "a quantity cannot hold {{...}}: the API server refuses it before Argo replaces it", fix)
        elif isinstance(value, bool) or not _QUANTITY.fullmatch(text):
            self._add("bad-quantity", path, f"{_told(value)} is no quantity of Kubernetes", "write such as 500m, 2, 1Gi or 1G")
        return text

    def _wrong(self, value: Any, expected: str, path: Path, kind: str = "") -> None:
        fix = f"write {expected}"
        if kind in ("text", "scalar") and not isinstance(value, (dict, list)):
            fix = f'put it in quotes: "{gotext.any_string(value)}"'
        elif kind in ("text", "scalar"):
            fix = "write it as text, such as JSON in quotes"
        elif isinstance(value, str) and "{{" in value:
            fix = f"write {expected}: this field cannot hold {{{{...}}}}"
        self._add("wrong-type", path, f"expected {expected}, got {_told(value)}", fix)


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return f"the boolean {'true' if value else 'false'}"
    if isinstance(value, (int, float)):
        return f"the number {gotext.any_string(value)}"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    return "nothing" if value is None else "a list" if isinstance(value, list) else "a map"


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _whole_or_text(value: Any) -> bool:
    return _whole(value) or (isinstance(value, str) and ("{{" in value or re.fullmatch(r"\s*[+-]?\d+%?\s*|", value) is not None))


_SCALARS: Mapping[str, tuple[str, Any, Any]] = {
    "text": ("text", lambda value: isinstance(value, str), ""),
    "bool": ("true or false", lambda value: isinstance(value, bool), False),
    "whole": ("a whole number", _whole, 0),
    "number": ("a number", lambda value: isinstance(value, (int, float)) and not isinstance(value, bool), 0),
    "scalar": ("text, a number or a boolean", lambda value: isinstance(value, (str, int, float)), ""),
    "whole-or-text": ("a whole number, or text with {{...}}", _whole_or_text, 0),
    "quantity": ("a quantity", None, ""),
}


def texts(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every text inside a value that holds a tag, with its path."""
    if isinstance(value, str):
        if "{{" in value:
            yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from texts(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from texts(inner, (*path, number))
