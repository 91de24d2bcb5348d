"""The Kubernetes API as a release needs it, from within a pod: objects are plain data, and every call ends within a bound."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps import contract
from steps.release import refusals
from steps.release.manifests import MANAGER, Manifest

# Where a pod finds its account: https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
PATIENCE_S = 60.0
# Seconds for a connection, and for an answer on it.
_TIMEOUT_S = (5, 30)
_KINDS = {
    "Deployment": ("apis/apps/v1", "deployments"),
    "PodDisruptionBudget": ("apis/policy/v1", "poddisruptionbudgets"),
    "Service": ("api/v1", "services"),
}


@dataclass(frozen=True)
class Account:
    """Whose rights a pod has."""

    namespace: str
    name: str
    uid: str


def account(folder: Path = ACCOUNT) -> Account:
    """The account of this pod, as its token says. Raises BadInput where the pod has none."""
    try:
        payload = (folder / "token").read_text().split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["kubernetes.io"]
        return Account(claims["namespace"], claims["serviceaccount"]["name"], claims["serviceaccount"]["uid"])
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise contract.BadInput(
            f"{folder}/token: expected the token of an account that may deploy, got none that can be read ({error});"
            " give the pod an account, and automountServiceAccountToken: true"
        ) from None


def in_cluster() -> Api:
    """The API as this pod reaches it."""
    return Api(account(), _client())


def _client() -> Any:
    from kubernetes import client
    from kubernetes.config import incluster_config

    configuration = client.Configuration()
    # A proxy of the environment is never asked for the cluster's own API; how often to try again is said below.
    configuration.proxy, configuration.retries = None, False
    incluster_config.InClusterConfigLoader(str(ACCOUNT / "token"), str(ACCOUNT / "ca.crt")).load_and_set(configuration)
    return client.ApiClient(configuration)


class Api:
    """Calls to the API server in the account's namespace. Raises BadInput or Transient, as `refusals` tells them."""

    def __init__(self, account: Account, client: Any) -> None:
        self.account, self._client = account, client

    def get(self, kind: str, name: str) -> Manifest | None:
        """An object; None where there is none."""
        return self._call("GET", kind, name, f"reading {kind} {name}", missing_is_none=True)

    def apply(self, sent: Manifest, manager: str = MANAGER, dry_run: bool = False) -> Manifest:
        """Have an object be as it is sent, by server-side apply; the object as it is then. What `manager` sent before and not now goes."""
        kind, name = sent["kind"], sent["metadata"]["name"]
        query = [("fieldManager", manager), ("force", "true"), *([("dryRun", "All")] if dry_run else [])]
        applied = self._call("PATCH", kind, name, f"applying {kind} {name}", query, sent)
        assert applied is not None
        return applied

    def delete(self, kind: str, name: str) -> None:
        """Have an object go, and what it owns after it. None there is no error."""
        self._call("DELETE", kind, name, f"deleting {kind} {name}", [("propagationPolicy", "Background")], missing_is_none=True)

    def pods(self, selector: Mapping[str, str]) -> list[Manifest]:
        """The pods with these labels."""
        query = [("labelSelector", ",".join(f"{name}={value}" for name, value in selector.items()))]
        path = f"/api/v1/namespaces/{self.account.namespace}/pods"
        found = self._repeat("GET", path, "listing pods", query, None, False)
        return list((found or {}).get("items") or [])

    def _call(
        self,
        method: str,
        kind: str,
        name: str,
        what: str,
        query: list[tuple[str, str]] | None = None,
        sent: Manifest | None = None,
        missing_is_none: bool = False,
    ) -> Manifest | None:
        group, plural = _KINDS[kind]
        path = f"/{group}/namespaces/{self.account.namespace}/{plural}/{name}"
        return self._repeat(method, path, what, query or [], sent, missing_is_none)

    def _repeat(
        self, method: str, path: str, what: str, query: list[tuple[str, str]], sent: Manifest | None, missing_is_none: bool
    ) -> Manifest | None:
        deadline, wait_s = time.monotonic() + PATIENCE_S, 0.5
        while True:
            status, answer = self._once(method, path, query, sent)
            if isinstance(answer, Mapping):
                return dict(answer)
            if status == refusals.NOT_FOUND and missing_is_none:
                return None
            if status not in refusals.PASSING or time.monotonic() + wait_s > deadline:
                raise refusals.error(status, answer, what, sent)
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, 5)

    def _once(self, method: str, path: str, query: list[tuple[str, str]], sent: Manifest | None) -> tuple[int, Manifest | str]:
        """The status, and the object or what was said instead of one."""
        from kubernetes.client import exceptions
        from urllib3.exceptions import HTTPError

        headers = {"Accept": "application/json"} | ({"Content-Type": "application/apply-patch+yaml"} if sent else {})
        options = {"response_type": "object", "auth_settings": ["BearerToken"], "_request_timeout": _TIMEOUT_S}
        try:
            answer, status, _ = self._client.call_api(path, method, query_params=query, header_params=headers, body=sent, **options)
        except exceptions.ApiException as error:
            return error.status or refusals.NO_ANSWER, refusals.message(error.body) or str(error.reason)
        except (HTTPError, OSError) as error:
            return refusals.NO_ANSWER, str(error)
        return status, answer
