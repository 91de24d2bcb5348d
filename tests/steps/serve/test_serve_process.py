"""The server as a process: flags, ports, signals, warm-up."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest

from steps.serve import flags

REFUSED = [  # the flags, a part of the one line that says why
    (["--prot=1"], "got '--prot=1'; --help lists them"),
    (["model"], "got 'model'"),
    (["--port"], "--port: expected --port=VALUE"),
    (["--port=http"], "--port: expected a whole number, got 'http'"),
    (["--port=70000"], "--port: expected 1 to 65535, got 70000"),
    (["--enable_batching=maybe"], "--enable_batching: expected true or false, got 'maybe'"),
    (["--grpc_channel_arguments=a=1,b"], "--grpc_channel_arguments: expected name=value,name=value, got 'b'"),
    (["--use_alts_credentials=x"], "--use_alts_credentials is a flag of TensorFlow Serving that this server does not support"),
    (["--model_base_path=/m", "--monitoring_config_file=x"], "--monitoring_config_file: expected --rest_api_port with it"),
    (["--model_base_path=/m", "--ssl_config_file=/nowhere"], "/nowhere: No such file"),
    ([], "expected --model_base_path=FOLDER or --model_config_file=FILE, got neither"),
    (["--model_base_path=/m", "--port=5", "--rest_api_port=5"], "expected another port than --port, got the same for both"),
    (["--model_base_path=/m", "--max_num_load_retries=-1"], "--max_num_load_retries: expected 0 or more, got -1"),
    (["--model_base_path=m"], "Expected model default to have an absolute path or URI; got base_path()=m"),
    (["--model_config_file=/nowhere"], "/nowhere: No such file"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[" ".join(row[0]) or "none" for row in REFUSED])
def test_flags_that_are_refused(run_to_end, arguments, message):
    code, said = run_to_end(*arguments)
    assert code == 2
    assert message in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("name", sorted(flags.UNSUPPORTED))
def test_every_flag_not_supported_is_refused_by_name(name):
    with pytest.raises(flags.FlagError, match=f"--{name} is a flag of TensorFlow Serving"):
        flags.parse([f"--{name}=1"])


def test_channel_arguments_are_numbers_where_they_can_be():
    """As TensorFlow Serving reads them: text where a value is no number of 32 bits."""
    read = flags.channel_arguments("grpc.max_connection_age_ms=10000,user_agent=me,big=2147483648,low=-1")
    assert read == [("grpc.max_connection_age_ms", 10000), ("user_agent", "me"), ("big", "2147483648"), ("low", -1)]
    assert flags.channel_arguments("") == []


def test_channel_arguments_reach_the_connections(start, zoo_folder, tmp_path, ask):
    """A connection that is asked to go after 0.2 s goes, and no call is lost of it."""
    options = ("--model_name=zoo", f"--model_base_path={zoo_folder}", "--grpc_channel_arguments=grpc.max_connection_age_ms=200")
    with start(tmp_path / "server", *options) as server:
        seen = []
        server.channel.subscribe(seen.append)
        deadline = time.monotonic() + 30
        while seen.count(grpc.ChannelConnectivity.READY) < 3:
            assert time.monotonic() < deadline, seen
            assert ask(server, {"x": np.float32([1])}, signature="twice")["x"].item() == 2


def test_a_model_config_file_that_is_none(run_to_end, tmp_path):
    (tmp_path / "models.config").write_text("model_config_list {\n  config { nam: 'x' }\n}")
    code, said = run_to_end(f"--model_config_file={tmp_path}/models.config")
    assert code == 2
    assert "models.config: expected a ModelServerConfig in protobuf's text format, got at line:column 2:12" in said


@pytest.mark.parametrize(
    ("text", "message"), [("num_batch_threads { value: 4 }", "num_batch_threads"), ("max_batch_size { value: 0 }", "above 0")]
)
def test_batching_parameters_that_are_refused(run_to_end, tmp_path, text, message):
    (tmp_path / "batching").write_text(text)
    code, said = run_to_end(f"--batching_parameters_file={tmp_path}/batching", "--model_base_path=/m")
    assert code == 2
    assert message in said


def test_help_lists_every_flag_and_version_says_it(run_to_end):
    code, said = run_to_end("--help")
    assert code == 0
    assert all(f"--{flag.name}=" in said for flag in flags.FLAGS)
    code, said = run_to_end("--version")
    assert code == 0
    assert "TensorFlow Library: 2." in said


@pytest.mark.parametrize("which", ["port", "rest_api_port"])
def test_a_port_in_use_is_one_clear_line(run_to_end, zoo_folder, port, which):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        ports = {"port": port, "rest_api_port": 0, which: number}
        code, said = run_to_end(f"--model_base_path={zoo_folder}", *(f"--{name}={value}" for name, value in ports.items()))
    assert code == 2
    assert said.splitlines() == [
        f"--{which}: port {number} of 127.0.0.1 cannot be had: Address already in use; choose another one, or stop what uses it"
    ]


def test_a_second_server_on_the_same_port_is_refused(run_to_end, zoo, zoo_folder):
    code, said = run_to_end(f"--model_base_path={zoo_folder}", f"--port={zoo.port}")
    assert code == 2
    assert f"--port: port {zoo.port}" in said


def test_a_model_that_does_not_load_at_the_start_ends_the_server(run_to_end, tmp_path, port):
    (tmp_path / "m" / "1").mkdir(parents=True)
    (tmp_path / "m" / "1" / "saved_model.pb").write_bytes(b"nonsense")
    code, said = run_to_end(
        f"--model_base_path={tmp_path}/m", f"--port={port}", "--max_num_load_retries=1", "--load_retry_interval_micros=1000"
    )
    assert code == 2
    assert "does not load: DATA_LOSS" in said
    assert "trying again in 0 s (1 of 1)" in said
    assert (
        "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: {{name: default version: 1}"
        in said.splitlines()[-1]
    )
    assert "Traceback" not in said


def test_the_server_waits_for_a_first_version_and_says_so(scale, tmp_path, port):
    log = tmp_path / "log"
    base = tmp_path / "m"
    with open(log, "w") as file:
        process = subprocess.Popen([sys.executable, "-m", "steps.serve", f"--model_base_path={base}", f"--port={port}"], stderr=file)
    try:
        until(lambda: f"model default: Could not find base path {base}" in log.read_text())
        scale(tmp_path / ".aside", 2)
        base.mkdir()
        until(lambda: "no version, a folder named as a number, is not there" in log.read_text())
        (tmp_path / ".aside").rename(base / "1")
        until(lambda: "gRPC at" in log.read_text())
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_server_that_waits_can_be_stopped(tmp_path, port):
    log = tmp_path / "log"
    with open(log, "w") as file:
        process = subprocess.Popen([sys.executable, "-m", "steps.serve", f"--model_base_path={tmp_path}/m", f"--port={port}"], stderr=file)
    until(lambda: "Could not find base path" in log.read_text())
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def slow_steps(server, ask):
    """How many steps make the slow signature use two seconds of processor time on this machine."""
    ask(server, {"x": np.float32([1])}, signature="slow")
    before_s = used_s(server)
    ask(server, {"x": np.float32([50])}, signature="slow")
    return round(2 * 50 / max(used_s(server) - before_s, 0.01))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_answers_what_has_begun(start, zoo_folder, tmp_path, ask, number):
    options = ("--model_name=zoo", f"--model_base_path={zoo_folder}")
    with start(tmp_path / "server", *options) as server, contextlib.ExitStack() as stack:
        steps = slow_steps(server, ask)
        answers, failures = [], []

        def over_grpc():
            try:
                answers.append(ask(server, {"x": np.float32([steps])}, signature="slow")["x"].item())
            except grpc.RpcError as error:
                failures.append(error)

        def over_rest():
            body = json.dumps({"signature_name": "slow", "instances": [steps]}).encode()
            url = f"http://127.0.0.1:{server.rest_port}/v1/models/zoo:predict"
            with urllib.request.urlopen(urllib.request.Request(url, body), timeout=60) as response:
                answers.append(json.loads(response.read())["predictions"][0])

        idle = stack.enter_context(socket.create_connection(("127.0.0.1", server.rest_port)))
        threads = [threading.Thread(target=over_grpc) for _ in range(4)] + [threading.Thread(target=over_rest) for _ in range(2)]
        idle_s = used_s(server)
        for thread in threads:
            thread.start()
        # The calls arrive within milliseconds, and the first of them is busy for two seconds.
        until(lambda: used_s(server) > idle_s + 0.2)
        assert not answers
        server.process.send_signal(number)
        for thread in threads:
            thread.join(60)
        assert failures == []
        assert answers == [pytest.approx(steps)] * 6
        assert server.process.wait(60) == 0
        assert idle.recv(1) == b""
        assert server.log.read_text().splitlines()[-1].endswith("stopped")
        with pytest.raises(grpc.RpcError):
            ask(server, {"x": np.float32([1])}, signature="slow")


def used_s(server):
    """The processor time that a server has used."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_rest_call_may_take_only_so_long(start, zoo_folder, tmp_path, ask):
    flags = ("--model_name=zoo", f"--model_base_path={zoo_folder}", "--rest_api_timeout_in_ms=50", "--enable_batching=false")
    with start(tmp_path / "server", *flags) as server:
        body = json.dumps({"signature_name": "slow", "instances": [slow_steps(server, ask)]}).encode()
        url = f"http://127.0.0.1:{server.rest_port}/v1/models/zoo:predict"
        with pytest.raises(urllib.error.HTTPError, match="504") as error:
            urllib.request.urlopen(urllib.request.Request(url, body), timeout=60)
        with error.value as response:
            assert "Timed out" in json.loads(response.read())["error"]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda x: ask(server, {"x": np.float32([x])}, signature="loose")["unlike"].item(), range(32)))
        assert answers == list(range(32))


def warm_up_file(folder, *records):
    import tensorflow as tf

    (folder / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(folder / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        for record in records:
            writer.write(record)


def warm_up_record(ask, value):
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(ask.request({"x": np.float32([value])}, model="anything"))
    return log.SerializeToString()


def test_warm_up_requests_are_replayed_before_a_version_serves(start, run_to_end, scale, tmp_path, ask, port):
    scale(tmp_path / "good" / "1", 2)
    warm_up_file(tmp_path / "good" / "1", warm_up_record(ask, 1.0), b"")
    with start(tmp_path / "server", f"--model_base_path={tmp_path}/good") as server:
        assert "record 1 is not of a Predict call, and is left out" in server.log.read_text()
    scale(tmp_path / "bad" / "1", 2)
    record = warm_up_record(ask, 1.0).replace(b"\x0a\x01x", b"\x0a\x01z")
    warm_up_file(tmp_path / "bad" / "1", record)
    code, said = run_to_end(f"--model_base_path={tmp_path}/bad", f"--port={port}", "--max_num_load_retries=0")
    assert code == 2
    assert "does not load: INVALID_ARGUMENT: Signature input alias: x" in said


def test_the_log_holds_nothing_but_the_servers_own_lines(start, zoo_folder, tmp_path):
    with start(tmp_path / "server", f"--model_base_path={zoo_folder}") as server:
        server.end()
        lines = server.log.read_text().splitlines()
    assert [line.split(" ", 2)[2].split(",")[0].split(":")[0] for line in lines] == [
        "version 1 of default is available",
        "serving default",
        "stopping",
        "stopped",
    ]
