"""Artifacts on an S3 server and in git, and data templates. The server is that of TEST_S3_ENDPOINT, else a small one of this file."""

from __future__ import annotations

import contextlib
import http.server
import os
import subprocess
import threading
import urllib.parse
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from pipelines import local
from pipelines.local import stored

KEY, SECRET = "key-id", "not secret"
OBJECT = {"kind": "Secret", "metadata": {"name": "s3"}, "stringData": {"key": KEY, "secret": SECRET}}


class _Store(http.server.BaseHTTPRequestHandler):
    """The objects of one bucket; two keys a page, and every request must be signed as boto signs it."""

    objects: dict[str, bytes]

    def _is_signed(self) -> bool:
        path, _, query = self.path.partition("?")
        request = AWSRequest(self.command, f"http://{self.headers['host']}{path}", params=dict(urllib.parse.parse_qsl(query)))
        request.context["timestamp"] = self.headers["x-amz-date"]
        request.headers["x-amz-content-sha256"] = self.headers["x-amz-content-sha256"]
        signer = S3SigV4Auth(Credentials(KEY, SECRET), "s3", "eu-central-1")
        request.headers["X-Amz-Date"] = self.headers["x-amz-date"]
        canonical = signer.canonical_request(request)
        signature = signer.signature(signer.string_to_sign(request, canonical), request)
        return self.headers["Authorization"].endswith(f"Signature={signature}")

    def do_GET(self) -> None:
        if not self._is_signed():
            self._answer(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
            return
        address = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(address.query))
        key = urllib.parse.unquote(address.path).removeprefix("/bucket/")
        if "list-type" in query:
            found = sorted(
                one for one in self.objects if one.startswith(query.get("prefix", "")) and one > query.get("continuation-token", "")
            )
            rows = "".join(f"<Contents><Key>{one}</Key></Contents>" for one in found[:2])
            more = f"<NextContinuationToken>{found[1]}</NextContinuationToken>" if len(found) > 2 else ""
            self._answer(200, f'<List xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{rows}{more}</List>'.encode())
        elif key in self.objects:
            self._answer(200, self.objects[key])
        else:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._is_signed():
            self.objects[urllib.parse.unquote(self.path.split("?")[0]).removeprefix("/bucket/")] = body
        self._answer(200 if self._is_signed() else 403, b"")

    def _answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[dict[str, Any], list[dict[str, Any]], str]]:
    """Where artifacts lie as a workflow says it, the Secret it names, and a prefix of keys that nobody else uses."""
    prefix = f"stored-{uuid.uuid4()}"
    references = {"accessKeySecret": {"name": "s3", "key": "key"}, "secretKeySecret": {"name": "s3", "key": "secret"}}
    if os.environ.get("TEST_S3_ENDPOINT"):
        held = {"key": os.environ["TEST_S3_KEY"], "secret": os.environ["TEST_S3_SECRET"]}
        address = urllib.parse.urlsplit(os.environ["TEST_S3_ENDPOINT"])
        from boto3 import client

        s3 = client("s3", endpoint_url=address.geturl(), aws_access_key_id=held["key"], aws_secret_access_key=held["secret"])
        with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket="local-runner")
        told = {"endpoint": address.netloc, "bucket": "local-runner", "insecure": address.scheme == "http", **references}
        yield told, [{**OBJECT, "stringData": held}], prefix
        return
    _Store.objects = {}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Store) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        told = {"endpoint": f"127.0.0.1:{server.server_port}", "bucket": "bucket", "insecure": True, "region": "eu-central-1"}
        yield {**told, **references}, [OBJECT], prefix
        server.shutdown()


def _artifacts(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"artifacts": list(rows)}


@pytest.mark.parametrize(
    ("archive", "made", "read", "expected"),
    [
        ({}, "echo one > /o", "cat /i", "one\n"),
        ({"archive": {"none": {}}}, "echo one > /o", "cat /i", "one\n"),
        ({"archive": {"tar": {"compressionLevel": 0}}}, "echo one > /o", "cat /i", "one\n"),
        ({"archive": {"zip": {}}}, "mkdir -p /o; echo one > /o/a", "cat /i/a", "one\n"),
        ({}, "mkdir -p /o/b; echo one > /o/a; echo two > /o/b/c", "cat /i/a /i/b/c", "one\ntwo\n"),
        ({"archive": {"none": {}}}, "mkdir -p '/o/b d'; for n in 1 2 3; do echo $n > \"/o/b d/$n\"; done", "cat /i/b*/*", "1\n2\n3\n"),
    ],
)
def test_what_one_step_leaves_on_a_server_another_finds(
    shapes: Any, run: Any, node: Any, log: Any, place: Any, archive: dict[str, Any], made: str, read: str, expected: str
) -> None:
    described, objects, prefix = place
    where = {"s3": {**described, "key": f"{prefix}/{uuid.uuid4()}/{{{{workflow.name}}}}"}, **archive}
    flow = shapes.workflow(
        shapes.steps("main", [{"name": "a", "template": "make"}], [{"name": "b", "template": "read"}]),
        shapes.shell("make", made, outputs=_artifacts({"name": "o", "path": "/o", **where})),
        shapes.shell("read", read, inputs=_artifacts({"name": "i", "path": "/i", **where})),
    )
    outcome = run(flow, objects=objects)
    assert (outcome.phase, log(outcome, node(outcome, "[1].b"))) == ("Succeeded", expected)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"key": "stored-nothing"}, "keeps nothing under"),
        ({"endpoint": "127.0.0.1:1"}, "Connection refused"),
        ({"secretKeySecret": {"name": "s3", "key": "key"}}, "SignatureDoesNotMatch"),
    ],
)
def test_what_a_server_does_not_give_is_an_error(
    shapes: Any, run: Any, node: Any, place: Any, change: dict[str, Any], expected: str
) -> None:
    described, objects, prefix = place
    where = {"s3": {**described, "key": f"{prefix}/x", **change}}
    outcome = run(shapes.workflow(shapes.shell("main", "true", inputs=_artifacts({"name": "i", "path": "/i", **where}))), objects=objects)
    assert (outcome.phase, expected in node(outcome, "")["message"]) == ("Error", True), node(outcome, "")["message"]


def test_an_upload_that_fails_is_an_error_and_an_optional_input_may_lack(shapes: Any, run: Any, node: Any, place: Any) -> None:
    described, objects, prefix = place
    lacks = {"name": "i", "path": "/i", "optional": True, "s3": {**described, "key": f"{prefix}/nothing"}}
    lost = {"name": "o", "path": "/o", "s3": {**described, "endpoint": "127.0.0.1:1", "key": "x"}}
    flow = shapes.workflow(shapes.shell("main", "[ ! -e /i ] && echo > /o", inputs=_artifacts(lacks), outputs=_artifacts(lost)))
    found = node(run(flow, objects=objects), "")
    assert (found["phase"], found["message"].startswith("wait: Error (exit code 64): ")) == ("Error", True)


def test_whose_keys_sign_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of this machine's variables only where the workflow says so; Secrets stand over them."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, f"mine-{name}")
    described = {"endpoint": "host", "bucket": "bucket"}
    given = {**described, "useSDKCreds": True, "sessionTokenSecret": {"name": "s3", "key": "key"}}
    told = [stored._bucket(one, [OBJECT]) for one in (described, {**described, "useSDKCreds": True}, given)]
    assert [(one.key_id, one.token) for one in told] == [
        ("", ""),
        ("mine-AWS_ACCESS_KEY_ID", "mine-AWS_SESSION_TOKEN"),
        ("mine-AWS_ACCESS_KEY_ID", KEY),
    ]
    signed = [one._headers("GET", "/", "", "") for one in told]
    assert ["Authorization" in one for one in signed] == [False, True, True]
    assert ["x-amz-security-token" in one for one in signed] == [False, True, True]


@pytest.mark.parametrize(
    ("part", "artifact", "expected"),
    [
        ("inputs", {"s3": {"endpoint": "h", "key": "k"}}, "inputs.artifacts[0].s3.bucket: an S3 server is named, but no bucket of it"),
        (
            "outputs",
            {"s3": {"endpoint": "h", "bucket": "b", "key": "k", "accessKeySecret": {"name": "none", "key": "k"}}},
            "outputs.artifacts[0].s3.accessKeySecret: there is no Secret 'none' among the files",
        ),
        ("outputs", {"git": {"repo": "x"}}, "outputs.artifacts[0].git: uploads are only supported to S3 servers"),
        ("inputs", {"s3": {"roleARN": "x", "key": "k"}}, "inputs.artifacts[0].s3.roleARN: not supported on one machine"),
        ("inputs", {"gcs": {"bucket": "x", "key": "k"}}, "inputs.artifacts[0].gcs: not supported on one machine"),
    ],
)
def test_what_cannot_be_reached_is_refused(shapes: Any, part: str, artifact: dict[str, Any], expected: str) -> None:
    flow = shapes.workflow(shapes.shell("main", "true", **{part: _artifacts({"name": "a", "path": "/a", **artifact})}))
    assert any(str(problem).startswith(f"spec.templates[0].{expected}") for problem in local.problems(flow))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of git with a branch, a tag and two commits on main."""
    folder: Path = tmp_path_factory.mktemp("repository")
    script = """
        git init -q -b main . && git config user.name n && git config user.email e@example.org
        echo one > f && git add f && git commit -qm one && git tag first
        git checkout -q -b side && echo side > f && git commit -qam side
        git checkout -q main && echo two > f && git commit -qam two
        git update-ref refs/meta/x side
    """
    subprocess.run(["sh", "-ec", script], cwd=folder, check=True, env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull})
    return folder


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "two\n"),
        ({"revision": "first"}, "one\n"),
        ({"revision": "side"}, "side\n"),
        ({"branch": "side", "singleBranch": True, "depth": 1}, "side\n"),
        ({"fetch": ["refs/meta/*:refs/meta/*"], "revision": "refs/meta/x", "disableSubmodules": True}, "side\n"),
    ],
)
def test_a_repository_is_cloned(shapes: Any, run: Any, node: Any, log: Any, repository: Path, more: dict[str, Any], expected: str) -> None:
    source = _artifacts({"name": "src", "path": "/src", "git": {"repo": f"file://{repository}", **more}})
    outcome = run(shapes.workflow(shapes.shell("main", "cat /src/f", inputs=source)))
    assert log(outcome, node(outcome, "")) == expected


def test_a_revision_that_is_not_there_is_an_error(shapes: Any, run: Any, node: Any, repository: Path) -> None:
    source = _artifacts({"name": "src", "path": "/src", "git": {"repo": str(repository), "revision": "nowhere"}})
    found = node(run(shapes.workflow(shapes.shell("main", "true", inputs=source))), "")
    assert (found["phase"], "nowhere" in found["message"]) == ("Error", True)


def _data(name: str, *expressions: str, **s3_fields: Any) -> dict[str, Any]:
    source = {"artifactPaths": {"name": "x", "s3": s3_fields}}
    return {"name": name, "data": {"source": source, "transformation": [{"expression": one} for one in expressions]}}


@pytest.mark.parametrize("on_a_server", [False, True])
def test_data_lists_and_changes_keys(shapes: Any, run: Any, node: Any, place: Any, on_a_server: bool) -> None:
    described, objects, prefix = place if on_a_server else ({"bucket": "any"}, [], "keys")
    key = f"{prefix}/data"
    kept = {"name": "o", "path": "/o", "archive": {"none": {}}, "s3": {**described, "key": key}}
    flow = shapes.workflow(
        shapes.steps(
            "main",
            [{"name": "make", "template": "make"}],
            [{"name": name, "template": name} for name in ("all", "logs", "number", "none")] + [{"name": "bad", "template": "bad"}],
        ),
        shapes.shell("make", "mkdir -p /o/sub; touch /o/a.log /o/sub/b.log /o/c.txt", outputs=_artifacts(kept)),
        _data("all", **described, key=key),
        _data("logs", "filter(data, {# endsWith '.log'})", "map(data, {len(#)})", **described, key=key),
        _data("number", "len(data)", **described, key=key),
        _data("none", **described, key=f"{prefix}/nothing"),
        _data("bad", "data[9]", **described, key=key),
    )
    outcome = run(flow, objects=objects)
    found = {name: node(outcome, f"[1].{name}")["outputs"].get("result") for name in ("all", "logs", "number", "none")}
    size = len(key)
    assert found == {
        "all": f'["{key}/a.log","{key}/c.txt","{key}/sub/b.log"]',
        "logs": f"[{size + 6},{size + 10}]",
        "number": "3",
        "none": "null",
    }
    bad = node(outcome, "[1].bad")
    assert (bad["phase"], bad["outputs"], bad["type"]) == ("Failed", {"exitCode": "64"}, "Pod")
    assert bad["message"].startswith("main: Error (exit code 64): unable to process data template: unable to process data transformation: ")


def test_a_data_template_that_lists_nothing_known_is_refused(shapes: Any) -> None:
    flow = shapes.workflow({"name": "main", "data": {"source": {}, "transformation": [{"expression": "1 +"}]}})
    told = [str(problem) for problem in local.problems(flow)]
    assert told[0].startswith("spec.templates[0].data.source.artifactPaths: only artifacts of s3 can be listed")
    assert told[1].startswith("spec.templates[0].data.transformation[0].expression: ")
