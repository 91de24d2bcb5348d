"""The workflow's own variables: workflow.name, workflow.parameters.A, workflow.status, ..."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pipelines.language import evaluate, gotext, operators
from pipelines.language.errors import EvaluationError
from pipelines.local import nodes
from pipelines.local.nodes import Node, Nodes

NAMESPACE = "default"
# What the workflow of a CronWorkflow is known by.
CRON_LABEL = "workflows.argoproj.io/cron-workflow"
_LABEL = re.compile(r"(?:[A-Za-z0-9](?:[-\w.]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_TIMES = "BbmAadHIMSYypZz"


def of_workflow(workflow: Mapping[str, Any], name: str, uid: str, created: float) -> dict[str, str]:
    """The variables that are known before anything runs; `created` is in seconds since the epoch."""
    spec, metadata = workflow["spec"], workflow.get("metadata") or {}
    parameters = (spec.get("arguments") or {}).get("parameters") or []
    at = datetime.datetime.fromtimestamp(created, datetime.UTC)
    listed = gotext.parameters_text(parameters)
    found = {
        "workflow.name": name,
        "workflow.namespace": NAMESPACE,
        "workflow.mainEntrypoint": spec["entrypoint"],
        "workflow.serviceAccountName": spec.get("serviceAccountName", ""),
        "workflow.uid": uid,
        "workflow.priority": str(spec.get("priority", "")),
        "workflow.status": "Running",
        "workflow.parameters": listed,
        "workflow.parameters.json": listed,
        "workflow.creationTimestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "workflow.creationTimestamp.RFC3339": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "workflow.creationTimestamp.s": str(int(created)),
        **{f"workflow.creationTimestamp.{letter}": at.strftime(f"%{letter}") for letter in _TIMES},
        **{f"workflow.parameters.{parameter['name']}": value(parameter) for parameter in parameters},
    }
    if CRON_LABEL in (metadata.get("labels") or {}):
        found["workflow.scheduledTime"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return found | _metadata("labels", metadata, spec) | _metadata("annotations", metadata, spec)


def labels_from(workflow: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, str]:
    """The labels that expressions over the variables give. Raises EvaluationError."""
    found = {}
    for name, source in ((workflow["spec"].get("workflowMetadata") or {}).get("labelsFrom") or {}).items():
        text = source["expression"]
        try:
            label = evaluate.value(text, known)
        except EvaluationError as error:
            raise EvaluationError(f'failed to evaluate label "{name}" expression "{text}": {error}') from None
        if not isinstance(label, str):
            kind = operators.named(label)
            raise EvaluationError(f'failed to evaluate label "{name}" expression "{text}" evaluted to {kind} but must be a string')
        if not _LABEL.fullmatch(label):
            raise EvaluationError(f'invalid label value "{label}" for label "{name}" and expression "{text}"')
        found[name] = label
    return found


def at_the_end(phase: str, known: Nodes) -> dict[str, str]:
    """What the exit handler may name besides."""
    failures = [_failure(known.workflow, node) for node in known if nodes.failed(node)]
    text = json.dumps(failures, separators=(",", ":"), ensure_ascii=False) if failures else "null"
    return {"workflow.status": phase, "workflow.failures": gotext.quote(text)}


def value(parameter: Mapping[str, Any]) -> str:
    """The value of one of the workflow's arguments."""
    return gotext.any_string(parameter.get("value", (parameter.get("valueFrom") or {}).get("default", parameter.get("default"))))


def pod_name(workflow: str, node: str, template: str) -> str:
    """A pod's name as Argo makes it."""
    if workflow == node:
        return workflow
    prefix = f"{workflow}-{template.rpartition('/')[2]}" if template else workflow
    return f"{prefix[:242]}-{nodes.node_id('', node).removeprefix('-')}"


def is_known(name: str, defined: Iterable[str]) -> bool:
    """Whether a variable that begins with `workflow.` can ever have a value."""
    return name in defined or bool(re.match(r"workflow\.(outputs|failures|duration|scheduledTime|labels|annotations)\b", name))


def _metadata(kind: str, metadata: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, str]:
    found = {**(metadata.get(kind) or {}), **((spec.get("workflowMetadata") or {}).get(kind) or {})}
    listed = gotext.json_text({key: str(inner) for key, inner in found.items()})
    single = {f"workflow.{kind}.{key}": str(inner) for key, inner in found.items()}
    return {f"workflow.{kind}": listed, f"workflow.{kind}.json": listed, **single}


def _failure(workflow: str, node: Node) -> dict[str, Any]:
    template = node.get("templateName") or (node.get("templateRef") or {}).get("template", "")
    return {
        "displayName": node["displayName"],
        "message": node.get("message", ""),
        "templateName": template,
        "phase": node["phase"],
        "podName": pod_name(workflow, node["name"], template),
        "finishedAt": node.get("finishedAt"),
    }
