"""Requests sent from this machine: HTTP templates, and artifacts that are downloaded."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import http.client
import shutil
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pipelines.language import evaluate
from pipelines.language.errors import EvaluationError
from pipelines.local import configs
from pipelines.local.calls import Ended
from pipelines.local.references import Objects

_TIMEOUT_S = 30
T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """What a server answered; headers by Go's canonical names."""

    code: int
    headers: Mapping[str, list[str]]
    body: str


async def answered(described: Mapping[str, Any], objects: Objects) -> Ended:
    """Send what a template describes, and judge the answer. Raises EvaluationError where there is no answer, or no judging it."""
    headers = [(one["name"], _header(one, objects)) for one in described.get("headers") or []]
    answer = await _in_thread(described, partial(_sent, described, headers, _body(described)))
    outputs = {"result": answer.body}
    condition = described.get("successCondition")
    if not condition:
        ok = 200 <= answer.code < 300
        return Ended("Succeeded" if ok else "Failed", "" if ok else f"received non-2xx response code: {answer.code}", outputs)
    sent: dict[str, list[str]] = {}
    for name, value in headers:
        sent.setdefault(_canonical(name), []).append(value)
    request = {key: described.get(key) or "" for key in ("method", "url", "body")}
    response = {"statusCode": answer.code, "headers": dict(answer.headers), "body": answer.body}
    if evaluate.truth(condition, {"request": {**request, "headers": sent}, "response": response}):
        return Ended("Succeeded", "", outputs)
    return Ended("Failed", f"successCondition '{condition}' evaluated false", outputs)


def _header(one: Mapping[str, Any], objects: Objects) -> str:
    reference = (one.get("valueFrom") or {}).get("secretKeyRef")
    return str(one.get("value") or "") if reference is None else configs.value_of(objects, "Secret", reference) or ""


def _body(described: Mapping[str, Any]) -> bytes:
    source = described.get("bodyFrom") or {}
    try:
        return base64.b64decode(source["bytes"]) if source.get("bytes") else str(described.get("body") or "").encode()
    except (binascii.Error, ValueError):
        raise EvaluationError(f"http.bodyFrom.bytes: expected base64, got {source['bytes'][:40]!r}") from None


async def answer(described: Mapping[str, Any]) -> Answer:
    """What a server answers, whatever that is. Raises EvaluationError where there is no answer."""
    return await _in_thread(described, partial(_sent, described, [], b""))


async def download(described: Mapping[str, Any], target: Path) -> None:
    """Write what an HTTP artifact names into a file. Raises EvaluationError."""
    headers = [(one["name"], str(one.get("value") or "")) for one in described.get("headers") or []]

    def work() -> None:
        with _opened(described, headers, b"") as response, open(target, "wb") as file:
            if not 200 <= response.status < 300:
                raise ValueError(f"the server answers {response.status}")
            shutil.copyfileobj(response, file)

    await _in_thread(described, work)


async def _in_thread(described: Mapping[str, Any], send: Callable[[], T]) -> T:
    """What a request gives, waited for by a thread that nobody waits for: an interrupted run ends at once."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(done: Callable[[], None]) -> None:
        if not future.done():
            done()

    def work() -> None:
        try:
            done = partial(future.set_result, send())
        except (OSError, ValueError, http.client.HTTPException) as failure:
            done = partial(future.set_exception, EvaluationError(f"{described.get('method') or 'GET'} {described['url']}: {failure}"))
        with contextlib.suppress(RuntimeError):  # the run has ended
            loop.call_soon_threadsafe(settle, done)

    threading.Thread(target=work, daemon=True).start()
    return await future


def _sent(described: Mapping[str, Any], headers: Iterable[tuple[str, str]], body: bytes) -> Answer:
    with _opened(described, headers, body) as response:
        found: dict[str, list[str]] = {}
        for name, value in response.headers.items():
            found.setdefault(_canonical(name), []).append(value)
        return Answer(response.status, found, response.read().decode(errors="replace"))


def _opened(described: Mapping[str, Any], headers: Iterable[tuple[str, str]], body: bytes) -> Any:
    url = str(described["url"])
    if not url.startswith(("http://", "https://")):
        raise ValueError("expected http:// or https://")
    request = urllib.request.Request(url, body or None, dict(headers), method=described.get("method") or "GET")  # noqa: S310 - checked above
    context = ssl.create_default_context()
    if described.get("insecureSkipVerify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        return urllib.request.urlopen(request, timeout=described.get("timeoutSeconds") or _TIMEOUT_S, context=context)  # noqa: S310
    except urllib.error.HTTPError as error:
        return error


def _canonical(name: str) -> str:
    return "-".join(part[:1].upper() + part[1:].lower() for part in name.split("-"))
