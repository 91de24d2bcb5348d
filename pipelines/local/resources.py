"""Resource templates: objects of the cluster that KUBECONFIG names, by kubectl, as Argo's executor does it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from pipelines.language import gotext, selectors
from pipelines.language.errors import EvaluationError
from pipelines.local import commands
from pipelines.local.errors import Problem

_ACTIONS = ("get", "create", "apply", "delete", "replace", "patch")
_MERGE = ("strategic", "merge", "json")
_PAUSE_S = 2.0
_CONDITIONS = ("successCondition", "failureCondition")


async def carried_out(template: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Do what a template says, wait for its conditions, and return its outputs; `folder` is the pod's. Raises EvaluationError."""
    resource = template["resource"]
    declared = (template.get("outputs") or {}).get("parameters") or []
    if resource["action"] == "delete" and (declared or any(resource.get(name) for name in _CONDITIONS)):
        raise EvaluationError("successCondition, failureCondition and outputs are not supported for delete action")
    printed = await _done(resource, _manifest(template, folder))
    if resource["action"] == "delete":
        return {}
    if not printed.strip() and resource["action"] == "get":
        return {"parameters": [{**one, "value": _default(one)} for one in declared]} if declared else {}
    made = json.loads(printed)
    group = made.get("apiVersion", "").rpartition("/")[0]
    name, kind = (made.get("metadata") or {}).get("name"), made.get("kind")
    if not name or not kind:
        raise EvaluationError("Kind and name are both required but at least one of them is missing from the manifest")
    namespace = made["metadata"].get("namespace", "")
    place = (*(("-n", namespace) if namespace else ()), "get", f"{kind.lower()}.{group}/{name}")
    await _wait(resource, place)
    return {"parameters": [await _parameter(one, place) for one in declared]} if declared else {}


def _manifest(template: Mapping[str, Any], folder: Path) -> Path | None:
    """The file of the manifest: an input artifact's, or one that is written here."""
    source = (template["resource"].get("manifestFrom") or {}).get("artifact") or {}
    listed = (template.get("inputs") or {}).get("artifacts") or []
    path = next((Path(one["path"]) for one in listed if one["name"] == source.get("name")), None)
    if path is not None:
        return path
    if not template["resource"].get("manifest"):
        return None
    file = folder / "manifest.yaml"
    file.write_text(template["resource"]["manifest"])
    return file


async def _done(resource: Mapping[str, Any], manifest: Path | None) -> bytes:
    action, flags = resource["action"], [gotext.any_string(flag) for flag in resource.get("flags") or []]
    if manifest is None and not flags:
        raise EvaluationError("Must provide at least one of flags or manifest.")
    words = ["kubectl", action]
    by_file = manifest is not None
    if action == "patch" and manifest is not None:
        strategy = resource.get("mergeStrategy") or "strategic"
        words += ["--type", strategy, "--patch-file", str(manifest)]
        by_file = strategy != "json" and not (flags and "kind" not in (yaml.safe_load(manifest.read_text()) or {}))
    if action == "delete":
        words.append("--ignore-not-found")
    words += [*flags, *(["-f", str(manifest)] if by_file else []), "-o", "name" if action == "delete" else "json"]
    try:
        return await commands.output(*words)
    except EvaluationError as error:
        raise EvaluationError(f"no more retries {error}") from None


async def _wait(resource: Mapping[str, Any], place: tuple[str, ...]) -> None:
    succeeds, fails = (selectors.parsed(resource.get(name) or "") for name in _CONDITIONS)
    while succeeds or fails:
        state = json.loads(await commands.output("kubectl", *place, "-o", "json"))
        failed = next((one for one in fails if one.holds(state)), None)
        if failed:
            raise EvaluationError(f"failure condition '{failed}' evaluated true")
        if all(one.holds(state) for one in succeeds):
            return
        await asyncio.sleep(_PAUSE_S)


async def _parameter(declared: Mapping[str, Any], place: tuple[str, ...]) -> dict[str, Any]:
    source = declared.get("valueFrom") or {}
    if source.get("jsonPath"):
        value = (await commands.output("kubectl", *place, "-o", f"jsonpath={source['jsonPath']}")).decode()
    else:
        found = await commands.output("kubectl", *place, "-o", "json")
        value = (await commands.output("jq", "-r", "-c", source["jqFilter"], stdin=found)).decode().strip()
    return {**declared, "value": value}


def _default(declared: Mapping[str, Any]) -> str:
    default = (declared.get("valueFrom") or {}).get("default")
    return "" if default is None else gotext.any_string(default)


def problems(template: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """What keeps a resource template from being carried out here; `path` is the template's."""
    resource, where = template["resource"], f"{path}.resource"
    if not os.environ.get("KUBECONFIG") or shutil.which("kubectl") is None:
        yield Problem(where, "it needs a cluster: set KUBECONFIG, and have kubectl on PATH")
    action, strategy = resource["action"], resource.get("mergeStrategy") or _MERGE[0]
    if action not in _ACTIONS:
        yield Problem(f"{where}.action", f"expected one of {', '.join(_ACTIONS)}, got {action!r}")
    if strategy not in _MERGE:
        yield Problem(f"{where}.mergeStrategy", f"expected one of {', '.join(_MERGE)}, got {strategy!r}")
    for name in _CONDITIONS:
        try:
            selectors.parsed(resource.get(name) or "" if "{{" not in (resource.get(name) or "") else "")
        except EvaluationError as error:
            yield Problem(f"{where}.{name}", str(error))
    for place, one in enumerate((template.get("outputs") or {}).get("parameters") or []):
        source = one.get("valueFrom") or {}
        if not source.get("jsonPath") and not source.get("jqFilter"):
            yield Problem(f"{path}.outputs.parameters[{place}].valueFrom", "of a resource, an output needs a jsonPath or a jqFilter")
        elif not source.get("jsonPath") and shutil.which("jq") is None:
            yield Problem(f"{path}.outputs.parameters[{place}].valueFrom.jqFilter", "there is no jq on this machine; install it")
