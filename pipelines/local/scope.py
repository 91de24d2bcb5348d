"""What a step or a task may name: the outputs of nodes before it, aggregated over loops, and defaults of skipped nodes."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.language import evaluate, gotext
from pipelines.language.errors import EvaluationError
from pipelines.language.tags import Variables
from pipelines.local.nodes import Node

# Stands for an argument that names an output which a skipped node does not have: as if it were not supplied.
ABSENT = "__argo-internal.absent-optional-output__"
_PURE = re.compile(r"\{\{([^{}]*)\}\}")


class Scope:
    """Variables of one steps or DAG template while it runs. Artifacts are kept apart: they are no texts."""

    def __init__(self, template: Mapping[str, Any], workflow_outputs: Mapping[str, Any]) -> None:
        self.variables: dict[str, Any] = {}
        self.artifacts: dict[str, Mapping[str, Any]] = {}
        inputs = template.get("inputs") or {}
        for parameter in inputs.get("parameters") or []:
            self.variables[f"inputs.parameters.{parameter['name']}"] = gotext.any_string(parameter.get("value"))
        for artifact in inputs.get("artifacts") or []:
            self.artifacts[f"inputs.artifacts.{artifact['name']}"] = artifact
        self._add_outputs("workflow", workflow_outputs)

    def copy(self) -> Scope:
        """A scope of its own with what is known so far."""
        other = copy.copy(self)
        other.variables, other.artifacts = dict(self.variables), dict(self.artifacts)
        return other

    def with_globals(self, variables: Mapping[str, Any]) -> Variables:
        """Everything that a tag may name here."""
        return Variables(variables, self.variables)

    def add_node(self, prefix: str, node: Node, attempts: Sequence[Node]) -> None:
        """What a node tells of itself; a Retry node tells of its last attempt."""
        told = attempts[-1] if attempts else node
        self.variables[f"{prefix}.id"] = told["id"]
        self.variables[f"{prefix}.status"] = told["phase"]
        for field in ("startedAt", "finishedAt"):
            if told.get(field):
                self.variables[f"{prefix}.{field}"] = re.sub(r"\.\d+Z$", "Z", told[field])
        if told.get("podIP"):
            self.variables[f"{prefix}.ip"] = told["podIP"]
        self._add_outputs(prefix, told.get("outputs") or {})

    def add_files(self, prefix: str, node: Node) -> None:
        """The parameters and artifacts that a node has left: all that its own exit handler may name of its outputs."""
        outputs = node.get("outputs") or {}
        self._add_outputs(prefix, {kind: outputs[kind] for kind in ("parameters", "artifacts") if kind in outputs})

    def add_skipped(self, prefix: str, node: Node, template: Mapping[str, Any] | None, with_artifacts: bool) -> None:
        """The outputs that a skipped or omitted node would have had: their defaults, or None."""
        if "outputs" in node or node["phase"] not in ("Skipped", "Omitted") or template is None:
            return
        outputs = template.get("outputs") or {}
        for parameter in outputs.get("parameters") or []:
            default = (parameter.get("valueFrom") or {}).get("default")
            self.variables[f"{prefix}.outputs.parameters.{parameter['name']}"] = None if default is None else gotext.any_string(default)
        for artifact in (outputs.get("artifacts") or []) if with_artifacts else []:
            self.artifacts[f"{prefix}.outputs.artifacts.{artifact['name']}"] = {}

    def add_loop(self, prefix: str, children: Sequence[Node]) -> None:
        """The outputs of a loop's nodes as JSON lists, in the order of its items. Raises EvaluationError for a result that is no JSON."""
        ended = [child for child in sorted(children, key=_place) if child["phase"] == "Succeeded" and "outputs" in child]
        if not children:
            return
        results, rows = [], []
        lists: dict[str, list[str]] = {}
        for child in ended:
            if "result" in child["outputs"]:
                results.append(_json(child))
            row = {parameter["name"]: gotext.any_string(parameter.get("value")) for parameter in child["outputs"].get("parameters") or []}
            if row:
                rows.append(row)
            for name, value in row.items():
                lists.setdefault(name, []).append(value)
        self.variables[f"{prefix}.outputs.result"] = gotext.json_text(results)
        self.variables[f"{prefix}.outputs.parameters"] = gotext.json_text(rows)
        for name, values in lists.items():
            self.variables[f"{prefix}.outputs.parameters.{name}"] = gotext.json_text(_unpacked(values))

    def mark_absent(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments in which a pure reference to what a skipped node does not have counts as not supplied."""
        marked = dict(arguments)
        if arguments.get("parameters"):
            marked["parameters"] = [
                {**parameter, "value": ABSENT} if self._is_absent(parameter.get("value")) else parameter
                for parameter in arguments["parameters"]
            ]
        return marked

    def outputs(self, template: Mapping[str, Any]) -> dict[str, Any] | None:
        """The outputs of a steps or DAG template, from those of its nodes. Raises EvaluationError."""
        declared = template.get("outputs") or {}
        found: dict[str, Any] = {}
        if declared.get("parameters"):
            found["parameters"] = [self._output(parameter) for parameter in declared["parameters"]]
        for artifact in declared.get("artifacts") or []:
            resolved = self.artifact(artifact)
            if resolved:
                found.setdefault("artifacts", []).append(resolved)
        return found or None

    def artifact(self, wanted: Mapping[str, Any]) -> dict[str, Any] | None:
        """The artifact that a `from` names, None for an optional one that is not there. Raises EvaluationError."""
        reference = wanted.get("from") or wanted.get("fromExpression")
        if not reference:
            return dict(wanted)
        found = self._left(wanted)
        if found:
            kept = {key: value for key, value in wanted.items() if key not in ("from", "fromExpression", "optional", "subPath")}
            return _part({**found, **kept, "name": wanted["name"]}, wanted.get("subPath"))
        if wanted.get("optional"):
            return None
        raise EvaluationError(f"Unable to resolve: {reference}; no such artifact was left")

    def _left(self, wanted: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The artifact that a reference or an expression names. Raises EvaluationError."""
        if wanted.get("fromExpression"):
            found = evaluate.value(wanted["fromExpression"], {**self.variables, **self.artifacts})
            if found is not None and not isinstance(found, dict):
                raise EvaluationError(f"{wanted['fromExpression']!r} gives no artifact")
            return found
        match = _PURE.fullmatch(wanted["from"].strip())
        return self.artifacts.get((match[1] if match else wanted["from"]).strip())

    def _output(self, declared: Mapping[str, Any]) -> dict[str, Any]:
        source = declared.get("valueFrom") or {}
        default = source.get("default")
        try:
            value = self._value(source)
        except EvaluationError:
            if default is None:
                raise
            value = None
        if value is None and default is not None:
            value = gotext.any_string(default)
        if value is None:
            why = f"{gotext.quote(source['parameter'])} is an absent optional (skipped/omitted node output with no default)"
            raise EvaluationError(f"output parameter {gotext.quote(declared['name'])}: {why}")
        return {**{key: inner for key, inner in declared.items() if key != "valueFrom"}, "value": value}

    def _value(self, source: Mapping[str, Any]) -> str | None:
        if source.get("expression"):
            result = evaluate.value(source["expression"], self.variables)
            if result is None:
                raise EvaluationError(f"failed to evaluate expression {source['expression']!r}: it is nil")
            return gotext.plain(result)
        reference = str(source.get("parameter") or "")
        match = _PURE.fullmatch(reference.strip())
        name = (match[1] if match else reference).strip()
        if name.startswith("="):
            result = evaluate.value(name[1:], self.variables)
            return None if result is None else gotext.plain(result)
        if name not in self.variables:
            raise EvaluationError(f'Unable to resolve: "{name}"')
        value: str | None = self.variables[name]
        return value

    def _is_absent(self, value: Any) -> bool:
        match = _PURE.fullmatch(value) if isinstance(value, str) else None
        name = match[1].strip() if match else ""
        return bool(match) and name in self.variables and self.variables[name] is None

    def _add_outputs(self, prefix: str, outputs: Mapping[str, Any]) -> None:
        if prefix != "workflow" and "result" in outputs:
            self.variables[f"{prefix}.outputs.result"] = outputs["result"]
        if prefix != "workflow" and "exitCode" in outputs:
            self.variables[f"{prefix}.exitCode"] = outputs["exitCode"]
        for parameter in outputs.get("parameters") or []:
            if "value" in parameter:
                self.variables[f"{prefix}.outputs.parameters.{parameter['name']}"] = gotext.any_string(parameter["value"])
        for artifact in outputs.get("artifacts") or []:
            self.artifacts[f"{prefix}.outputs.artifacts.{artifact['name']}"] = artifact


def _part(artifact: dict[str, Any], inside: str | None) -> dict[str, Any]:
    """A file or folder inside an artifact."""
    if not inside:
        return artifact
    if "local" not in artifact or ".." in inside.split("/"):
        raise EvaluationError(f"subPath: expected a path inside an artifact that a step has left, got {inside!r}")
    return {**artifact, "local": f"{artifact['local']}/{inside.strip('/')}"}


def is_loop_child(node: Node) -> bool:
    """Whether a node is one of a loop, and no attempt or hook of one."""
    flag = node.get("nodeFlag") or {}
    return node["type"] != "Skipped" and not flag.get("hooked") and not flag.get("retried")


def _place(node: Node) -> int:
    found = re.search(r"\((\d+):[^()]*\)$", node["name"])
    return int(found[1]) if found else 0


def _json(node: Node) -> Any:
    try:
        return json.loads(node["outputs"]["result"])
    except ValueError:
        text = node["outputs"]["result"]
        raise EvaluationError(
            f"{node['name']}: the results of a loop are put together as JSON, but this one is none: {text[:100]!r}; "
            "print JSON, or use an output parameter"
        ) from None


def _unpacked(values: Sequence[str]) -> list[Any]:
    """Lists and maps out of their JSON where all values are such, else the texts."""
    try:
        unpacked = [json.loads(value) for value in values]
    except ValueError:
        return list(values)
    return unpacked if all(isinstance(value, (list, dict)) for value in unpacked) else list(values)
