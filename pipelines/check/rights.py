"""Service accounts, where roles and bindings are among the files: whether they may do what the steps need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.check.fields import near
from pipelines.check.findings import Path, Problem
from pipelines.check.manifests import kinds
from pipelines.check.model import Flow, Library, Target
from pipelines.check.reading import Document

_PODS = ("container", "containerSet", "script", "resource", "data")
_RESULTS = ("argoproj.io", "workflowtaskresults")
# What kubectl does for an action: https://kubernetes.io/docs/reference/access-authn-authz/authorization/
_VERBS: Mapping[str, tuple[str, ...]] = {
    "get": ("get",),
    "create": ("create",),
    "apply": ("get", "create", "patch"),
    "patch": ("get", "patch"),
    "replace": ("get", "update"),
    "delete": ("delete",),
}
_IRREGULAR = {"Endpoints": "endpoints", "Ingress": "ingresses", "StorageClass": "storageclasses", "IngressClass": "ingressclasses"}


@dataclass(frozen=True)
class _Need:
    account: str
    group: str
    resource: str
    verb: str
    path: Path
    why: str


def problems(library: Library) -> Iterator[tuple[Document, Problem]]:
    """Accounts that do not exist, and rights that accounts do not have, as far as the files tell."""
    accounts = {_name(value) for _, value in library.objects("ServiceAccount")}
    knows_roles = bool(library.objects("Role", "ClusterRole")) and bool(library.objects("RoleBinding", "ClusterRoleBinding"))
    for flow in library.flows:
        for account, path in _accounts(flow):
            if accounts and account not in accounts and "{{" not in account:
                message = f"there is no ServiceAccount {account!r} among those given"
                yield flow.document, Problem("unknown-account", path, message, near(account, accounts))
        for need in _needs(flow) if knows_roles else ():
            if (need.account in accounts or _bindings(library, flow, need.account)) and not _may(library, flow, need):
                message = f"{need.account} may not {need.verb} {need.resource}{f'.{need.group}' if need.group else ''}: {need.why}"
                fix = f"bind a role to {need.account} with the verb {need.verb} on {need.resource}"
                yield flow.document, Problem("missing-right", need.path, message, fix)


def _accounts(flow: Flow) -> Iterator[tuple[str, Path]]:
    held = [(flow.spec, flow.path), *((target.template, target.path) for target in flow.every)]
    for holder, path in held:
        if holder.get("serviceAccountName"):
            yield holder["serviceAccountName"], (*path, "serviceAccountName")
        if holder.get("executor", {}).get("serviceAccountName"):
            yield holder["executor"]["serviceAccountName"], (*path, "executor", "serviceAccountName")


def _needs(flow: Flow) -> Iterator[_Need]:
    said: set[tuple[str, str, str]] = set()
    for target in flow.every:
        account, path = _account(target)
        executor = target.template.get("executor", flow.spec.get("executor", {})).get("serviceAccountName") or account
        if target.kind not in _PODS or not account or "{{" in account + executor:
            continue
        for verb in ("create", "patch"):
            key = (executor, _RESULTS[1], verb)
            if key not in said:
                said.add(key)
                yield _Need(executor, *_RESULTS, verb, path, "Argo reports the results of each pod so")
        if target.kind == "resource":
            yield from _of_resource(target, executor)


def _account(target: Target) -> tuple[str, Path]:
    """The account of a template's pod, and where it is named; the default account is bound elsewhere."""
    if target.template.get("serviceAccountName"):
        return target.template["serviceAccountName"], (*target.path, "serviceAccountName")
    return target.flow.spec.get("serviceAccountName", ""), (*target.flow.path, "serviceAccountName")


def _of_resource(target: Target, account: str) -> Iterator[_Need]:
    resource = target.template["resource"]
    verbs = _VERBS.get(resource.get("action", ""), ())
    if resource.get("successCondition") or resource.get("failureCondition"):
        verbs = (*verbs, "get")
    for value in kinds(target):
        kind, version = value.get("kind"), str(value.get("apiVersion", ""))
        if isinstance(kind, str) and "argotag" not in kind + version:
            group = version.rpartition("/")[0]
            for verb in dict.fromkeys(verbs):
                yield _Need(
                    account, group, _plural(kind), verb, (*target.path, "resource"), f"the action {resource.get('action')} needs it"
                )


def _plural(kind: str) -> str:
    small = _IRREGULAR.get(kind, kind.lower())
    if kind in _IRREGULAR:
        return small
    return (
        f"{small[:-1]}ies" if small.endswith("y") and small[-2:-1] not in "aeiou" else f"{small}es" if small.endswith("s") else f"{small}s"
    )


def _bindings(library: Library, flow: Flow, account: str) -> list[dict[str, Any]]:
    """The bindings that name an account."""
    found = [value for _, value in library.objects("RoleBinding", "ClusterRoleBinding")]
    return [one for one in found if any(_is_subject(subject, one, flow, account) for subject in _list(one.get("subjects")))]


def _may(library: Library, flow: Flow, need: _Need) -> bool:
    for binding in _bindings(library, flow, need.account):
        reference = _map(binding.get("roleRef"))
        roles = [value for _, value in library.objects(str(reference.get("kind"))) if _name(value) == reference.get("name")]
        if not roles or any(_allows(rule, need) for role in roles for rule in _list(role.get("rules"))):
            return True  # a role that is not among the files may allow it
    return False


def _is_subject(subject: Any, binding: Mapping[str, Any], flow: Flow, account: str) -> bool:
    one = _map(subject)
    namespace = one.get("namespace") or _map(binding.get("metadata")).get("namespace")
    same = not namespace or not flow.namespace or namespace == flow.namespace
    return one.get("kind") == "ServiceAccount" and one.get("name") == account and same


def _allows(rule: Any, need: _Need) -> bool:
    one = _map(rule)
    wanted = (("apiGroups", need.group), ("resources", need.resource), ("verbs", need.verb))
    return all("*" in _list(one.get(field)) or value in _list(one.get(field)) for field, value in wanted)


def _name(value: Mapping[str, Any]) -> str:
    return str(_map(value.get("metadata")).get("name", ""))


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
