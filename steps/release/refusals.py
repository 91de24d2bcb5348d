"""What the Kubernetes API means when it says no, as an error of the step contract that says what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from steps import contract

NO_ANSWER, NOT_FOUND = 0, 404
# Worth asking again: no answer, too many requests, a fault of the server, or a write that met another one.
PASSING = frozenset([NO_ANSWER, 408, 409, 429, 500, 502, 503, 504])

# RBAC's words (k8s.io/apiserver, endpoints/handlers/responsewriters/errors.go).
_RIGHT = re.compile(r'User "(?P<user>[^"]*)" cannot (?P<verb>\w+) resource "(?P<resource>[^"]*)"(?: in API group "(?P<group>[^"]*)")?')


def message(body: str | bytes | None) -> str:
    """What an answer of the API says: its message where it is a Status, the whole of it otherwise."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else body or ""
    try:
        status = json.loads(text)
    except ValueError:
        status = None
    return str(status.get("message", text)) if isinstance(status, Mapping) else text


def error(status: int, said: str, what: str, sent: Mapping[str, Any] | None = None) -> contract.StepError:
    """The error for an answer with this HTTP status; `what` is what was asked for, `sent` the object, where one was."""
    if status == NO_ANSWER:
        return contract.Transient(f"{what}: the Kubernetes API does not answer: {said}")
    if status in PASSING:
        return contract.Transient(f"{what}: the Kubernetes API fails for now (HTTP {status}): {said}")
    if status == 401:
        return contract.BadInput(
            f"{what}: the Kubernetes API does not accept the token of this pod's account ({said}); is the account there?"
        )
    right = _RIGHT.search(said) if status == 403 else None
    if right:
        account = right["user"].rpartition(":")[2]
        group = f' of API group "{right["group"]}"' if right["group"] else ""
        return contract.BadInput(
            f"{what}: expected the account {account} to have the right to {right['verb']} {right['resource']}{group}, but it has not;"
            f" add the verb to its Role, or install the roles of kustomize/base again ({said})"
        )
    port = _node_port(sent)
    if port and "nodePort" in said:
        return contract.BadInput(
            f"TF_SERVING_NODE_PORT: expected a port of the cluster's range that is free, got {port}: {said};"
            " choose another one, or leave it empty and the cluster chooses"
        )
    return contract.BadInput(f"{what}: the cluster refuses it (HTTP {status}): {said}")


def _node_port(sent: Mapping[str, Any] | None) -> int | None:
    if sent is None or sent["kind"] != "Service":
        return None
    return next((port["nodePort"] for port in sent["spec"]["ports"] if "nodePort" in port), None)
