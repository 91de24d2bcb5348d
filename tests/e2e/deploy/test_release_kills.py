"""A deploy step that is killed at any moment and run again ends as if it had not been, and clients notice nothing."""

import pytest

pytestmark = pytest.mark.e2e

# Writes, right after which the step is killed; the next start finds what that left.
MOMENTS = ["apply Deployment/model-canary", "delete Deployment/model-canary", "apply Deployment/model", "apply Service/model", "apply note"]


def test_killed_at_any_moment_and_run_again_it_ends_the_same(serving):
    before = serving.specs()
    serving.publish(2)
    with serving.client() as seen:
        for moment in MOMENTS:
            code, log = serving.step(f"tests.e2e.deploy.killed_at {moment}", VERSION=2)
            assert code == 137, (moment, log)
        code, log = serving.deploy(2)
        assert (code, "version 2 of model serves already" in log) == (0, True), log
    assert (seen["failed"], seen["versions"]) == ([], [1, 2])
    serving.assert_serves(2)
    after = serving.specs()
    assert all(after[key] == spec for key, spec in before.items() if key[0] != "Deployment")
    assert serving.records()[-1] == ("deploy", 2, 1)
