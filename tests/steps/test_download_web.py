"""download over http: an interrupted transfer goes on, and what a server or a network does wrong is told apart."""

import contextlib
import email.utils
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from steps import contract, download
from steps.fetch import patience, web

CONTENT = random.Random(5).randbytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
TAG = '"first"'
LONG_AGO = email.utils.formatdate(1_000_000_000, usegmt=True)


class Server(ThreadingHTTPServer):
    """A web server of one file. `plan` holds what it does wrong, one entry for each request; then it does all right."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.plan, self.requests = CONTENT, [], []
        self.headers = {"ETag": TAG, "Last-Modified": LONG_AGO}
        self.sent, self.go_on = threading.Semaphore(0), threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("Range"), self.headers.get("If-Range")))
        fault = server.plan.pop(0) if server.plan else {}
        server.headers = fault.get("headers", server.headers)
        if "status" in fault:
            self.send_error(fault["status"])
            return
        if "location" in fault:
            self.send_response(302)
            self.send_header("Location", fault["location"])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.answer(fault.get("content", server.content), fault)

    def answer(self, content, fault):
        start, wanted, known = 0, self.headers.get("Range"), self.server.headers
        if wanted and not fault.get("no range") and self.headers.get("If-Range") in known.values():
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", fault.get("content range", f"bytes {start}-{len(content) - 1}/{len(content)}"))
        else:
            self.send_response(200)
        for name, value in known.items():
            self.send_header(name, value)
        if not fault.get("no length"):
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = min(start + fault.get("stop after", len(content)), len(content))
        with contextlib.suppress(OSError):
            self.wfile.write(content[start:stop])
            self.wfile.flush()
        if fault.get("hang"):
            self.server.sent.release()
            self.server.go_on.wait(60)
        self.close_connection = True


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.go_on.set()
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.01)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def soon_given_up(monkeypatch):
    monkeypatch.setattr(patience, "RETRY_BOUND_S", 0.3)


def fetch(volume, url, sha256=""):
    return volume / download.main(download.Settings(volume, "datasets", url, "csv", sha256)).data


def test_a_file_comes_whole(tmp_path, server):
    folder = fetch(tmp_path, f"{server.url}/data%20sets/a%20b.csv?token=secret", SHA256)
    assert (folder / "a b.csv").read_bytes() == CONTENT
    assert "secret" not in (folder / "download.json").read_text()
    assert server.requests == [("/data%20sets/a%20b.csv?token=secret", None, None)]
    fetch(tmp_path, f"{server.url}/data%20sets/a%20b.csv?token=secret", SHA256)
    assert len(server.requests) == 1


CONTINUED = {
    "tag": ({"ETag": TAG, "Last-Modified": LONG_AGO}, TAG),
    "date": ({"Last-Modified": LONG_AGO}, LONG_AGO),
}


@pytest.mark.parametrize("name", CONTINUED)
def test_an_interrupted_transfer_goes_on_where_it_stopped(tmp_path, server, name):
    server.headers, validator = CONTINUED[name]
    server.plan = [{"stop after": 1_000_000}, {"status": 503}, {"stop after": 500_000}]
    folder = fetch(tmp_path, f"{server.url}/a.csv")
    assert (folder / "a.csv").read_bytes() == CONTENT
    assert [request[1:] for request in server.requests] == [
        (None, None),
        ("bytes=1000000-", validator),
        ("bytes=1000000-", validator),
        ("bytes=1500000-", validator),
    ]


@pytest.mark.parametrize(
    "headers", [{}, {"ETag": 'W/"weak"', "Last-Modified": LONG_AGO}, {"Last-Modified": email.utils.formatdate(4_000_000_000, usegmt=True)}]
)
def test_without_a_validator_to_trust_it_starts_over(tmp_path, server, headers):
    server.headers = headers
    server.plan = [{"stop after": 1_000_000}]
    assert (fetch(tmp_path, f"{server.url}/a.csv") / "a.csv").read_bytes() == CONTENT
    assert [request[1:] for request in server.requests] == [(None, None), (None, None)]


def test_a_file_that_changed_meanwhile_is_never_mixed(tmp_path, server):
    server.plan = [{"stop after": 1_000_000, "content": bytes(3_000_000)}, {"headers": {"ETag": '"second"'}}]
    assert (fetch(tmp_path, f"{server.url}/a.csv") / "a.csv").read_bytes() == CONTENT
    assert server.requests[-1][1:] == ("bytes=1000000-", TAG)


@pytest.mark.parametrize(
    "fault", [{"content range": "bytes 5-9/3000000"}, {"content range": "nonsense"}, {"no range": True}, {"status": 416}]
)
def test_a_wrong_answer_to_a_range_does_no_harm(tmp_path, server, fault):
    server.plan = [{"stop after": 1_000_000}, fault]
    assert (fetch(tmp_path, f"{server.url}/a.csv", SHA256) / "a.csv").read_bytes() == CONTENT


def test_a_length_need_not_be_announced(tmp_path, server):
    server.plan = [{"no length": True}]
    assert (fetch(tmp_path, f"{server.url}/a.csv") / "a.csv").read_bytes() == CONTENT


def test_a_wrong_checksum_has_it_fetched_once_more(tmp_path, server):
    server.plan = [{"content": CONTENT[:-1] + b"x"}]
    assert (fetch(tmp_path, f"{server.url}/a.csv", SHA256) / "a.csv").read_bytes() == CONTENT
    server.plan = [{"content": b"wrong"}, {"content": b"wrong again"}]
    with pytest.raises(contract.BadInput, match="twice"):
        fetch(tmp_path, f"{server.url}/b.csv", SHA256)
    assert (fetch(tmp_path, f"{server.url}/b.csv", SHA256) / "b.csv").read_bytes() == CONTENT


def test_a_truncated_archive_at_the_server_can_be_mended_there(tmp_path, server):
    server.content = b"PK\x03\x04 half of it"
    with pytest.raises(contract.BadInput, match=r"a\.zip: expected a whole archive"):
        fetch(tmp_path, f"{server.url}/a.zip")
    server.content = b"PK\x05\x06" + bytes(18)
    fetch(tmp_path, f"{server.url}/a.zip")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_what_the_server_refuses_is_bad_input(tmp_path, server, status):
    server.plan = [{"status": status}]
    with pytest.raises(contract.BadInput, match=rf"DATA_URL: {server.url}/a\.csv: the server answers {status}"):
        fetch(tmp_path, f"{server.url}/a.csv?key=secret")
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(tmp_path, server, status):
    server.plan = [{"status": status}] * 3
    assert (fetch(tmp_path, f"{server.url}/a.csv") / "a.csv").read_bytes() == CONTENT


@pytest.mark.usefixtures("soon_given_up")
@pytest.mark.parametrize("status", [429, 503])
def test_what_does_not_pass_is_given_up(tmp_path, server, status):
    server.plan = [{"status": status}] * 1000
    with pytest.raises(contract.Transient, match=f"the server answers {status} .*; tried for"):
        fetch(tmp_path, f"{server.url}/b.csv")


@pytest.mark.usefixtures("soon_given_up")
def test_a_server_that_never_gets_further_is_given_up(tmp_path, server):
    server.plan = [{"stop after": 1000, "no range": True}] * 1000
    with pytest.raises(contract.Transient, match="the connection ended after 1,000 of 3,000,000 bytes"):
        fetch(tmp_path, f"{server.url}/a.csv")


def test_a_server_that_falls_silent_is_asked_again(tmp_path, server, monkeypatch):
    monkeypatch.setattr(web, "TIMEOUT_S", 0.3)
    server.plan = [{"stop after": 1_000_000, "hang": True}]
    assert (fetch(tmp_path, f"{server.url}/a.csv") / "a.csv").read_bytes() == CONTENT
    assert server.requests[1][1] == "bytes=1000000-"


def test_redirects_are_followed_but_only_to_the_web(tmp_path, server):
    server.plan = [{"location": f"{server.url}/other.csv"}]
    assert (fetch(tmp_path, f"{server.url}/a.csv") / "a.csv").read_bytes() == CONTENT
    server.plan = [{"location": "file:///etc/passwd"}]
    with pytest.raises(contract.BadInput, match="302"):
        fetch(tmp_path, f"{server.url}/b.csv")


def closed_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


@pytest.mark.usefixtures("soon_given_up")
def test_a_host_that_is_not_there_ends_as_transient(tmp_path):
    with pytest.raises(contract.Transient, match=r"no answer: .*Connection refused.*tried for"):
        fetch(tmp_path, f"http://127.0.0.1:{closed_port()}/a.csv")
    with pytest.raises(contract.Transient, match="no answer: "):
        fetch(tmp_path, "http://no-such-host.invalid/a.csv")


def step(volume, url, sha256="", before=""):
    environ = dict(os.environ) | {
        "NFS_PATH": str(volume),
        "DATASET_DIR": "datasets",
        "DATA_URL": url,
        "DATA_FORMAT": "csv",
        "DATA_SHA256": sha256,
    }
    environ.pop("OUTPUTS_FOLDER", None)
    code = f"from steps.fetch import patience\n{before}\nfrom steps import contract, download\ncontract.run(download.main)"
    return subprocess.Popen([sys.executable, "-c", code], env=environ, stderr=subprocess.PIPE, text=True)


def test_the_exit_code_of_an_unreachable_host_is_138(tmp_path):
    with step(tmp_path, f"http://127.0.0.1:{closed_port()}/a.csv", before="patience.RETRY_BOUND_S = 0.1") as process:
        said = process.communicate()[1]
    assert process.returncode == contract.TRANSIENT
    assert "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_at_random_moments_it_goes_on_and_ends_the_same(tmp_path, server, number):
    random_, reached = random.Random(11), 0
    while reached < len(CONTENT):
        more = random_.randrange(1, 700_000)
        server.plan = [{"stop after": more, "hang": True}]
        with step(tmp_path, f"{server.url}/a.csv", SHA256) as process:
            assert server.sent.acquire(timeout=30)
            until = time.monotonic() + random_.choice([0, 0.02])
            while time.monotonic() < until:
                time.sleep(0.005)
            process.send_signal(number)
            process.communicate()
        assert process.returncode == (-number if number == signal.SIGKILL else contract.TERMINATED)
        assert not list((tmp_path / "datasets").glob("a-*"))
        reached += more
    server.plan = []
    folder = fetch(tmp_path, f"{server.url}/a.csv", SHA256)
    assert (folder / "a.csv").read_bytes() == CONTENT
    starts = [int(request[1].removeprefix("bytes=").removesuffix("-")) for request in server.requests if request[1]]
    assert starts == sorted(starts)
    assert len(set(starts)) >= 3
    assert {path.name for path in (tmp_path / "datasets/.download").glob("*/*")} == {"lock"}


def test_killed_at_any_file_operation_it_ends_the_same(tmp_path, server):
    server.content = CONTENT[:300_000]
    given = {
        "DATASET_DIR": "datasets",
        "DATA_URL": f"{server.url}/a.csv",
        "DATA_FORMAT": "csv",
        "DATA_SHA256": "",
        "PYTHONPATH": os.getcwd(),
    }
    environ = {name: value for name, value in os.environ.items() if name != "OUTPUTS_FOLDER"} | given
    script = [sys.executable, str(Path(__file__).with_name("kill_everywhere.py")), "steps.download", str(tmp_path / "kills")]
    ended = subprocess.run(script, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["wrong"] == []
    assert found["kills"] >= 15
    assert len(found["files"]) == 2
