"""The REST API, asked with urllib and plain sockets."""

import base64
import json
import math
import random
import socket
import urllib.error
import urllib.request

import pytest

ROW = {"a": 1.5, "b": 2, "word": "Hello", "pair": [0, 100]}
ANSWER = {"total": [21.5, 121.5], "length": [3], "shout": "HELLO"}


def call(server, path, body=None, method=None):
    """Status and decoded body of an answer."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{server.rest_port}{path}", data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            assert response.headers["Content-Type"] == "application/json"
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


PREDICT = "/v1/models/zoo:predict"
GOOD = [  # what is asked, the path, the body, the answer
    ("rows", PREDICT, {"instances": [ROW, ROW]}, {"predictions": [ANSWER, ANSWER]}),
    ("columns", PREDICT, {"inputs": {name: [value] for name, value in ROW.items()}}, {"outputs": {k: [v] for k, v in ANSWER.items()}}),
    ("a version", "/v1/models/zoo/versions/1:predict", {"instances": [ROW]}, {"predictions": [ANSWER]}),
    ("a signature", PREDICT, {"signature_name": "picky", "instances": [{"x": 4, "y": 1.5}]}, {"predictions": [3.5]}),
    ("plain rows of one input", PREDICT, {"signature_name": "loose", "instances": [1, 2.5]}, {"predictions": [3.5]}),
    ("a plain column of one input", PREDICT, {"signature_name": "whole", "inputs": [1, 2]}, {"outputs": 3.0}),
    ("bytes", PREDICT, {"signature_name": "scalar", "inputs": {"b64": "/wA="}}, {"outputs": {"b64": "/wA="}}),
    ("a word as bytes", PREDICT, {"instances": [{**ROW, "word": {"b64": base64.b64encode(b"Hello").decode()}}]}, {"predictions": [ANSWER]}),
    ("other scripts", PREDICT, {"instances": [{**ROW, "word": "\u00e9"}]}, {"predictions": [{**ANSWER, "length": [0], "shout": "\u00e9"}]}),
    ("capitals in the path", "/V1/Models/zoo:Predict", {"instances": [ROW]}, {"predictions": [ANSWER]}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "answer"), [row[1:] for row in GOOD], ids=[row[0] for row in GOOD])
def test_predict(zoo, path, body, answer):
    assert call(zoo, path, body) == (200, answer)


def test_numbers_that_are_none(zoo):
    body = b'{"signature_name": "picky", "inputs": {"x": [0, Infinity, 1], "y": [NaN, 0, -Infinity]}}'
    status, answer = call(zoo, PREDICT, body)
    assert status == 200
    assert math.isnan(answer["outputs"][0])
    assert answer["outputs"][1:] == [math.inf, -math.inf]
    assert call(zoo, PREDICT, {"instances": [{**ROW, "a": math.nan}]})[1]["predictions"][0]["total"] == [19.0, 119.0]


def test_numbers_are_written_as_short_as_they_are_exact(zoo):
    assert call(zoo, PREDICT, {"signature_name": "picky", "inputs": {"x": [0], "y": [0.1]}})[1] == {"outputs": [0.1]}


BAD = [  # what is wrong, the method, the path, the body, the status, a part of the message
    ("no body", "POST", PREDICT, b"", 400, "The document is empty"),
    ("no JSON", "POST", PREDICT, b"{nope", 400, "JSON Parse error"),
    ("deep JSON", "POST", PREDICT, b"[" * 100000, 400, "JSON Parse error"),
    ("no object", "POST", PREDICT, [1], 400, "Is not object"),
    ("neither format", "POST", PREDICT, {}, 400, "Missing 'inputs' or 'instances' key"),
    ("both formats", "POST", PREDICT, {"inputs": {}, "instances": []}, 400, "only one of 'inputs' or 'instances'"),
    ("no instances", "POST", PREDICT, {"instances": []}, 400, "No values in 'instances' array"),
    ("instances no list", "POST", PREDICT, {"instances": 1}, 400, "Expecting 'instances' to be an list/array"),
    ("plain rows of many inputs", "POST", PREDICT, {"instances": [1]}, 400, "instances is a plain list"),
    ("a plain column of many inputs", "POST", PREDICT, {"inputs": [1]}, 400, "inputs is a plain value/list"),
    ("rows mixed", "POST", PREDICT, {"instances": [ROW, 1]}, 400, "Expecting object but got list at item 1"),
    ("an input missing in a row", "POST", PREDICT, {"instances": [{"a": 1}]}, 400, "keys must be equal to: a,b,pair,word"),
    ("an input unknown in a row", "POST", PREDICT, {"instances": [{**ROW, "z": 1}]}, 400, "does not have named input: z"),
    ("a column missing", "POST", PREDICT, {"inputs": {"a": [1]}}, 400, "Missing named input: b in 'inputs' object."),
    ("text for a number", "POST", PREDICT, {"instances": [{**ROW, "a": "x"}]}, 400, "Type: String is not of expected type: float"),
    ("null for a number", "POST", PREDICT, {"instances": [{**ROW, "a": None}]}, 400, "Type: Null is not of expected type: float"),
    ("true for a number", "POST", PREDICT, {"instances": [{**ROW, "a": True}]}, 400, "Type: True is not of expected type: float"),
    ("a number for text", "POST", PREDICT, {"instances": [{**ROW, "word": 1}]}, 400, "Type: Number is not of expected type: string"),
    ("no base64", "POST", PREDICT, {"instances": [{**ROW, "word": {"b64": "?"}}]}, 400, "Unable to base64 decode"),
    ("ragged", "POST", PREDICT, {"inputs": {**ROW, "pair": [[1, 2], [3]]}}, 400, "unexpected size: 1 at level: 1 expected size: 2"),
    ("rows unlike", "POST", PREDICT, {"instances": [ROW, {**ROW, "pair": [1]}]}, 400, "Expecting shape [2] but got: [1]"),
    ("a signature that is no text", "POST", PREDICT, {"signature_name": 1, "instances": [1]}, 400, "must be a string value"),
    ("an unknown signature", "POST", PREDICT, {"signature_name": "s", "instances": [1]}, 400, 'name: "s" not found in signature def'),
    ("refused by the model", "POST", PREDICT, {"signature_name": "picky", "instances": [{"x": -1, "y": 0}]}, 400, "must not be negative"),
    ("an unknown model", "POST", "/v1/models/nobody:predict", {"instances": [1]}, 404, "Servable not found for request: Latest(nobody)"),
    ("an unknown version", "POST", "/v1/models/zoo/versions/7:predict", {"instances": [1]}, 404, "Specific(zoo, 7)"),
    ("an unknown label", "POST", "/v1/models/zoo/labels/gold:predict", {"instances": [1]}, 400, "version label: gold"),
    ("a version too large", "POST", f"/v1/models/zoo/versions/{1 << 63}:predict", {"instances": [1]}, 400, "Failed to convert version"),
    ("a call not supported", "POST", "/v1/models/zoo:classify", {"examples": [{}]}, 501, "classify is not supported"),
    ("no such call", "POST", "/v1/models/zoo:guess", {"instances": [1]}, 400, "Malformed request: POST /v1/models/zoo:guess"),
    ("the wrong method", "GET", PREDICT, None, 400, "Malformed request: GET /v1/models/zoo:predict"),
    ("another method", "PUT", PREDICT, b"x", 400, "Malformed request: PUT"),
    ("no model", "GET", "/v1/models", None, 400, "Missing model name in request."),
    ("status of nobody", "GET", "/v1/models/nobody", None, 404, "Could not find any versions of model nobody"),
    ("status of no version", "GET", "/v1/models/zoo/versions/7", None, 404, "Could not find version 7 of model zoo"),
    ("metadata of nobody", "GET", "/v1/models/nobody/metadata", None, 404, "Latest(nobody)"),
    ("another path", "GET", "/v2/models/zoo", None, 404, "Not found"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "code", "message"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_what_is_wrong_is_told_with_code_and_reason(zoo, method, path, body, code, message):
    status, answer = call(zoo, path, body, method)
    assert status == code
    assert answer.keys() == {"error"}
    assert message in answer["error"]


def test_status(zoo):
    version = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert call(zoo, "/v1/models/zoo") == (200, {"model_version_status": [version]})
    assert call(zoo, "/v1/models/zoo/versions/1") == (200, {"model_version_status": [version]})


def test_metadata(zoo):
    status, answer = call(zoo, "/v1/models/zoo/metadata")
    assert status == 200
    assert answer["model_spec"] == {"name": "zoo", "version": "1", "signature_name": ""}
    inputs = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]
    assert inputs["pair"]["dtype"] == "DT_FLOAT"
    assert [dim["size"] for dim in inputs["pair"]["tensor_shape"]["dim"]] == ["-1", "2"]


def talk(server, *parts):
    """All that a server says to some bytes, until it hangs up."""
    with socket.create_connection(("127.0.0.1", server.rest_port), timeout=60) as connection:
        for part in parts:
            connection.sendall(part)
        connection.shutdown(socket.SHUT_WR)
        said = b""
        while more := connection.recv(65536):
            said += more
    return said


def post(body, *headers):
    lines = [f"POST {PREDICT} HTTP/1.1", "Host: x", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def test_a_connection_is_kept_for_the_next_call_and_bodies_may_come_in_chunks(zoo):
    body = json.dumps({"instances": [ROW]}).encode()
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:10], body[10:])) + b"0\r\n\r\n"
    said = talk(zoo, post(body, f"Content-Length: {len(body)}"), post(chunked, "Transfer-Encoding: chunked"))
    assert said.count(b"HTTP/1.1 200") == said.count(b'"HELLO"') == 2


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(b"", "Content-Length: -1"),
        post(b"", "Content-Length: 99999999999"),
        post(b"{}", "Content-Length: 10"),
        post(b"zz\r\n", "Transfer-Encoding: chunked"),
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x00\xff nonsense\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused(zoo, request_bytes):
    assert b" 400 " in talk(zoo, request_bytes)


def test_broken_bodies_never_break_the_server(zoo):
    generator = random.Random(3)
    good = json.dumps({"signature_name": "serving_default", "instances": [ROW, ROW]}).encode()
    for _ in range(200):
        broken = bytearray(good)
        for _ in range(generator.randint(1, 4)):
            broken[generator.randrange(len(broken))] = generator.randrange(256)
        status, answer = call(zoo, PREDICT, bytes(broken))
        assert status in (200, 400)
        assert ("error" in answer) == (status == 400)
    assert call(zoo, PREDICT, good)[0] == 200
    assert "a bug" not in zoo.log.read_text()
