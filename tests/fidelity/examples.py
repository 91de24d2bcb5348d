"""Argo's example workflows as both sides run them: the controller, when its outcomes are recorded, and the local runner.

Few examples run anywhere as they are: they name images that nobody has at hand, toss coins, or refer to objects that their comments
tell people to create. What is changed is the same for both sides, general (a table, not an example's name), and told in the record.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipelines import local
from pipelines.local import document
from tests.fidelity import web

Document = dict[str, Any]

# Images whose programs another image has, too: what stands for each.
IMAGES = {
    r"alpine(:.*)?": "alpine:3.23",
    r"busybox(:.*)?": "busybox",
    r"debian(:.*)?|ubuntu(:.*)?": "python:3.11-slim",
    r"python:(.*)": "python:alpine3.23",
    r"argoproj/argosay:v[12]": "argoproj/argosay:v2",
    r"docker/whalesay(:.*)?": "busybox",
    # Of these only the name is used: the image's own program is never called.
    r"\{\{inputs\.parameters\.(image|os-image)\}\}(:\{\{inputs\.parameters\.tag\}\})?": "python:3.11-slim",
}
SAY = "argoproj/argosay:v2"
# What makes outcomes differ from run to run or takes minutes: what stands for it, and why.
TEXTS = (
    (r"random\.randint\((\d+), ?(\d+)\)", r"\1", "random numbers are the smallest"),
    (r"random\.choice\(\[(?:[^\[\]]*, ?)?(\d+)\]\)", r"\1", "random choices are the last"),
    (r"random\.choice\(range\(0, ?5\)\)", "0", "random choices from a range are the first"),
    (r"\$\(\(1 \+ RANDOM % 10\)\)", "1", "random numbers are the smallest"),
    (r"cat /dev/urandom", "echo 12345", "random numbers are the smallest"),
    (r"\bsleep \{\{[^}]*\}\}", "sleep 0", "loops in shell are short"),
    (r"seq 1 1000\b", "seq 1 3", "loops in shell are short"),
    (
        r"https?://(?=(?:raw\.githubusercontent\.com|httpbin\.org|google\.com|storage\.googleapis\.com|datahub\.io)\b)",
        f"{web.HOST}/",
        "a small server stands for the internet",
    ),
    (r"\bcowsay( |$)", r"echo\1", "echo stands for cowsay"),
    (r"^bash$", "sh", "sh stands for bash"),
)
# Fields by which an example needs what not every cluster has: why it is not run.
NEEDS = {
    "git": "it clones from a git server",
    "gcs": "it needs Google's storage",
    "azure": "it needs Azure's storage",
    "oss": "it needs Alibaba's storage",
    "hdfs": "it needs HDFS",
    "artifactory": "it needs Artifactory",
    "plugin": "it needs an artifact plugin",
    "database": "it needs a controller with a database for locks",
    "endpoint": "it needs an S3 server of somebody's own",
    "bucket": "it needs a bucket of somebody's own",
}
# What the controller makes of these differs from time to time.
BY_CHANCE = {
    "dag-task-level-timeout.yaml": "how long a pod takes to start decides whether its deadline passes",
    "step-level-timeout.yaml": "how long a pod takes to start decides whether its deadline or the node's comes first",
    "life-cycle-hooks-tmpl-level.yaml": "whether the controller sees a short pod running, and so runs the hook, is chance",
}
_NETWORK = re.compile(r"https?://(?!127\.0\.0\.1|web/)[a-z{]|\bapk (add|update)|\bapt-get\b|\bpip install\b")
# The objects that the examples' comments tell people to create.
SUPPLIED = """
apiVersion: v1
kind: ConfigMap
metadata: {name: my-config}
data: {workflow: "1", template: "2"}
---
apiVersion: v1
kind: Secret
metadata: {name: my-secret}
stringData: {mypassword: S00perS3cretPa55word}
"""
# What a person answers where a workflow waits for one, by the name of the output; all else just goes on.
ANSWERS = {"approve": "YES", "message": "hello"}
_LIBRARY = ("WorkflowTemplate", "ClusterWorkflowTemplate", "ConfigMap", "Secret", "PersistentVolumeClaim", "ResourceQuota")


@dataclass(frozen=True)
class Example:
    """One file: the Workflow of it, or why there is none that can be run; and how it was changed."""

    name: str
    path: Path
    workflow: Document | None
    why_not: str = ""
    changes: tuple[str, ...] = ()
    objects: tuple[Document, ...] = field(default=(), repr=False)


def folder() -> Path | None:
    """Where Argo's examples lie: the variable ARGO_EXAMPLES."""
    named = os.environ.get("ARGO_EXAMPLES", "")
    return Path(named) if named and Path(named).is_dir() else None


def every(root: Path) -> Iterator[Example]:
    """All examples below a folder, by their names. Each may refer to what any of them installs."""
    paths = sorted(root.rglob("*.yaml"))
    files = {path: _documents(path) for path in paths}
    installed = [one for documents in files.values() for one in documents if one.get("kind") in _LIBRARY]
    changed = Changes()
    objects = tuple(changed.document(one) for one in [*installed, *yaml.safe_load_all(SUPPLIED)])
    for path, documents in files.items():
        yield _example(path, str(path.relative_to(root)), documents, objects)


def _documents(path: Path) -> list[Document]:
    try:
        return [document.without_nulls(one) for one in document._objects(path) if isinstance(one, dict)]
    except local.RunnerError:
        return [one for one in yaml.safe_load_all(path.read_text()) if isinstance(one, dict)]


def _example(path: Path, name: str, documents: list[Document], objects: tuple[Document, ...]) -> Example:
    workflows = next(filter(None, ([one for one in documents if one.get("kind") == kind] for kind in document.KINDS)), [])
    if len(workflows) != 1:
        kinds = sorted({str(one.get("kind")) for one in documents})
        return Example(name, path, None, f"it holds no single workflow, but {' and '.join(kinds) or 'nothing'}")
    changes = Changes()
    workflow = changes.document(_submitted(workflows[0], "ex-" + re.sub(r"[^a-z0-9]+", "-", name.removesuffix(".yaml").lower())[:50]))
    if "'timeout':" in str(workflow):
        workflow = _stretched(workflow)
        changes.made.add("times are eight times as long, so that a pod's start does not decide")
    seen = [workflow, *(_referred(workflow, objects))]
    why = BY_CHANCE.get(name) or next((reason for one in seen for reason in _obstacles(one)), "")
    return Example(name, path, workflow, why, tuple(sorted(changes.made)), objects)


def _submitted(source: Document, name: str) -> Document:
    """The Workflow that `argo submit --from` makes of an object, under a name that both sides give it."""
    spec, metadata, kind = source.get("spec") or {}, dict(source.get("metadata") or {}), source["kind"]
    own, labels = metadata.get("name", ""), {}
    if kind == "CronWorkflow":
        spec, labels = spec.get("workflowSpec") or {}, {"workflows.argoproj.io/cron-workflow": own}
        metadata = dict(source["spec"].get("workflowMetadata") or {})
    if kind in ("WorkflowTemplate", "ClusterWorkflowTemplate"):
        reference = {"name": own, **({"clusterScope": True} if kind == "ClusterWorkflowTemplate" else {})}
        spec, metadata = {"workflowTemplateRef": reference}, {}
    kept = {key: metadata[key] for key in ("labels", "annotations") if metadata.get(key)}
    if labels:
        kept["labels"] = {**kept.get("labels", {}), **labels}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": name, **kept}, "spec": spec}


def _stretched(value: Any) -> Any:
    if isinstance(value, list):
        return [_stretched(one) for one in value]
    if isinstance(value, dict):
        return {key: _stretched(inner) for key, inner in value.items()}
    return re.sub(r"\b(\d+)s\b", lambda found: f"{8 * int(found[1])}s", value) if isinstance(value, str) else value


def _referred(workflow: Document, objects: tuple[Document, ...]) -> list[Document]:
    """The templates that a workflow names in other objects."""
    names = set(re.findall(r"'(?:templateRef|workflowTemplateRef)': \{[^}]*'name': '([^']+)'", str(workflow)))
    return [one for one in objects if one["kind"].endswith("WorkflowTemplate") and one["metadata"].get("name") in names]


def timed(workflow: Mapping[str, Any] | None) -> set[str]:
    """The templates of a workflow that wait for a time, and for nobody."""
    listed = ((workflow or {}).get("spec") or {}).get("templates") or []
    return {one["name"] for one in listed if "duration" in (one.get("suspend") or {})}


class Changes:
    """Changes documents by the tables above, and remembers what was done."""

    def __init__(self) -> None:
        self.made: set[str] = set()

    def document(self, value: Document) -> Document:
        """A changed copy of an object."""
        changed: Document = self._value(value)
        return changed

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._value(one) for one in value]
        if isinstance(value, dict):
            return self._map(value)
        return self._text(value) if isinstance(value, str) else value

    def _map(self, value: Mapping[str, Any]) -> dict[str, Any]:
        result = {key: inner if key in ("image", "metadata", "name") else self._value(inner) for key, inner in value.items()}
        if "maxDuration" in value:
            result["maxDuration"] = re.sub(r"^\d+", lambda found: str(10 * int(found[0])), str(value["maxDuration"]))
            self.made.add("retries may last ten times as long, so that a pod's start does not decide")
        image = value.get("image")
        if not isinstance(image, str) or "tag" in value:
            return result
        stand_in = next((stand_in for pattern, stand_in in IMAGES.items() if re.fullmatch(pattern, image.strip())), "")
        if stand_in and stand_in != image.strip():
            self.made.add(f"the image {stand_in} stands for {image.strip()}")
        result["image"] = stand_in or image.strip()
        if result["image"] == SAY and "command" not in value and "source" not in value:
            result["command"] = ["/argosay"]
        if result["image"] == SAY and result.get("command", ["sh"])[0] != "/argosay":
            result["image"] = "busybox"
        return result

    def _text(self, value: str) -> str:
        for pattern, replacement, why in TEXTS:
            changed = re.sub(pattern, replacement, value)
            if changed != value:
                self.made.add(why)
            value = changed
        return value


def _obstacles(value: Any) -> Iterator[str]:
    """Why an object cannot be run on a cluster that is cut off: the first reasons found in it."""
    if isinstance(value, list):
        for one in value:
            yield from _obstacles(one)
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        if key in NEEDS and (isinstance(inner, (dict, str)) or inner is True):
            yield NEEDS[key]
        elif key in ("command", "args", "source", "url", "value") and _NETWORK.search(str(inner)):
            yield "it needs the internet"
    image = value.get("image")
    if isinstance(image, str) and not any(re.fullmatch(pattern, image) for pattern in IMAGES):
        yield f"the image {image} is not at hand, and no other has its programs"
    for inner in value.values():
        yield from _obstacles(inner)


def for_this_machine(value: Any, program: Callable[[str], str]) -> Any:
    """A copy of an object whose images' own programs are those of this machine, told by their commands.

    The programs of an image that is not at hand are taken for missing, so that nothing depends on what a machine happens to have.
    """
    if isinstance(value, (list, tuple)):
        return [for_this_machine(one, program) for one in value]
    if not isinstance(value, dict):
        return value
    result = {key: for_this_machine(inner, program) for key, inner in value.items()}
    image, command = value.get("image"), value.get("command")
    if isinstance(image, str) and isinstance(command, list) and command:
        at_hand = any(re.fullmatch(pattern, image) for pattern in IMAGES)
        result["command"] = [program(str(command[0])) if at_hand else f"{command[0]} of {image}", *command[1:]]
    return result
