"""What the Kubernetes API says, and what the deploy step makes of it."""

import base64
import json

import pytest

from steps import contract
from steps.release import api, refusals

WHO = 'User "system:serviceaccount:place:tiphys-deployer"'
SERVICE = {"kind": "Service", "spec": {"ports": [{"port": 8500, "nodePort": 80}]}}


@pytest.mark.parametrize(
    ("status", "said", "kind", "message"),
    [
        (0, "connection refused", contract.Transient, "the Kubernetes API does not answer: connection refused"),
        (503, "etcd is away", contract.Transient, "fails for now (HTTP 503): etcd is away"),
        (429, "too many requests", contract.Transient, "fails for now (HTTP 429)"),
        (409, "the object has been modified", contract.Transient, "fails for now (HTTP 409)"),
        (401, "Unauthorized", contract.BadInput, "does not accept the token of this pod's account"),
        (
            403,
            f'deployments.apps "m" is forbidden: {WHO} cannot patch resource "deployments" in API group "apps" in the namespace "place"',
            contract.BadInput,
            'expected the account tiphys-deployer to have the right to patch deployments of API group "apps", but it has not',
        ),
        (
            403,
            f'pods is forbidden: {WHO} cannot list resource "pods" in API group "" in the namespace "place"',
            contract.BadInput,
            "the right to list pods, but it has not; add the verb to its Role",
        ),
        (403, 'services "m" is forbidden: exceeded quota: small', contract.BadInput, "the cluster refuses it (HTTP 403)"),
        (422, 'Deployment "m" is invalid: spec.replicas', contract.BadInput, "the cluster refuses it (HTTP 422): Deployment"),
        (
            422,
            "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range",
            contract.BadInput,
            "TF_SERVING_NODE_PORT: expected a port of the cluster's range that is free, got 80",
        ),
    ],
)
def test_a_refusal_says_what_to_do(status, said, kind, message):
    error = refusals.error(status, said, "applying Service m", SERVICE)
    assert (type(error), message in str(error)) == (kind, True), error


@pytest.mark.parametrize(
    ("body", "message"),
    [('{"kind": "Status", "message": "no"}', "no"), (b"<html>bad gateway</html>", "<html>bad gateway</html>"), ("[1]", "[1]"), (None, "")],
)
def test_what_an_answer_says(body, message):
    assert refusals.message(body) == message


def token(claims):
    return ".".join(["e30", base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("="), "signature"])


def test_a_pod_is_told_its_account_by_its_token(tmp_path):
    claims = {"namespace": "place", "serviceaccount": {"name": "tiphys-deployer", "uid": "u-1"}, "pod": {"name": "p"}}
    (tmp_path / "token").write_text(token({"iss": "somebody", "kubernetes.io": claims}))
    assert api.account(tmp_path) == api.Account("place", "tiphys-deployer", "u-1")


@pytest.mark.parametrize("text", [None, "", "no token", "a.b.c", token({"iss": "somebody"})])
def test_a_token_that_says_nothing_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "token").write_text(text)
    with pytest.raises(contract.BadInput, match="expected the token of an account that may deploy"):
        api.account(tmp_path)
