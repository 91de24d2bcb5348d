"""Releases on this machine: what serves before, during and after, whatever goes wrong. The server is a stand-in that starts in a blink."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from clients.serving import calls
from steps import contract, release
from steps.release import local, ports, questions


def deploy(workspace, version, **settings):
    return workspace.run("deploy_stand_in.py", VERSION=version, **settings)


def patience(behaviour):
    """Little, where a version never loads."""
    return {"PATIENCE_S": 6} if behaviour == "hang" else {}


def deployed(workspace, *versions):
    """Versions published and deployed, one after the other."""
    for version in versions:
        if not workspace.places.version(version).exists():
            workspace.publish_stub(version)
        code, log = deploy(workspace, version)
        assert code == 0, log


def version_that_answers(port):
    """The version that a client without a wish is answered by."""
    request = questions.predict_request("model", None, {})
    with questions.channel(f"127.0.0.1:{port}") as channel:
        return calls.predict(channel)(request, timeout=10, wait_for_ready=True).model_spec.version.value


def assert_serves(workspace, version):
    server = release.serving(workspace.output)
    assert server.version == version
    assert workspace.servers() == [server.pid]
    assert version_that_answers(server.port) == version
    assert f"versions: {version}\n" in (workspace.output / "models.config").read_text()


def assert_nothing_is_left(workspace):
    assert workspace.servers() == []
    assert release.serving(workspace.output) is None
    assert {"serving.json", "models.config", "canary.config"}.isdisjoint(path.name for path in workspace.output.iterdir())


def test_a_first_release(workspace):
    workspace.publish_stub(1)
    code, log = deploy(workspace, 1)
    assert code == 0, log
    assert workspace.outputs() == {"address": f"localhost:{workspace.port}"}
    assert_serves(workspace, 1)
    assert os.getsid(release.serving(workspace.output).pid) != os.getsid(0)
    last = json.loads(workspace.places.records.read_text())
    assert (last["action"], last["version"], last["previous"], last["run"]) == ("deploy", 1, None, "run-1")


def test_a_second_release_reloads_the_same_server(workspace):
    deployed(workspace, 1)
    before = release.serving(workspace.output)
    deployed(workspace, 2)
    assert release.serving(workspace.output).pid == before.pid
    assert_serves(workspace, 2)
    assert workspace.records() == [("deploy", 1, None), ("deploy", 2, 1)]


def test_run_twice_it_changes_nothing(workspace):
    deployed(workspace, 1)
    before = {path.name: path.stat().st_mtime_ns for path in workspace.output.iterdir()}
    deployed(workspace, 1)
    assert {path.name: path.stat().st_mtime_ns for path in workspace.output.iterdir()} == before
    assert workspace.records() == [("deploy", 1, None)]


FAULTS = [
    ("no-load", contract.BAD_INPUT, "version 2 of model does not load: DATA_LOSS: made not to load"),
    ("wrong", contract.BAD_INPUT, r"version 2 answers it: expected \[0.25, 0.75\] in row 0, got \[0.26, 0.74\]"),
    ("nan", contract.BAD_INPUT, "expected finite numbers, got nan in row 0"),
    ("crash", contract.BAD_INPUT, "the model server for version 2 ended.*a crash, on purpose"),
    ("kill", contract.TRANSIENT, "the model server for version 2 ended"),
    ("hang", contract.TRANSIENT, "expected it to be AVAILABLE, alone, within 6 s, got"),
]


@pytest.mark.parametrize(("behaviour", "code", "message"), FAULTS[:3])
def test_a_failed_first_release_leaves_nothing(workspace, behaviour, code, message):
    workspace.publish_stub(2, behaviour)
    got, log = deploy(workspace, 2, **patience(behaviour))
    assert got == code, log
    assert re.search(message, log), log
    assert "Nothing serves, and nothing was left half-made" in log
    assert "Traceback" not in log
    assert_nothing_is_left(workspace)
    assert workspace.records() == [("deploy-failed", 2, None)]
    assert re.search(message, workspace.last_reason())


def test_a_first_release_that_fails_only_for_real_leaves_nothing(workspace):
    workspace.publish_stub(1, "wrong-when-live")
    code, log = deploy(workspace, 1)
    assert code == contract.BAD_INPUT, log
    assert_nothing_is_left(workspace)


def test_a_bad_second_version_leaves_the_first_serving(workspace):
    deployed(workspace, 1)
    pid = release.serving(workspace.output).pid
    for number, (behaviour, code, message) in enumerate(FAULTS[3:]):
        shutil.rmtree(workspace.places.version(2), ignore_errors=True)
        workspace.publish_stub(2, behaviour)
        got, log = deploy(workspace, 2, **patience(behaviour))
        assert got == code, (behaviour, log)
        assert re.search(message, log), log
        assert "Version 1 goes on serving" in log
        assert_serves(workspace, 1)
        assert release.serving(workspace.output).pid == pid
        assert workspace.records() == [("deploy", 1, None), *[("deploy-failed", 2, 1)] * (number + 1)]


# A live server that dies of the new version, for want of anything better, gives no exit code: the step did not start it.
@pytest.mark.parametrize("behaviour", ["no-load", "wrong", "crash", "hang"])
def test_a_version_that_is_bad_only_for_real_is_taken_back(workspace, behaviour):
    deployed(workspace, 1)
    workspace.publish_stub(2, f"{behaviour}-when-live")
    code, log = deploy(workspace, 2, **patience(behaviour))
    assert code == (contract.BAD_INPUT if behaviour in ("no-load", "wrong") else contract.TRANSIENT), log
    assert "Version 1 goes on serving" in log
    assert_serves(workspace, 1)
    assert workspace.records() == [("deploy", 1, None), ("deploy-failed", 2, 1)]
    deployed(workspace, 3)
    assert_serves(workspace, 3)


def test_a_port_in_use_is_refused_before_anything_starts(workspace):
    workspace.publish_stub(1)
    with socket.create_server(("127.0.0.1", workspace.port)):
        code, log = deploy(workspace, 1)
    assert code == contract.BAD_INPUT
    expected = (
        rf"TF_SERVING_PORT: expected a free port, but process {os.getpid()} \(.*\) listens at {workspace.port}; .*-p TF_SERVING_PORT="
    )
    assert re.search(expected, log), log
    assert_nothing_is_left(workspace)


def test_a_rest_port_in_use_on_another_address_is_refused_too(workspace):
    deployed(workspace, 1)
    workspace.publish_stub(2)
    rest = ports.free(1)[0]
    with socket.create_server(("::1", rest), family=socket.AF_INET6) if socket.has_ipv6 else socket.create_server(("127.0.0.2", rest)):
        code, log = deploy(workspace, 2, TF_SERVING_PORT=ports.free(1)[0], TF_SERVING_REST_PORT=rest)
    assert (code, "TF_SERVING_REST_PORT: expected a free port" in log) == (contract.BAD_INPUT, True), log
    assert_serves(workspace, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"VERSION": 7}, r"VERSION: expected a published version of model \(there are: 1\), got 7"),
        ({"VERSION": "two"}, "VERSION: expected a whole number, 1 or more, got 'two'"),
        ({"VERSION": 1, "TF_SERVING_PORT": 80000}, "TF_SERVING_PORT: expected a port, 1 to 65535, got '80000'"),
        (
            {"VERSION": 1, "TF_SERVING_PORT": 8600, "TF_SERVING_REST_PORT": 8600},
            "TF_SERVING_REST_PORT: expected another port than TF_SERVING_PORT",
        ),
    ],
)
def test_bad_settings_are_named(workspace, settings, message):
    workspace.publish_stub(1)
    code, log = workspace.run("deploy_stand_in.py", **settings)
    assert (code, bool(re.search(message, log))) == (contract.BAD_INPUT, True), log
    assert_nothing_is_left(workspace)


def test_a_pod_without_an_account_is_told_so(workspace):
    workspace.publish_stub(1)
    code, log = workspace.run("steps.deploy", VERSION=1, KUBERNETES_SERVICE_HOST="10.0.0.1")
    assert (code, "expected the token of an account that may deploy, got none that can be read" in log) == (contract.BAD_INPUT, True), log


def test_a_server_moves_to_other_ports(workspace):
    deployed(workspace, 1)
    before = release.serving(workspace.output)
    workspace.port, workspace.rest_port = ports.free(2)
    deployed(workspace, 1)
    after = release.serving(workspace.output)
    assert (after.port, after.rest_port) == (workspace.port, workspace.rest_port)
    assert after.pid != before.pid
    assert_serves(workspace, 1)


def test_a_move_that_fails_leaves_the_server_where_it_is(workspace):
    deployed(workspace, 1)
    workspace.publish_stub(2, "wrong-when-live")
    code, log = deploy(workspace, 2, TF_SERVING_PORT=ports.free(1)[0], TF_SERVING_REST_PORT=ports.free(1)[0])
    assert code == contract.BAD_INPUT, log
    assert release.serving(workspace.output).port == workspace.port
    assert_serves(workspace, 1)


def test_a_server_that_died_is_started_again(workspace):
    deployed(workspace, 1)
    os.kill(release.serving(workspace.output).pid, signal.SIGKILL)
    deployed(workspace, 1)
    assert_serves(workspace, 1)


def test_a_process_that_was_given_the_id_of_a_server_is_left_alone(workspace):
    deployed(workspace, 1)
    note = workspace.output / "serving.json"
    noted = json.loads(note.read_text())
    release.stop_server(workspace.output)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        noted["server"]["pid"] = stranger.pid
        note.write_text(json.dumps(noted))
        assert release.serving(workspace.output) is None
        assert release.stop_server(workspace.output) is False
        assert stranger.poll() is None
        stranger.kill()


def test_stopping_forgets_the_server(workspace):
    deployed(workspace, 1)
    assert release.stop_server(workspace.output) is True
    assert_nothing_is_left(workspace)
    assert release.stop_server(workspace.output) is False


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr(local, "EMBEDDED_SERVER", (sys.executable, str(Path(__file__).with_name("stand_in.py"))))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))


def test_stopping_ends_what_a_killed_release_left(workspace):
    workspace.publish_stub(1, "hang")
    with workspace.start("deploy_stand_in.py", VERSION=1) as step:
        workspace.await_note()
        step.kill()
    assert release.serving(workspace.output) is None
    assert release.stop_server(workspace.output) is True
    assert_nothing_is_left(workspace)


def test_rollback_goes_back_version_by_version(workspace, stand_in):
    deployed(workspace, 1, 2, 3)
    for version in (2, 1):
        assert release.rollback(workspace.output).version == version
        assert_serves(workspace, version)
    assert workspace.records()[3:] == [("rollback", 2, 3), ("rollback", 1, 2)]
    with pytest.raises(contract.BadInput, match="no version to go back to: expected one released before"):
        release.rollback(workspace.output)
    assert_serves(workspace, 1)


def test_rollback_goes_to_the_version_that_is_asked_for(workspace, stand_in):
    deployed(workspace, 1, 2, 3)
    assert release.rollback(workspace.output, 1).version == 1
    assert_serves(workspace, 1)
    with pytest.raises(contract.BadInput, match=r"expected a published version of model \(there are: 1, 2, 3\), got 9"):
        release.rollback(workspace.output, 9)


def test_the_rollback_step_goes_back_on_one_machine_too(workspace):
    deployed(workspace, 1, 2)
    code, log = workspace.run("deploy_stand_in.py", "rollback", ROLLBACK_VERSION="")
    assert code == 0, log
    assert workspace.outputs() == {"version": "1", "address": f"localhost:{workspace.port}"}
    assert_serves(workspace, 1)


def test_a_rollback_that_fails_leaves_what_serves(workspace, stand_in):
    deployed(workspace, 1, 2)
    (workspace.places.version(1) / "saved_model.pb").write_text("wrong")
    with pytest.raises(contract.BadInput, match="Version 2 goes on serving"):
        release.rollback(workspace.output)
    assert_serves(workspace, 2)
    assert workspace.records()[2:] == [("rollback-failed", 1, 2)]


def test_rollback_without_a_server_is_refused(workspace):
    workspace.publish_stub(1)
    with pytest.raises(contract.BadInput, match="no server of this folder runs"):
        release.rollback(workspace.output)


def test_what_an_operator_meets_when_a_release_is_under_way(workspace):
    workspace.publish_stub(1, "hang")
    workspace.publish_stub(2)
    with workspace.start("deploy_stand_in.py", VERSION=1, PATIENCE_S=6) as first:
        assert first.stderr.readline().startswith("trying version 1")
        second, log = deploy(workspace, 2)
        first.communicate()
    assert (first.returncode, second) == (contract.TRANSIENT, 0)
    assert f"waiting for another release in {workspace.output}" in log
    assert_serves(workspace, 2)
    assert workspace.records() == [("deploy-failed", 1, None), ("deploy", 2, None)]


def test_stopped_by_sigterm_it_takes_back_what_it_began(workspace):
    deployed(workspace, 1)
    workspace.publish_stub(2, "hang-when-live")
    with workspace.start("deploy_stand_in.py", VERSION=2) as step:
        assert any("loading version" in line for line in step.stderr)
        step.terminate()
        log = step.communicate(timeout=60)[1]
    assert step.returncode == contract.TERMINATED, log
    assert_serves(workspace, 1)


@pytest.mark.parametrize(("is_first", "moment"), [(True, 1), (False, 2)])
def test_killed_before_any_of_its_effects_and_run_again_it_ends_the_same(workspace, is_first, moment):
    """A release, the first or one over another: killed before every fourth of its effects, looked at, run again."""
    version, code = 0, -9
    while code == -9:
        moment, version = moment + 4, version + 1
        if not is_first:
            deployed(workspace, version)
            version += 1
        workspace.publish_stub(version)
        code, log = workspace.run("killed_at.py", str(moment), "deploy", VERSION=version)
        server = release.serving(workspace.output)
        assert server is not None or is_first
        assert server is None or version_that_answers(server.port) in (version - 1, version)
        deployed(workspace, version)
        assert_serves(workspace, version)
        if is_first:
            release.stop_server(workspace.output)
    assert code == 0, log
    assert moment > 20
    assert {action for action, _, _ in workspace.records()} == {"deploy"}
    assert not list(workspace.output.rglob(".aside-*"))
