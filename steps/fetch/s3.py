"""S3 as a source: an object, or all objects under a prefix, each opened at an offset (Range with If-Match)."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from steps import contract
from steps.fetch.address import Address
from steps.fetch.partial import Open, Opened
from steps.fetch.patience import Trouble, persist

TIMEOUT_S = 30.0
_READ_BYTES = 1 << 16  # a read waits until all of it is there, and a kill loses that much
# Each setting by its standard name, then by the name that users of the original deployment set.
_ENDPOINT = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "endpoint_url")
_REGION = ("AWS_REGION", "AWS_DEFAULT_REGION", "region_name")
_KEY, _SECRET = ("AWS_ACCESS_KEY_ID", "aws_access_key_id"), ("AWS_SECRET_ACCESS_KEY", "aws_secret_access_key")
_SIGNATURE, _BUCKET = ("signature_version",), ("datasetsbucket",)
_ADVICE = f"check {_KEY[0]}, {_SECRET[0]}, {_ENDPOINT[1]} and {_REGION[0]}, and the right to read the bucket"


@dataclass(frozen=True)
class S3Object:
    """An object: its name is the key below the prefix, or the key's last part."""

    key: str
    name: str
    size: int
    tag: str


class Bucket:
    """A bucket, with the settings of the environment."""

    def __init__(self, address: Address, environ: Mapping[str, str] = os.environ) -> None:
        self.name = address.parts.netloc or _first(environ, _BUCKET) or ""
        self.key = unquote(address.parts.path).lstrip("/")
        self._shown = f"s3://{self.name}/{self.key}"
        if not self.name:
            raise contract.BadInput(
                f"DATA_URL: {address.shown}: expected s3://BUCKET/KEY, or the bucket's name in the environment variable datasetsbucket"
            )
        with _told(self._shown):
            self._client = _client(environ)

    def objects(self) -> list[S3Object]:
        """The object of the key, or all under a prefix that ends in / (or is empty), by name. Raises BadInput where there is none."""
        found = persist(self._list if not self.key or self.key.endswith("/") else self._head, self._shown)
        if not found:
            raise contract.BadInput(f"DATA_URL: {self._shown}: expected objects under this prefix, found none; check bucket and prefix")
        return sorted(found, key=lambda item: item.name)

    def opener(self, item: S3Object) -> Open:
        """How to open an object at an offset, as long as it is the version that was listed."""

        def open_at(offset: int, tag: str | None) -> Opened:
            start = offset if tag == item.tag else 0
            wanted = {"Range": f"bytes={start}-"} if start else {}
            with _told(self._shown):
                answer = self._client.get_object(Bucket=self.name, Key=item.key, IfMatch=item.tag, **wanted)
            body = answer["Body"]

            def read(size: int) -> bytes:
                with _told(self._shown):
                    return bytes(body.read(min(size, _READ_BYTES)))

            return Opened(start, item.size, item.tag, read, body.close)

        return open_at

    def _head(self) -> list[S3Object]:
        with _told(self._shown):
            head = self._client.head_object(Bucket=self.name, Key=self.key)
        return [S3Object(self.key, self.key.rpartition("/")[2], head["ContentLength"], head["ETag"])]

    def _list(self) -> list[S3Object]:
        with _told(self._shown):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=self.key)
            found = [entry for page in pages for entry in page.get("Contents", [])]
        return [
            S3Object(entry["Key"], entry["Key"][len(self.key) :], entry["Size"], entry["ETag"])
            for entry in found
            if not entry["Key"].endswith("/")
        ]


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((environ[name] for name in names if environ.get(name)), None)


def _client(environ: Mapping[str, str]) -> Any:
    """A client of the settings in the environment. Our own waits replace botocore's retries."""
    import boto3
    from botocore.config import Config

    endpoint = _first(environ, _ENDPOINT)
    config = Config(
        signature_version=_first(environ, _SIGNATURE),
        connect_timeout=TIMEOUT_S,
        read_timeout=TIMEOUT_S,
        retries={"total_max_attempts": 1},
        # A server of one's own rarely has a name for each bucket.
        s3={"addressing_style": "path"} if endpoint else None,
    )
    keys = (
        {"aws_access_key_id": _first(environ, _KEY), "aws_secret_access_key": _first(environ, _SECRET)} if not environ.get(_KEY[0]) else {}
    )
    region = _first(environ, _REGION) or ("us-east-1" if endpoint else None)
    return boto3.session.Session().client("s3", endpoint_url=endpoint, region_name=region, config=config, **keys)


@contextlib.contextmanager
def _told(shown: str) -> Iterator[None]:
    """botocore's errors as ours: Trouble for what may mend itself, BadInput for the rest."""
    from botocore import exceptions

    network = (
        exceptions.ConnectionError,
        exceptions.HTTPClientError,
        exceptions.IncompleteReadError,
        http.client.HTTPException,
        OSError,
    )
    try:
        yield
    except exceptions.ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        said = error.response.get("Error", {})
        words = (str(status), said.get("Code", ""), said.get("Message", ""))
        reason = f"the S3 server answers {' '.join(dict.fromkeys(filter(None, words)))}"
        if status == http.HTTPStatus.PRECONDITION_FAILED:
            raise contract.Transient(
                f"DATA_URL: {shown}: an object changed while it was fetched; another start fetches it as it is then"
            ) from None
        if status >= 500 or status in (408, 429) or said.get("Code") in ("SlowDown", "RequestTimeout", "RequestTimeTooSkewed"):
            raise Trouble(reason) from None
        raise contract.BadInput(f"DATA_URL: {shown}: {reason}; {_ADVICE}") from None
    except exceptions.SSLError as error:
        raise contract.BadInput(f"DATA_URL: {shown}: {error}; {_ADVICE}") from None
    except network as error:
        raise Trouble(re.sub(r"\s+", " ", str(error)) or type(error).__name__) from None
    except (exceptions.BotoCoreError, ValueError) as error:
        raise contract.BadInput(f"DATA_URL: {shown}: {error}; {_ADVICE}") from None
