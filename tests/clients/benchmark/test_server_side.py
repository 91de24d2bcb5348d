"""What is read from TensorFlow Serving's metrics: pages as it writes them, and a server of HTTP that has others."""

import http.server
import threading

import pytest

from clients.benchmark import server_side
from clients.benchmark.errors import BadInput
from clients.benchmark.server_side import ServerSide, Times

LABELS = 'model_name="m",API="Predict",entrypoint="GRPC"'


def page(ok, failed, request_us, queue_us, extra=""):
    return f"""# TYPE :tensorflow:serving:request_count counter
:tensorflow:serving:request_count{{model_name="m",status="OK"}} {ok}
:tensorflow:serving:request_count{{model_name="m",status="INVALID_ARGUMENT"}} {failed}
:tensorflow:serving:request_count{{model_name="other \\"m\\" \\\\",status="OK"}} 7
# TYPE :tensorflow:serving:request_latency histogram
:tensorflow:serving:request_latency_bucket{{{LABELS},le="10"}} 0
:tensorflow:serving:request_latency_bucket{{{LABELS},le="+Inf"}} {ok}
:tensorflow:serving:request_latency_sum{{{LABELS}}} {request_us:.6g}
:tensorflow:serving:request_latency_count{{{LABELS}}} {ok}
:tensorflow:serving:batching_session:queuing_latency_sum{{thread_pool_name="b"}} {queue_us}
:tensorflow:serving:batching_session:queuing_latency_count{{thread_pool_name="b"}} {ok} 1700000000000
{extra}"""


DIFFERENCES = [  # before, after, what the server did
    (page(0, 0, 0, 0), page(4, 1, 8000, 1000), ServerSide({"OK": 4, "INVALID_ARGUMENT": 1}, Times(4, 2.0), None, Times(4, 0.25))),
    (page(4, 1, 8000, 1000), page(14, 1, 18000, 1000), ServerSide({"OK": 10}, Times(10, 1.0), None, Times(10, 0.0))),
    ("", page(1, 0, 1e7, 5), ServerSide({"OK": 1}, Times(1, 10000.0), None, Times(1, 0.005))),
    (page(4, 1, 8000, 1000), page(4, 1, 8000, 1000), ServerSide({}, None, None, None)),
    (page(4, 1, 8000, 1000), page(3, 0, 8000, 1000), None),
    ("", page(1, 0, 1e6, 5, "\n}{ no sample\nm NaN\nn x"), ServerSide({"OK": 1}, Times(1, 1000.0), None, Times(1, 0.005))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "expected"), DIFFERENCES, ids=["first", "later", "no metric before", "idle", "restarted", "junk"]
)
def test_what_the_server_did_between_two_readings(before, after, expected):
    assert server_side.difference(server_side.parse(before), server_side.parse(after), "m") == expected


def test_labels_are_read_with_their_escapes():
    assert (":tensorflow:serving:request_count", frozenset({("model_name", 'other "m" \\'), ("status", "OK")})) in server_side.parse(
        page(1, 1, 1, 1)
    )


@pytest.fixture
def served():
    """`served(status, body)`: a URL that answers so."""
    servers = []

    def serve(status, body):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        servers.append(http.server.HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/metrics"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (404, b"", "cannot be read: Not Found"),
        (200, b"go_goroutines 7\n", "expected metrics of TensorFlow Serving in Prometheus' text format, got 'go_goroutines 7"),
        (200, b"\xff\xfe", "expected metrics of TensorFlow Serving"),
    ],
)
def test_a_page_that_is_not_the_servers(served, status, body, message):
    with pytest.raises(BadInput, match=message):
        server_side.read(served(status, body))


def test_no_server():
    with pytest.raises(BadInput, match=r"cannot be read: .*Connection refused"):
        server_side.read("http://127.0.0.1:1/metrics")
