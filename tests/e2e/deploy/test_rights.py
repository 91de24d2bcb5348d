"""The deployer's rights: with each one taken away something breaks, and is told by its name."""

import copy

import pytest

from steps import contract
from tests.e2e.deploy.namespace import role

pytestmark = pytest.mark.e2e

ALL = [(rule["apiGroups"][0], rule["resources"][0], verb) for rule in role()["rules"] for verb in rule["verbs"]]
# What is only ever deleted where a first release fails.
AT_THE_END = [("", "services", "delete"), ("policy", "poddisruptionbudgets", "delete")]


def without(group, resource, verb):
    changed = copy.deepcopy(role())
    for rule in changed["rules"]:
        if (rule["apiGroups"], rule["resources"]) == ([group], [resource]):
            rule["verbs"].remove(verb)
    changed["rules"] = [rule for rule in changed["rules"] if rule["verbs"]]
    return changed


def told(log, group, resource, verb):
    where = f' of API group "{group}"' if group else ""
    return f"expected the account tiphys-deployer to have the right to {verb} {resource}{where}, but it has not" in log


def test_each_right_is_needed_and_named(namespace):
    namespace.publish(1)
    for right in ALL:
        if right not in AT_THE_END:
            namespace.apply(without(*right))
            code, log = namespace.deploy(1)
            assert (code, told(log, *right)) == (contract.BAD_INPUT, True), (right, log)
    namespace.apply(role())
    code, log = namespace.step("tests.e2e.deploy.killed_at apply Service/model", VERSION=1)
    assert code == 137, log
    namespace.publish(1, "wrong")
    for right in AT_THE_END:
        namespace.apply(without(*right))
        code, log = namespace.deploy(1)
        assert (code, told(log, *right)) == (contract.BAD_INPUT, True), (right, log)
        assert (("PodDisruptionBudget", "model") in namespace.state()) is True
    namespace.apply(role())
    code, log = namespace.deploy(1)
    assert (code, "failed as well" in log) == (contract.BAD_INPUT, False), log
    namespace.assert_nothing_is_left()


def test_it_may_do_nothing_else(shared):
    """Read no secret, make no pod, go into none, give no rights. Everybody may ask about themselves."""
    who = f"system:serviceaccount:{shared.name}:tiphys-deployer"
    rows = [line.split(maxsplit=3) for line in shared.kubectl("auth", "can-i", "--list", "--no-headers", f"--as={who}").splitlines()]
    allowed = {row[0]: row[1:] for row in rows if not row[0].startswith(("[", "self"))}
    expected = {".".join([rule["resources"][0], *filter(None, rule["apiGroups"])]): rule["verbs"] for rule in role()["rules"]}
    assert allowed == {resource: ["[]", "[]", f"[{' '.join(verbs)}]"] for resource, verbs in expected.items()}
