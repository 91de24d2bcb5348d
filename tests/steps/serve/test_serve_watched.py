"""What the server tells Prometheus of its calls, and its gRPC port with TLS: one server with both."""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import pytest
from tensorflow_serving.apis import prediction_service_pb2_grpc

from steps.serve import metrics

DEADLINE_S = 60
ROOT = Path(__file__).parents[3]


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=DEADLINE_S)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder with an authority (ca), and a key and a certificate by it for 127.0.0.1 (server) and for a client."""
    folder = tmp_path_factory.mktemp("certificates")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl(folder, "req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority", "-days", "2")
    for name, extension in (("server", "subjectAltName=IP:127.0.0.1"), ("client", "subjectAltName=DNS:client")):
        (folder / f"{name}.extensions").write_text(extension)
        openssl(folder, "req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.request", "-subj", f"/CN={name}")
        signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", f"{name}.extensions"]
        openssl(folder, "x509", "-req", "-in", f"{name}.request", *signing, "-out", f"{name}.pem")
    return folder


def ssl_config(folder, **changes):
    """An SSLConfig in protobuf's text format, as TensorFlow Serving reads it: PEM texts, not names of files."""
    values = {name: (folder / file).read_text() for name, file in (("server_key", "server.key"), ("server_cert", "server.pem"))}
    values |= {"custom_ca": (folder / "ca.pem").read_text(), "client_verify": True, **changes}
    return "\n".join(f"{name}: {json.dumps(value)}" for name, value in values.items())


@pytest.fixture(scope="module")
def watched(start, zoo_folder, certificates, tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched")
    (folder / "monitoring").write_text('prometheus_config { enable: true path: "/metrics" }')
    (folder / "ssl").write_text(ssl_config(certificates))
    flags = [f"--monitoring_config_file={folder / 'monitoring'}", f"--ssl_config_file={folder / 'ssl'}"]
    with start(folder, "--model_name=zoo", f"--model_base_path={zoo_folder}", *flags) as server:
        yield server


def channel(server, certificates, *, key=True, authority=True):
    files = {name: (certificates / name).read_bytes() for name in ("ca.pem", "client.key", "client.pem")}
    pair = (files["client.key"], files["client.pem"]) if key else (None, None)
    credentials = grpc.ssl_channel_credentials(files["ca.pem"] if authority else None, *pair)
    return grpc.secure_channel(f"127.0.0.1:{server.port}", credentials)


def page(server, path="/metrics"):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.rest_port}{path}", timeout=DEADLINE_S) as response:
        assert response.headers["Content-Type"] == "text/plain"
        return response.read().decode()


def samples(text):
    """Value by name and labels, as Prometheus reads the page."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, value = re.fullmatch(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{(.*)\} (\S+)", line).groups()
            found[name, labels] = float(value)
    return found


@pytest.mark.parametrize(
    ("given", "status"),
    [({}, None), ({"key": False}, "UNAVAILABLE"), ({"authority": False}, "UNAVAILABLE")],
    ids=["with a certificate", "without a certificate", "without the authority"],
)
def test_the_grpc_port_asks_for_a_certificate(watched, certificates, ask, given, status):
    with channel(watched, certificates, **given) as secure:
        predict = prediction_service_pb2_grpc.PredictionServiceStub(secure).Predict
        request = ask.request({"x": [1.0]}, signature="twice")
        if status is None:
            assert list(predict(request, timeout=DEADLINE_S).outputs["x"].float_val) == [2.0]
        else:
            with pytest.raises(grpc.RpcError) as failure:
                predict(request, timeout=DEADLINE_S)
            assert failure.value.code().name == status


def test_calls_are_counted_and_timed(watched, certificates, ask):
    before = samples(page(watched))
    with channel(watched, certificates) as secure:
        predict = prediction_service_pb2_grpc.PredictionServiceStub(secure).Predict
        for _ in range(3):
            predict(ask.request({"x": [1.0]}, signature="twice"), timeout=DEADLINE_S)
        with pytest.raises(grpc.RpcError):
            predict(ask.request({"x": [1.0]}, signature="none"), timeout=DEADLINE_S)
    body = json.dumps({"signature_name": "twice", "instances": [1, 2]}).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{watched.rest_port}/v1/models/zoo:predict", body, timeout=DEADLINE_S) as response:
        assert response.status == 200
    text = page(watched)
    more = {key: value - before.get(key, 0) for key, value in samples(text).items()}
    assert more[":tensorflow:serving:request_count", 'model_name="zoo",status="OK"'] == 4
    assert more[":tensorflow:serving:request_count", 'model_name="zoo",status="FAILED_PRECONDITION"'] == 1
    for labels, count in (
        ('model_name="zoo",API="Predict",entrypoint="GRPC"', 3),
        ('model_name="zoo",API="predict",entrypoint="REST"', 1),
    ):
        assert more[":tensorflow:serving:request_latency_count", labels] == count
        assert more[":tensorflow:serving:request_latency_bucket", f'{labels},le="+Inf"'] == count
    runtime = 'model_name="zoo",API="Predict",runtime="TF1"'
    assert more[":tensorflow:serving:runtime_latency_count", runtime] == 4
    assert more[":tensorflow:serving:runtime_latency_sum", runtime] > 0
    assert more[":tensorflow:serving:batching_session:queuing_latency_count", 'thread_pool_name="batch_threads"'] == 4
    assert "# TYPE :tensorflow:serving:request_latency histogram" in text.splitlines()


def test_the_benchmark_client_tells_queueing_compute_and_the_way_apart(watched, certificates, tmp_path):
    (tmp_path / "rows.csv").write_text("x\n1.5\n2\n")
    command = [sys.executable, "-m", "clients.benchmark", "-s", f"127.0.0.1:{watched.port}", "-d", str(tmp_path / "rows.csv"), "-n", "60"]
    command += ["--model", "zoo", "--signature", "twice", "--metrics", f"http://127.0.0.1:{watched.rest_port}/metrics"]
    command += [f"--{flag}={certificates / name}" for flag, name in (("ca", "ca.pem"), ("cert", "client.pem"), ("key", "client.key"))]
    command.append(f"--json={tmp_path / 'out.json'}")
    run = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=DEADLINE_S)
    assert run.returncode == 0, run.stderr
    assert re.search(
        r"^server      \S+ ms on the way and in the client, \S+ ms in the server, \S+ ms in the model's call, ", run.stdout, re.M
    )
    told = json.loads((tmp_path / "out.json").read_text())["server_side"]
    assert told["versions_before"] == told["versions_after"] == {"1": "AVAILABLE"}
    assert told["work"]["requests"] == {"OK": 60}
    assert told["work"]["request"]["mean_ms"] >= told["work"]["runtime"]["mean_ms"] >= told["work"]["queuing"]["mean_ms"] > 0


def test_metrics_lie_at_the_path_that_was_given_and_nowhere_else(watched):
    with pytest.raises(urllib.error.HTTPError) as failure:
        page(watched, metrics.PATH)
    with failure.value:
        assert failure.value.code == 404


def test_buckets_count_what_is_at_most_their_limit():
    """Limits as TensorFlow prints them; `le` includes the limit."""
    sampler = metrics.Sampler("m", ("model",), metrics.exponential(10, 1.8, 33))
    for microseconds in (10, 10.5, 18, 1e12):
        sampler.add(microseconds / 1e6, 'a "b" \\')
    lines = sampler.lines()
    assert lines[:4] == [
        "# TYPE m histogram",
        'm_bucket{model="a \\"b\\" \\\\",le="10"} 1',
        'm_bucket{model="a \\"b\\" \\\\",le="18"} 3',
        'm_bucket{model="a \\"b\\" \\\\",le="32.4"} 3',
    ]
    assert lines[-4].endswith('le="1.47476e+09"} 3')
    ends = (("_bucket", ',le="+Inf"', "4"), ("_sum", "", "1e+12"), ("_count", "", "4"))
    assert lines[-3:] == [f'm{name}{{model="a \\"b\\" \\\\"{limit}}} {value}' for name, limit, value in ends]


REFUSED = [  # what is given, a part of the line that says why
    ("monitoring", 'prometheus_config { enable: true path: "metrics" }', "expected a path that begins with a slash, got 'metrics'"),
    ("monitoring", "prometheus { }", "expected a MonitoringConfig in protobuf's text format"),
    ("ssl", 'server_key: "x" server_cert: "y"', "expected server_key, its server_cert and custom_ca (if any) in PEM's format"),
    ("ssl", {"server_key": "ca.key"}, "expected server_key, its server_cert"),
    ("ssl", {"custom_ca": None}, "expected custom_ca, the authority of the clients, with client_verify"),
]


@pytest.mark.parametrize(("kind", "given", "message"), REFUSED, ids=[f"{row[0]} {row[1]}" for row in REFUSED])
def test_files_that_are_refused(run_to_end, zoo_folder, certificates, tmp_path, kind, given, message):
    if isinstance(given, dict):
        given = ssl_config(certificates, **{name: (certificates / file).read_text() if file else "" for name, file in given.items()})
    (tmp_path / kind).write_text(given)
    file = {"monitoring": "--monitoring_config_file", "ssl": "--ssl_config_file"}[kind]
    code, said = run_to_end(f"--model_base_path={zoo_folder}", "--rest_api_port=65000", f"{file}={tmp_path / kind}")
    assert code == 2
    assert message in said
    assert len(said.splitlines()) == 1
