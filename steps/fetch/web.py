"""http and https as a source that can be opened at an offset (RFC 9110, sections 13.1.5 and 14: If-Range and Range)."""

from __future__ import annotations

import email.utils
import http.client
import re
import ssl
import urllib.error
import urllib.request
from email.message import Message
from urllib.parse import quote

from steps import contract
from steps.fetch.address import Address
from steps.fetch.partial import Open, Opened
from steps.fetch.patience import Trouble

TIMEOUT_S = 30.0
_MAY_PASS = {408, 425, 429}
_NETWORK = (OSError, http.client.HTTPException)


def opener(address: Address) -> Open:
    """How to open an http(s) address at an offset. Opening raises BadInput (404, a wrong certificate) or Trouble (5xx, nobody there)."""
    url = quote(address.parts._replace(fragment="").geturl(), safe="/%:=&?~#+!$,;'@()*[]")

    def open_at(offset: int, validator: str | None) -> Opened:
        headers = {"User-Agent": "tiphys", "Accept-Encoding": "identity"}
        if offset and validator:
            headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
        response = _request(urllib.request.Request(url, headers=headers), address)  # noqa: S310
        if response is None:
            return open_at(0, None)
        return _opened(response, offset)

    return open_at


def _request(request: urllib.request.Request, address: Address) -> http.client.HTTPResponse | None:
    try:
        response: http.client.HTTPResponse = _director().open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and request.has_header("Range"):
            return None
        if error.code >= 500 or error.code in _MAY_PASS:
            raise Trouble(f"the server answers {error.code} {error.reason}") from None
        raise contract.BadInput(
            f"DATA_URL: {address.shown}: the server answers {error.code} {error.reason}; check the address and the right to read it"
        ) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise contract.BadInput(f"DATA_URL: {address.shown}: the server's certificate is not trusted: {error.reason}") from None
        raise Trouble(f"no answer: {error.reason}") from None
    except http.client.InvalidURL as error:
        raise contract.BadInput(f"DATA_URL: {address.shown}: no URL that http knows: {error}") from None
    except _NETWORK as error:
        raise Trouble(f"no answer: {error or type(error).__name__}") from None
    return response


def _director() -> urllib.request.OpenerDirector:
    """Only http and https: a redirect to anything else is an error. Proxies are those of the environment."""
    director = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        director.add_handler(handler())
    return director


def _opened(response: http.client.HTTPResponse, offset: int) -> Opened:
    start, total = 0, _length(response.headers.get("Content-Length"))
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not found or int(found[1]) != offset:
            response.close()
            raise Trouble(f"the server sends {response.headers.get('Content-Range')!r} where bytes from {offset} were asked for")
        start, total = offset, _length(found[2])

    def read(size: int) -> bytes:
        try:
            return response.read1(size)  # what is there, so that a kill loses next to nothing
        except _NETWORK as error:
            raise Trouble(f"the connection broke: {error or type(error).__name__}") from None

    return Opened(start, total, _validator(response.headers), read, response.close)


def _length(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _validator(headers: Message) -> str | None:
    """What If-Range takes: a strong entity tag, or a date that is one (RFC 9110, 8.8.2.2) where there is no tag."""
    tag = headers.get("ETag")
    if tag is not None:
        return tag if tag.startswith('"') else None
    modified, date = (_moment(headers.get(name)) for name in ("Last-Modified", "Date"))
    if modified is None or date is None or date - modified < 1:
        return None
    return headers.get("Last-Modified")


def _moment(text: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() if text else None
    except ValueError:
        return None
