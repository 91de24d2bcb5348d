"""What DATA_URL names: its scheme, the name of its file, and the name of the folder that its data gets."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from steps import contract

SCHEMES = ("file", "http", "https", "s3", "generated")
_ARCHIVE = re.compile(r"\.(zip|tgz|tar\.gz|tar|gz)$", re.IGNORECASE)
_EXPECTED = (
    "a URL of file:///PATH, http(s)://HOST/PATH, s3://BUCKET/KEY (or a prefix that ends in /) or generated://criteo?rows=N&seed=N, "
    "or nothing where DATASET_DIR holds the data"
)


@dataclass(frozen=True)
class Address:
    """A checked DATA_URL. `shown` is the URL without what may be secret: the query of http, s3 and file URLs."""

    scheme: str
    url: str
    parts: SplitResult

    @property
    def shown(self) -> str:
        return self.url if self.scheme == "generated" else self.parts._replace(query="", fragment="").geturl()

    @property
    def file_name(self) -> str:
        """The last part of the path, decoded: adult.zip."""
        return unquote(self.parts.path).rstrip("/").rpartition("/")[2]


@dataclass(frozen=True)
class Generated:
    """What a generated:// URL asks for: rows of both parts and the seed of the sample."""

    rows: int
    eval_rows: int
    seed: int


def parse(url: str) -> Address:
    """The address of a URL. Raises BadInput for a scheme or form that is not supported."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise contract.BadInput(f"DATA_URL: expected {_EXPECTED}, got {url!r}: {error}") from None
    if parts.scheme not in SCHEMES:
        raise contract.BadInput(f"DATA_URL: expected {_EXPECTED}, got {url!r}")
    address = Address(parts.scheme, url, parts)
    if parts.username is not None or parts.password is not None:
        raise contract.BadInput(
            "DATA_URL: expected a URL without user name and password, got one with; name an address that needs none, or use s3"
        )
    if parts.scheme == "file" and (parts.netloc not in ("", "localhost") or not parts.path.startswith("/")):
        raise contract.BadInput(f"DATA_URL: expected file:/// and an absolute path, got {address.shown!r}")
    if parts.scheme in ("http", "https") and not parts.hostname:
        raise contract.BadInput(f"DATA_URL: expected {parts.scheme}://HOST/PATH, got {address.shown!r}")
    if parts.scheme == "generated":
        generated(address)
    return address


def local_path(address: Address) -> Path:
    """The path that a file URL names."""
    return Path(unquote(address.parts.path))


def generated(address: Address) -> Generated:
    """The query of a generated URL. Raises BadInput for unknown kinds and keys, and for values that are no counts."""
    if address.parts.netloc != "criteo" or address.parts.path not in ("", "/"):
        raise contract.BadInput(
            f"DATA_URL: expected generated://criteo?rows=200000&seed=1, got {address.url!r}; only criteo can be generated"
        )
    pairs = parse_qsl(address.parts.query, keep_blank_values=True)
    query = dict(pairs)
    unknown = sorted(set(query) - {"rows", "eval_rows", "seed"})
    if unknown or len(query) < len(pairs):
        raise contract.BadInput(
            f"DATA_URL: expected rows, eval_rows and seed, once each, got {unknown or address.parts.query!r} in {address.url!r}"
        )
    rows = contract.parse("DATA_URL: rows", contract.POSITIVE, query.get("rows", "200000"))
    eval_rows = contract.parse("DATA_URL: eval_rows", contract.POSITIVE, query.get("eval_rows", str(max(rows // 10, 1))))
    return Generated(rows, eval_rows, contract.parse("DATA_URL: seed", contract.COUNT, query.get("seed", "1")))


def folder_name(address: Address, sha256: str, version: str = "") -> str:
    """The name of the data's folder: the URL's stem and a hash of URL, checksum and, where known at once, the source's version."""
    if address.scheme == "generated":
        stem = "synthetic-criteo"
    else:
        stem = _ARCHIVE.sub("", address.file_name) or address.parts.netloc or "data"
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip(".-")[:60] or "data"
    digest = hashlib.sha256("\n".join((address.url, sha256.lower(), version)).encode()).hexdigest()
    return f"{stem}-{digest[:12]}"
