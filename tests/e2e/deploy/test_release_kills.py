"""A deploy step that is killed at any moment and run again ends as if it had not been, and clients notice nothing."""

import pytest

from steps import contract

pytestmark = pytest.mark.e2e

# Writes, right after which the step is killed; the next one starts from what that left.
EARLY = ["apply Deployment/model-canary", "apply Deployment/model"]
LATE = ["delete Deployment/model-canary", "apply Service/model", "apply note"]


def killed(serving, moments):
    for moment in moments:
        code, log = serving.step(f"tests.e2e.deploy.killed_at {moment}", VERSION=2)
        assert code == 137, (moment, log)


def test_killed_at_any_moment_and_run_again_it_ends_the_same(serving):
    before = serving.specs()
    with serving.client() as seen:
        serving.publish(2)
        killed(serving, EARLY)
        serving.publish(2, "wrong")
        code, log = serving.deploy(2)
        assert (code, "Version 1 goes on serving" in log) == (contract.BAD_INPUT, True), log
        assert serving.specs() == before, "what a killed release began goes back to what was released last"
        serving.publish(2)
        killed(serving, LATE)
        code, log = serving.deploy(2)
        assert (code, "version 2 of model serves already" in log) == (0, True), log
    assert (seen["failed"], seen["versions"][0], seen["versions"][-1]) == ([], 1, 2)
    serving.assert_serves(2)
    after = serving.specs()
    assert all(after[key] == spec for key, spec in before.items() if key[0] != "Deployment")
    assert serving.records()[-1] == ("deploy", 2, 1)
