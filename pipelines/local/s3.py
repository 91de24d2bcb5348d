"""Objects of an S3 server: read, written and listed by signed requests (AWS Signature Version 4, path-style addresses)."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import http.client
import shutil
import urllib.parse
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_S = 30
_EMPTY = hashlib.sha256(b"").hexdigest()
_XML = "{http://s3.amazonaws.com/doc/2006-03-01/}"


class NoSuchObject(OSError):
    """The server has no object of that key."""


@dataclass(frozen=True)
class Bucket:
    """A bucket of a server (`host` or `host:port`), and who asks for it; without a key id, requests are not signed."""

    endpoint: str
    name: str
    region: str
    secure: bool
    key_id: str
    secret: str
    token: str = ""

    def read(self, key: str, target: Path) -> None:
        """Write an object into a file. Raises OSError, and NoSuchObject where there is none."""
        with self._answer("GET", key) as response, open(target, "wb") as file:
            shutil.copyfileobj(response, file)

    def write(self, key: str, source: Path) -> None:
        """Write a file under a key. Raises OSError."""
        with self._answer("PUT", key, source=source):
            pass

    def keys(self, prefix: str) -> list[str]:
        """The keys of all objects that begin with a prefix, in order. Raises OSError."""
        found: list[str] = []
        query = {"list-type": "2", "prefix": prefix}
        while True:
            with self._answer("GET", "", query) as response:
                page = ET.fromstring(response.read())  # noqa: S314 - the server is the one that the workflow names
            found += [one.findtext(f"{_XML}Key", "") for one in page.iter(f"{_XML}Contents")]
            token = page.findtext(f"{_XML}NextContinuationToken")
            if not token:
                return found
            query["continuation-token"] = token

    @contextmanager
    def _answer(
        self, method: str, key: str, query: Mapping[str, str] | None = None, source: Path | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        path = urllib.parse.quote(f"/{self.name}/{key}")
        parameters = urllib.parse.urlencode(sorted((query or {}).items()), quote_via=urllib.parse.quote, safe="")
        digest = _EMPTY if source is None else _digest(source)
        kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        connection = kind(self.endpoint, timeout=_TIMEOUT_S)
        try:
            headers = self._headers(method, path, parameters, digest)
            if source is None:
                connection.request(method, f"{path}?{parameters}", headers=headers)
            else:
                with open(source, "rb") as body:
                    length = {"Content-Length": str(source.stat().st_size)}
                    connection.request(method, f"{path}?{parameters}", body, headers | length)
            response = connection.getresponse()
            if response.status >= 300:
                code = _code(response.read())
                what = f"{self.endpoint}: {method} {self.name}/{key}: {response.status} {code}"
                raise NoSuchObject(what) if code == "NoSuchKey" else OSError(what)
            yield response
        except http.client.HTTPException as error:
            raise OSError(f"{self.endpoint}: {method} {self.name}/{key}: {error}") from None
        finally:
            connection.close()

    def _headers(self, method: str, path: str, query: str, digest: str) -> dict[str, str]:
        now = datetime.datetime.now(datetime.UTC)
        headers = {"host": self.endpoint, "x-amz-content-sha256": digest, "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ")}
        if self.token:
            headers["x-amz-security-token"] = self.token
        if not self.key_id:
            return headers
        signed = ";".join(headers)
        listed = "".join(f"{name}:{value}\n" for name, value in headers.items())
        scope = f"{now:%Y%m%d}/{self.region}/s3/aws4_request"
        request = f"{method}\n{path}\n{query}\n{listed}\n{signed}\n{digest}"
        text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = f"AWS4{self.secret}".encode()
        for part in (*scope.split("/"), text):
            key = hmac.digest(key, part.encode(), "sha256")
        return {
            **headers,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={self.key_id}/{scope}, SignedHeaders={signed}, Signature={key.hex()}",
        }


def _digest(source: Path) -> str:
    with open(source, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _code(body: bytes) -> str:
    try:
        return ET.fromstring(body).findtext("Code") or ""  # noqa: S314 - as above
    except ET.ParseError:
        return ""
