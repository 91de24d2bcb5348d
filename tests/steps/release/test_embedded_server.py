"""Releases to the embedded server, with real models and a client that never stops asking."""

import json
import shutil
import threading
import urllib.request

import numpy as np
import pytest

from clients.serving import calls, tensors
from steps import contract, release, validate
from steps.release import checks, questions, repository

ROWS = {
    "I1": np.array([0.5, 1.5], "f4"),
    "I2": np.array([1, -1], "f4"),
    "C1": np.array(["C1-1", ""], object),
    "C2": np.array(["C2-3", "x"], object),
}


class LoopingClient:
    """Asks over gRPC and REST, one request after the other, for whatever version serves: how often, what came, and what failed."""

    def __init__(self, server):
        self._server, self._stop = server, threading.Event()
        self.answers, self.failures, self.count = set(), [], 0
        self._threads = [threading.Thread(target=self._loop, args=(ask,)) for ask in (self._ask_grpc, self._ask_rest)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _loop(self, ask):
        with questions.channel(f"127.0.0.1:{self._server.port}") as channel:
            while not self._stop.wait(0.02):
                try:
                    self.answers.add(round(float(ask(channel)), 4))
                    self.count += 1
                except Exception as error:
                    self.failures.append(repr(error))

    def _ask_grpc(self, channel):
        response = calls.predict(channel)(questions.predict_request(self._server.model, None, ROWS), timeout=30)
        return tensors.to_array(response.outputs["probabilities"])[0, 1]

    def _ask_rest(self, _channel):
        body = json.dumps({"inputs": {name: values.tolist() for name, values in ROWS.items()}}).encode()
        url = f"http://127.0.0.1:{self._server.rest_port}/v1/models/{self._server.model}:predict"
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=30) as response:
            return json.load(response)["outputs"]["probabilities"][0][1]


def publish(workspace, models, name, run):
    settings = validate.Settings(
        workspace.volume, "user", "model", "output", workspace.stage(models / name, run), str(models / "prepared"), 9, run
    )
    return validate.main(settings).version


def swap_variables(workspace, version, model):
    """What a version holds changes after its validation."""
    shutil.rmtree(workspace.places.version(version) / "variables")
    shutil.copytree(model / "variables", workspace.places.version(version) / "variables")


def truncate_variables(workspace, version):
    path = workspace.places.version(version) / "variables/variables.data-00000-of-00001"
    path.write_bytes(path.read_bytes()[:7])


def run_deploy(workspace, version):
    code, log = workspace.run("steps.deploy", VERSION=version)
    return code, log


def test_no_request_fails_whatever_is_released(workspace, models):
    for number in (1, 2, 3):
        assert publish(workspace, models, f"good-{number}", f"run-{number}") == number
    code, log = run_deploy(workspace, 1)
    assert code == 0, log
    server = release.serving(workspace.output)

    with LoopingClient(server) as client:
        assert run_deploy(workspace, 2)[0] == 0
        for damage, message in (
            (lambda: swap_variables(workspace, 3, models / "good-1"), "as the server's version 3 answers it: expected \\["),
            (lambda: swap_variables(workspace, 3, models / "nan"), "expected finite numbers, got nan"),
            (lambda: truncate_variables(workspace, 3), "Read less bytes than requested"),
        ):
            damage()
            code, log = run_deploy(workspace, 3)
            assert code == contract.BAD_INPUT, log
            assert message.replace("\\", "") in log
            assert "Version 2 goes on serving" in log
            assert workspace.last_reason() in log
        assert release.rollback(workspace.output).version == 1

    assert client.failures == []
    assert client.count > 100
    assert client.answers == {expected_answer(models / f"good-{number}") for number in (1, 2)}
    assert release.serving(workspace.output).pid == server.pid
    failed = [("deploy-failed", 3, 2)] * 3
    assert workspace.records()[3:] == [("deploy", 1, None), ("deploy", 2, 1), *failed, ("rollback", 1, 2)]


def expected_answer(model):
    import tensorflow as tf

    outputs = tf.saved_model.load(str(model)).signatures[checks.SIGNATURE](
        **{name: tf.constant(values.tolist()) for name, values in ROWS.items()}
    )
    return round(float(outputs["probabilities"].numpy()[0, 1]), 4)


def test_a_failed_first_release_leaves_nothing(workspace, models):
    publish(workspace, models, "good-1", "run-1")
    truncate_variables(workspace, 1)
    code, log = run_deploy(workspace, 1)
    assert (code, "Nothing serves, and nothing was left half-made" in log) == (contract.BAD_INPUT, True), log
    assert workspace.servers() == []
    assert {"serving.json", "models.config", "canary.config"}.isdisjoint(path.name for path in workspace.output.iterdir())


def test_the_serving_version_is_kept_and_measured(workspace, models):
    publish(workspace, models, "good-1", "run-1")
    assert run_deploy(workspace, 1)[0] == 0
    for number in (2, 3, 4):
        workspace.publish_stub(number)
    candidate = workspace.stage(models / "good-2", "run-5")
    code, log = workspace.run("steps.validate", CANDIDATE=candidate, PREPARED=models / "prepared", WORKFLOW_UID="run-5")
    assert code == 0, log
    assert repository.versions(workspace.places.repository) == [1, 4, 5]

    address = workspace.outputs()["address"]
    code, log = workspace.run("steps.benchmark", PREPARED=models / "prepared", ADDRESS=address, WORKFLOW_UID="run-1")
    assert code == 0, log
    outputs = workspace.outputs()
    assert outputs["result"] == "user/model/output/benchmark/run-1.json"
    result = json.loads((workspace.volume / outputs["result"]).read_text())
    assert float(outputs["throughput"]) == pytest.approx(result["throughput_rows_per_s"])
    assert 0 < float(outputs["latency_p50_ms"]) <= float(outputs["latency_p99_ms"])
    assert "accuracy" in log
