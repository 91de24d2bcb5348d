"""The REST side of the server."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
import urllib.parse
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf import json_format

from clients.serving import messages, tensors
from steps.serve import json_tensors
from steps.serve.errors import ServingError
from steps.serve.log import log
from steps.serve.metrics import CONTENT_TYPE, Metrics
from steps.serve.service import Service

_STATUS = {
    "CANCELLED": 499,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_OTHER_ERROR = 500

_VERSION = r"(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_PREDICT = re.compile(rf"/v1/models/(?P<name>[^/:]+){_VERSION}:(?P<verb>classify|regress|predict)", re.IGNORECASE)
_MODEL = re.compile(rf"/v1/models(?:/(?P<name>[^/:]+))?{_VERSION}(?:/(?P<verb>metadata))?", re.IGNORECASE)
_LARGEST_BODY_BYTES = 1 << 31


class Rest:
    """The calls of the REST API: method, path and body in, status and JSON out."""

    def __init__(self, service: Service, metrics: Metrics, metrics_path: str | None, timeout_s: float | None, threads: int) -> None:
        self._service, self._metrics = service, metrics
        self.metrics_path = metrics_path
        self._timeout_s = timeout_s
        self._pool = futures.ThreadPoolExecutor(threads, thread_name_prefix="rest")

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """The status code and the body of the answer, within the time a call may take. The call is counted."""
        started = time.perf_counter()
        match = {"POST": _PREDICT, "GET": _MODEL}[method].fullmatch(path) if method in ("POST", "GET") else None
        name, verb = (match["name"] or "", (match["verb"] or "").lower()) if match else ("", "")
        code, status, content = self._answer(method, path, match, body)
        if code == "OK":
            self._metrics.request_latency.add(time.perf_counter() - started, name, verb, "REST")
        self._metrics.request_count.add(name, code)
        return status, content

    def metrics(self) -> bytes:
        """The page for Prometheus."""
        return self._metrics.page().encode()

    def _answer(self, method: str, path: str, match: re.Match[str] | None, body: bytes) -> tuple[str, int, bytes]:
        try:
            return "OK", 200, self._pool.submit(self._dispatch, method, path, match, body).result(self._timeout_s)
        except futures.TimeoutError:
            error = ServingError("DEADLINE_EXCEEDED", f"Timed out after {self._timeout_s} s")
        except ServingError as failure:
            error = failure
        except Exception as failure:
            error = ServingError("INTERNAL", f"{type(failure).__name__}: {failure}")
            log(f"a bug: {error.message}")
        return error.code, _STATUS.get(error.code, _OTHER_ERROR), json_tensors.write_error(error.message)

    def _dispatch(self, method: str, path: str, match: re.Match[str] | None, body: bytes) -> bytes:
        if match is None:
            raise ServingError("INVALID_ARGUMENT", f"Malformed request: {method} {path}")
        spec = _spec(match)
        verb = (match["verb"] or "").lower()
        if verb == "predict":
            return self._predict(spec, body)
        if verb in ("classify", "regress"):
            raise ServingError("UNIMPLEMENTED", f"{verb} is not supported by this server; predict is")
        if not spec.name:
            raise ServingError("INVALID_ARGUMENT", "Missing model name in request.")
        return self._metadata(spec) if verb == "metadata" else self._status(spec)

    def _predict(self, spec: Any, body: bytes) -> bytes:
        document = json_tensors.read_body(body)
        spec.signature_name = json_tensors.signature_name(document)
        arrays, by_row = json_tensors.read_inputs(document, self._service.input_types(spec, spec.signature_name))
        request = messages.PredictRequest(model_spec=spec)
        for name, array in arrays.items():
            request.inputs[name].CopyFrom(tensors.to_proto(array))
        response = messages.PredictResponse.FromString(self._service.predict(request.SerializeToString()))
        return json_tensors.write_outputs({name: tensors.to_array(tensor) for name, tensor in response.outputs.items()}, by_row)

    def _status(self, spec: Any) -> bytes:
        response = self._service.get_model_status(messages.GetModelStatusRequest(model_spec=spec))
        return json.dumps(_as_dict(response), indent=1).encode()

    def _metadata(self, spec: Any) -> bytes:
        response = self._service.get_model_metadata(messages.GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"]))
        signatures = messages.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        document = {"model_spec": _as_dict(response.model_spec), "metadata": {"signature_def": _as_dict(signatures)}}
        return json.dumps(document, indent=1).encode()


def _spec(match: re.Match[str]) -> Any:
    spec = messages.ModelSpec(name=urllib.parse.unquote(match["name"] or ""))
    if match["version"]:
        if int(match["version"]) >= 1 << 63:
            raise ServingError("INVALID_ARGUMENT", f"Failed to convert version: {match['version']} to numeric.")
        spec.version.value = int(match["version"])
    elif match["label"]:
        spec.version_label = urllib.parse.unquote(match["label"])
    return spec


def _as_dict(message: Any) -> dict[str, Any]:
    return dict(json_format.MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True))


class _Handler(BaseHTTPRequestHandler):
    """One connection. It is `idle` between calls, when it may be closed without losing one."""

    protocol_version = "HTTP/1.1"
    server_version = "tiphys"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: RestServer

    def setup(self) -> None:
        super().setup()
        self.server.opened(self)

    def finish(self) -> None:
        self.server.closed(self)
        super().finish()

    def parse_request(self) -> bool:
        parsed = super().parse_request()
        # A path is quoted in messages and matched, never opened; whatever the method, it is answered.
        if parsed:
            setattr(self, f"do_{self.command}", self._answer)
        return parsed

    def _answer(self) -> None:
        with self.server.busy(self):
            path = urllib.parse.urlsplit(self.path).path
            try:
                body = self._body()
            except ValueError as error:
                self.close_connection = True
                self._send(400, json_tensors.write_error(str(error)))
                return
            if path == self.server.rest.metrics_path:
                self._send(200, self.server.rest.metrics(), CONTENT_TYPE)
                return
            if not path.lower().startswith("/v1/"):
                self._send(404, json_tensors.write_error(f"Not found: {path}"))
                return
            self._send(*self.server.rest.answer(self.command, path, body))

    def _body(self) -> bytes:
        """The body of the request. Raises ValueError where its length is not said, or it ends early."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunks()
        length = self.headers.get("Content-Length", "0")
        if not re.fullmatch(r"[0-9]{1,10}", length) or int(length) > _LARGEST_BODY_BYTES:
            raise ValueError(f"Content-Length: expected 0 to {_LARGEST_BODY_BYTES}, got {length[:40]}")
        return self._read(int(length))

    def _chunks(self) -> bytes:
        body = bytearray()
        while size := int(self.rfile.readline(1000).split(b";")[0], 16):
            if size < 0 or len(body) + size > _LARGEST_BODY_BYTES:
                raise ValueError("the body is too large")
            body += self._read(size)
            self.rfile.readline(1000)
        while self.rfile.readline(1000).strip():
            pass
        return bytes(body)

    def _read(self, size: int) -> bytes:
        content = self.rfile.read(size)
        if len(content) < size:
            raise ValueError(f"the body ends after {len(content)} of {size} bytes")
        return content

    def _send(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        if self.server.stopping:
            self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name that http.server gives it)
        """Calls are not logged."""


class RestServer(ThreadingHTTPServer):
    """The HTTP server. `stop` answers what has begun, then closes every connection."""

    daemon_threads = True
    request_queue_size = 128
    stopping = False

    def __init__(self, rest: Rest, address: tuple[str, int]) -> None:
        """Listen. Raises OSError where the address is taken."""
        super().__init__(address, _Handler)
        self.rest = rest
        self._connections: dict[_Handler, bool] = {}
        self._changed = threading.Condition()

    def start(self) -> None:
        """Accept connections, in a thread."""
        threading.Thread(target=self.serve_forever, name="rest", daemon=True).start()

    def stop(self, within_s: float) -> None:
        """Take no more calls, and wait for those that have begun."""
        self.stopping = True
        self.shutdown()
        self.server_close()
        deadline = time.monotonic() + within_s
        with self._changed:
            for connection, is_busy in self._connections.items():
                if not is_busy:
                    _hang_up(connection.connection)
            self._changed.wait_for(lambda: not any(self._connections.values()), max(0, deadline - time.monotonic()))

    def opened(self, connection: _Handler) -> None:
        """A connection is there, idle."""
        with self._changed:
            self._connections[connection] = False

    def closed(self, connection: _Handler) -> None:
        """A connection is gone."""
        with self._changed:
            self._connections.pop(connection, None)
            self._changed.notify_all()

    def busy(self, connection: _Handler) -> Any:
        """A context in which a connection has a call in work."""
        return _Busy(self._connections, self._changed, connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is the client's affair."""


class _Busy:
    def __init__(self, connections: dict[_Handler, bool], changed: threading.Condition, connection: _Handler) -> None:
        self._connections, self._changed, self._connection = connections, changed, connection

    def __enter__(self) -> None:
        with self._changed:
            self._connections[self._connection] = True

    def __exit__(self, *_: object) -> None:
        self._connection.wfile.flush()
        with self._changed:
            self._connections[self._connection] = False
            self._changed.notify_all()


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is gone already
