"""What a text may name, at each place of a workflow, and why a name is not there."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pipelines.check.fields import near
from pipelines.check.model import HAS_RESULT, Call, Flow, Target

# Names with their values, None where these are not known before the run.
Names = Mapping[str, str | None]
LAST_RETRY = ("lastRetry.exitCode", "lastRetry.status", "lastRetry.duration", "lastRetry.message")
_OF_NODES = ("id", "status", "startedAt", "finishedAt", "hostNodeName")
_OF_METRICS = ("status", "duration", "exitCode", "retries", "resourcesDuration.cpu", "resourcesDuration.memory", "outputs.result")
_OF_WORKFLOW = (
    *("name", "namespace", "mainEntrypoint", "serviceAccountName", "uid", "priority", "status", "duration", "scheduledTime"),
    *("parameters", "parameters.json", "annotations", "annotations.json", "labels", "labels.json", "creationTimestamp"),
)


@dataclass(frozen=True)
class Told:
    """What a step or task tells the others; `open`: its template is not known, so it may tell more."""

    names: frozenset[str]
    template: str
    open: bool = False

    def has(self, name: str) -> bool:
        """Whether it tells this."""
        return name in self.names or (self.open and name.startswith(("outputs.", "exitCode", "ip")))

    def begins(self, name: str) -> bool:
        """Whether something that it tells begins with this."""
        return self.open or any(known.startswith(f"{name}.") for known in self.names)


@dataclass(frozen=True)
class Nodes:
    """The steps or tasks beside a text, and which of them have ended when it counts."""

    prefix: str
    all: Mapping[str, Told]
    ended: Callable[[str], bool]

    def has(self, name: str) -> bool:
        """Whether a name such as steps.a.outputs.result is there."""
        prefix, _, rest = name.partition(".")
        node, _, what = rest.partition(".")
        told = self.all.get(node) if prefix == self.prefix and self.ended(node) else None
        return told is not None and told.has(what)

    def missing(self, name: str) -> tuple[str, str]:
        """Why such a name is not there, and what to do."""
        prefix, _, rest = name.partition(".")
        node, _, what = rest.partition(".")
        word = self.prefix.removesuffix("s")
        if prefix != self.prefix:
            return f"{name}: this template has {self.prefix}, not {prefix}", f"write {self.prefix}.{rest}"
        if node not in self.all:
            return f"{name}: this template has no {word} {node!r}", near(node, self.all)
        if not self.ended(node):
            fix = f"move {node} to an earlier group of steps" if word == "step" else f"wait for it: write {node} among its dependencies"
            return f"{name}: the {word} {node!r} need not have ended by then", fix
        told = self.all[node]
        return f"{name}: the {word} {node!r} (template {told.template or 'inline'}) tells no {what}", near(what, told.names)

    def begins(self, name: str) -> bool:
        """Whether a name is the beginning of one that is there."""
        prefix, _, rest = name.partition(".")
        node, _, what = rest.partition(".")
        if prefix != self.prefix or not rest:
            return prefix == self.prefix
        told = self.all.get(node) if self.ended(node) else None
        return bool(told and (not what or told.begins(what)))


_NO_NODES = Nodes("", {}, {}.__contains__)


@dataclass(frozen=True)
class Scope:
    """Names, and beginnings under which anything may exist (`item.` in a loop over a parameter)."""

    names: ChainMap[str, str | None]
    # The beginnings of the names: workflow and workflow.parameters of workflow.parameters.A.
    beginnings: ChainMap[str, None]
    open: tuple[str, ...] = ()
    nodes: Nodes = _NO_NODES

    @classmethod
    def of(cls, names: Names, *open_: str) -> Scope:
        """Names, and no steps or tasks."""
        return cls(ChainMap({}), ChainMap({})).with_names(names, *open_)

    def with_names(self, names: Names, *open_: str) -> Scope:
        """With more names."""
        more: dict[str, None] = {}
        for name in names:
            while (name := name.rpartition(".")[0]) and name not in self.beginnings and name not in more:
                more[name] = None
        return replace(
            self,
            names=self.names.new_child(dict(names)),
            beginnings=self.beginnings.new_child(more) if more else self.beginnings,
            open=(*self.open, *open_),
        )

    def with_nodes(self, prefix: str, told: Mapping[str, Told], ended: Callable[[str], bool]) -> Scope:
        """With steps or tasks."""
        return replace(self, nodes=Nodes(prefix, told, ended))

    def has(self, name: str) -> bool:
        """Whether a name is there, as far as can be known."""
        return name in self.names or name.startswith(self.open) or self.nodes.has(name)

    def missing(self, name: str) -> tuple[str, str] | None:
        """Why a name is not there, and what to do; None where it is."""
        if self.has(name):
            return None
        first = name.split(".")[0]
        if first in ("steps", "tasks") and self.nodes.prefix:
            return self.nodes.missing(name)
        if first in ("steps", "tasks"):
            return f"{name}: only a steps or DAG template can name its {first}", "hand it over as an input parameter"
        if first == "item":
            return self._no_item(name)
        if name == "workflow.failures":
            return f"{name}: only an exit handler knows them", "name it in the template of onExit"
        if first == "inputs":
            return f"{name}: the template has no such input", near(name, self._like(first))
        return f"{name}: there is no such variable", near(name, self._like(first) or self.roots)

    def _no_item(self, name: str) -> tuple[str, str]:
        if "item" not in self.names and "item" not in self.beginnings:
            return f"{name}: this is no loop", "add withItems, withParam or withSequence, or hand the item over as an input"
        return f"{name}: the items have no such field", near(name, self._like("item"))

    def begins(self, name: str) -> bool:
        """Whether a name is the beginning of one that is there."""
        if f"{name}.".startswith(self.open) or any(beginning.startswith(f"{name}.") for beginning in self.open):
            return True
        return name in self.beginnings or self.nodes.begins(name)

    def known(self, name: str) -> bool:
        """Whether it is surely there, so that it is text."""
        return not name.startswith(self.open) and self.has(name) and not self.begins(name)

    @cached_property
    def roots(self) -> frozenset[str]:
        """The first words of all names."""
        found = {name.split(".")[0] for names in (self.beginnings, self.names, self.open) for name in names}
        return frozenset(found | {self.nodes.prefix}) - {""}

    def _like(self, first: str) -> list[str]:
        return [name for name in self.names if name.split(".")[0] == first]


def of_workflow(flow: Flow) -> Scope:
    """The variables that all texts of a workflow may name."""
    names: dict[str, str | None] = dict.fromkeys(f"workflow.{name}" for name in _OF_WORKFLOW)
    names |= dict.fromkeys(("node.name", "steps.name", "tasks.name"))
    opened = ["workflow.creationTimestamp.", "cronworkflow."]
    flows = [flow, flow.base] if flow.base else [flow]
    for one in flows:
        for parameter in one.spec.get("arguments", {}).get("parameters", []):
            names.setdefault(f"workflow.parameters.{parameter.get('name', '')}", _constant(parameter))
        for kind in ("labels", "annotations"):
            held = one.spec.get("workflowMetadata", {})
            found = {**one.value.get("metadata", {}).get(kind, {}), **held.get(kind, {}), **(held.get("labelsFrom", {}))}
            names |= dict.fromkeys(f"workflow.{kind}.{key}" for key in found)
    if flow.is_template or flow.base is None:
        opened += ["workflow.parameters.", "workflow.labels.", "workflow.annotations."]
    if flow.kind == "CronWorkflow":
        opened += ["workflow.labels.", "workflow.annotations."]
    names |= dict.fromkeys(_global_outputs(flow, opened))
    return Scope.of(names, *opened)


def _constant(parameter: Mapping[str, Any]) -> str | None:
    value = parameter.get("value", parameter.get("default"))
    return value if value and "{{" not in value and "valueFrom" not in parameter else None


def _global_outputs(flow: Flow, opened: list[str]) -> list[str]:
    """The names of `globalName`s; where not all templates are known, or a name has a tag, any name may be there."""
    found, pending, seen = [], [flow], set()
    while pending:
        one = pending.pop()
        seen.add(id(one))
        for target in one.every:
            for kind in ("parameters", "artifacts"):
                given = [output["globalName"] for output in target.outputs(kind) if output.get("globalName")]
                found += [f"workflow.outputs.{kind}.{name}" for name in given]
                opened += [f"workflow.outputs.{kind}." for name in given if "{{" in name]
            for call in target.calls:
                called = one.called(call.holder, call.path)
                if called is None:
                    opened += ["workflow.outputs."]
                elif called and id(called.flow) not in seen:
                    pending.append(called.flow)
    if flow.is_template or flow.base is not False:
        opened += ["workflow.outputs."]
    return found


def of_template(target: Target, outer: Scope) -> Scope:
    """The variables that the texts of a template may name, its steps or tasks besides."""
    names: dict[str, str | None] = {}
    leaf = target.kind not in ("steps", "dag")
    for parameter in target.inputs("parameters"):
        names |= {"inputs.parameters": None, f"inputs.parameters.{parameter.get('name', '')}": None}
    for artifact in target.inputs("artifacts"):
        names[f"inputs.artifacts.{artifact.get('name', '')}"] = None
        if leaf:
            names[f"inputs.artifacts.{artifact.get('name', '')}.path"] = None
    if leaf:
        names["pod.name"] = None
        for artifact in target.outputs("artifacts"):
            names[f"outputs.artifacts.{artifact.get('name', '')}.path"] = None
        for parameter in target.outputs("parameters"):
            names[f"outputs.parameters.{parameter.get('name', '')}.path"] = None
    if target.flow.of_template(target, "retryStrategy") is not None or "retryStrategy" in target.flow.spec:
        names |= dict.fromkeys(("retries", *LAST_RETRY))
    return outer.with_names(names)


def of_metrics(target: Target, own: Scope) -> Scope:
    """With what a template's metrics may name besides."""
    outputs = [f"outputs.{kind}.{one.get('name', '')}" for kind in ("parameters", "artifacts") for one in target.outputs(kind)]
    return own.with_names(dict.fromkeys((*_OF_METRICS, *outputs)), "resourcesDuration.")


def told_by(call: Call, target: Target | None) -> Told:
    """What a step or task tells the others."""
    names = set(_OF_NODES)
    if not target:
        return Told(frozenset(names), str(call.holder.get("template", "")), open=True)
    if target.template.get("daemon"):
        names.add("ip")
    if target.kind in HAS_RESULT:
        names |= {"exitCode", "outputs.result"}
    if call.loops:
        names.add("outputs.parameters")
    for kind in ("parameters", "artifacts"):
        names |= {f"outputs.{kind}.{output.get('name', '')}" for output in target.outputs(kind)}
    return Told(frozenset(names), target.name)


def of_item(call: Call, scope: Scope) -> Scope:
    """With `item` and its fields, where a step or task loops."""
    if not call.loops:
        return scope
    items = call.holder.get("withItems")
    if items is None:
        return scope.with_names({"item": None}, *(("item.", "item[") if "withParam" in call.holder else ()))
    names: dict[str, str | None] = {"item": None}
    opened: list[str] = []
    for item in items:
        if isinstance(item, dict):
            names |= dict.fromkeys(f"item.{key}" for key in item)
            opened += [f"item.{key}." for key, value in item.items() if isinstance(value, (dict, list))]
        elif isinstance(item, list) or (isinstance(item, str) and "{{" in item):
            opened += ["item.", "item["]
    return scope.with_names(names, *opened)
