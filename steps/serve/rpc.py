"""The gRPC side of the server."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

# gRPC's own lines about a port in use or a client gone are no news to whoever reads the log.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc

from clients.serving import calls, messages
from steps.serve.config import Security
from steps.serve.errors import ServingError
from steps.serve.log import log
from steps.serve.service import Service

_OPTIONS = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def start(
    service: Service, address: str, threads: int, arguments: Sequence[tuple[str, int | str]] = (), security: Security | None = None
) -> Any:
    """A server that answers at an address; `arguments` are gRPC's own. Raises OSError where the address is taken."""
    server = grpc.server(futures.ThreadPoolExecutor(threads, thread_name_prefix="grpc"), options=[*_OPTIONS, *arguments])
    server.add_generic_rpc_handlers((_handlers(service),))
    try:
        if security:
            server.add_secure_port(address, _credentials(security))
        else:
            server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(str(error)) from None
    server.start()
    return server


def _credentials(security: Security) -> Any:
    return grpc.ssl_server_credentials(
        [(security.server_key, security.server_cert)], security.custom_ca or None, require_client_auth=security.client_verify
    )


def _handlers(service: Service) -> Any:
    # Predict gets and gives bytes: reading and writing them is where the time goes, and is done for many requests at once.
    methods = {
        calls.PREDICT: grpc.unary_unary_rpc_method_handler(_guarded(lambda raw, _context: service.predict_counted(raw))),
        calls.GET_MODEL_METADATA: _method(lambda request, _context: service.get_model_metadata(request), messages.GetModelMetadataRequest),
        calls.GET_MODEL_STATUS: _method(lambda request, _context: service.get_model_status(request), messages.GetModelStatusRequest),
        calls.HANDLE_RELOAD_CONFIG_REQUEST: _method(
            lambda request, context: service.reload_config(request, context.is_active), messages.ReloadConfigRequest
        ),
    }

    class Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, handler_call_details: Any) -> Any:
            return methods.get(handler_call_details.method)

    return Handlers()


def _method(answer: Callable[[Any, Any], Any], request: Any) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        _guarded(answer),
        request_deserializer=request.FromString,
        response_serializer=lambda response: response.SerializeToString(),
    )


def _guarded(answer: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The call, its errors told as gRPC statuses."""

    def guarded(request: Any, context: Any) -> Any:
        try:
            return answer(request, context)
        except ServingError as error:
            code, details = error.code, error.details
        except Exception as error:
            code, details = "INTERNAL", f"{type(error).__name__}: {error}"
            log(f"a bug: {details}")
        return context.abort(grpc.StatusCode[code], details)

    return guarded
