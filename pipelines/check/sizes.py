"""Sizes: of the object, and of what the run will add to it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.check import scope
from pipelines.check.findings import Problem
from pipelines.check.model import Call, Flow, Target

# Argo's controller ends a workflow whose object is larger (workflow/packer); etcd takes no request that is larger.
_OF_ARGO, _OF_ETCD = 2**20, 3 * 2**19
# A pod's node with small inputs as JSON, and what gzip and base64, which the controller packs the nodes with, leave of many of them.
_NODE_BYTES, _PACKED = 600, 0.1
_MOST = 10**9


def problems(flow: Flow) -> Iterator[Problem]:
    """What is too large."""
    size = len(json.dumps(flow.value, separators=(",", ":"), ensure_ascii=False, default=str).encode(errors="replace"))
    path = (*flow.document.prefix, "kind")
    fix = "move templates into a WorkflowTemplate, and large values into artifacts or ConfigMaps"
    if size > _OF_ETCD:
        yield Problem("object-size", path, f"{_mib(size)}: the API server takes at most 1.5 MiB", fix)
    elif size > _OF_ARGO and not flow.is_template:
        yield Problem("object-size", path, f"{_mib(size)}: Argo ends a workflow in Error whose object has more than 1 MiB", fix)
    elif not flow.is_template:
        yield from _run(flow, size)


def _run(flow: Flow, size: int) -> Iterator[Problem]:
    entry = flow.called({"template": flow.spec.get("entrypoint", "")}, flow.path)
    run = _Counting(flow).of(entry, ()) if entry else _Nodes(0, 0)
    predicted = size + run.size * _PACKED
    if predicted > _OF_ARGO:
        state = f"{_mib(run.size)} of state, about {_mib(predicted)} packed"
        message = f"the run has some {run.count:,} nodes: {state}, where 1 MiB is allowed"
        fix = "run fewer nodes in one workflow, or let the controller offload the state (nodeStatusOffLoad)"
        yield Problem("run-size", (*flow.path, "entrypoint"), message, fix)


@dataclass(frozen=True)
class _Nodes:
    """How many nodes, and their bytes as JSON."""

    count: int
    size: int

    def __add__(self, other: _Nodes) -> _Nodes:
        return _Nodes(min(self.count + other.count, _MOST), min(self.size + other.size, _MOST * _NODE_BYTES))

    def times(self, count: int) -> _Nodes:
        """So many of them."""
        return _Nodes(min(self.count * count, _MOST), min(self.size * count, _MOST * _NODE_BYTES))


class _Counting:
    def __init__(self, flow: Flow) -> None:
        self._scope = scope.of_workflow(flow)
        self._known: dict[int, _Nodes] = {}

    def of(self, target: Target, above: tuple[int, ...]) -> _Nodes:
        """The nodes that a template makes; one that calls itself counts once."""
        key = id(target.template)
        one = _Nodes(1, _NODE_BYTES)
        if key in above or len(above) > 50:
            return one
        if key not in self._known:
            retried = target.flow.of_template(target, "retryStrategy") is not None
            made = one.times(1 + int(retried) + (len(target.template["steps"]) if target.kind == "steps" else 0))
            for call in target.calls:
                made += self._called(target, call, (*above, key))
            self._known[key] = made
        return self._known[key]

    def _called(self, target: Target, call: Call, above: tuple[int, ...]) -> _Nodes:
        """The nodes of a step or task; each of them holds what it is given."""
        called = target.flow.called(call.holder, call.path)
        given = [self._text(one.get("value", "")) for one in call.holder.get("arguments", {}).get("parameters", [])]
        inside = self.of(called, above) if called else _Nodes(1, _NODE_BYTES)
        return (inside + _Nodes(0, sum(map(len, given)))).times(self._times(call.holder))

    def _times(self, holder: Mapping[str, Any]) -> int:
        if "withItems" in holder:
            return len(holder["withItems"])
        if "withSequence" in holder:
            sequence = holder["withSequence"]
            count, start, end = (self._number(sequence.get(field)) for field in ("count", "start", "end"))
            return min(count if count is not None else abs((end or 0) - (start or 0)) + 1, _MOST)
        try:
            items = json.loads(self._text(holder.get("withParam", "")))
        except (ValueError, RecursionError):
            return 1
        return len(items) if isinstance(items, list) else 1

    def _text(self, text: Any) -> str:
        """A text, with the workflow's own value where it is one tag."""
        given = str(text)
        return self._scope.names.get(given[2:-2].strip()) or "" if given.startswith("{{") else given

    def _number(self, value: Any) -> int | None:
        text = self._text(value) if value is not None else ""
        return int(text) if text.isdigit() and len(text) < 12 else None


def _mib(size: float) -> str:
    return f"{size / 2**20:.1f} MiB"
