"""Header compression (RFC 7541): an encoder that indexes whatever it has sent before, and a whole decoder with limits."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from clients.benchmark.transport.wire import huffman
from clients.benchmark.transport.wire.frames import Code, ProtocolError

Field = tuple[bytes, bytes]

TABLE_BYTES = 4096
# What a table counts for each field beside its name and value.
_FIELD_BYTES = 32
# A decoded block is remembered by its bytes while the dynamic table stays as it is; servers send the same few again and again.
_REMEMBERED, _REMEMBERED_BYTES = 256, 1024

_STATIC_TEXT = """
:authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|:scheme https|:status 200|:status 204|:status 206|:status 304|
:status 400|:status 404|:status 500|accept-charset|accept-encoding gzip, deflate|accept-language|accept-ranges|accept|
access-control-allow-origin|age|allow|authorization|cache-control|content-disposition|content-encoding|content-language|content-length|
content-location|content-range|content-type|cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|
if-unmodified-since|last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|server|
set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate
"""
# Appendix A: the fields that both sides know, counted from 1.
STATIC: list[Field] = [
    (name.encode(), value.encode()) for name, _, value in (text.partition(" ") for text in _STATIC_TEXT.replace("\n", "").split("|"))
]


class _Table:
    """The dynamic table: the newest field first, the oldest ones dropped where the size asks for it."""

    def __init__(self) -> None:
        self.fields: deque[Field] = deque()
        self.limit = TABLE_BYTES
        self.size = 0
        # Grows with each change, after which an index means another field.
        self.version = 0

    def add(self, field: Field) -> None:
        self.version += 1
        self.fields.appendleft(field)
        self.size += field_bytes(field)
        self._evict()

    def resize(self, limit: int) -> None:
        self.version += 1
        self.limit = limit
        self._evict()

    def _evict(self) -> None:
        while self.size > self.limit:
            self.size -= field_bytes(self.fields.pop())


def field_bytes(field: Field) -> int:
    """What a field counts for in tables and header lists."""
    return len(field[0]) + len(field[1]) + _FIELD_BYTES


def _integer(value: int, bits: int, pattern: int) -> bytes:
    """An integer with a prefix of so many bits, below a bit pattern (section 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([pattern | value])
    encoded = bytearray([pattern | most])
    value -= most
    while value >= 128:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


class Encoder:
    """Encodes header lists for one connection; a list sent a second time becomes one index for each field."""

    def __init__(self) -> None:
        self._table = _Table()
        self._sizes: list[int] = []

    @property
    def version(self) -> int:
        """Grows whenever what a block means has changed."""
        return self._table.version

    def resize(self, limit: int) -> None:
        """The peer's SETTINGS_HEADER_TABLE_SIZE; the next block tells the peer the size in use."""
        limit = min(limit, TABLE_BYTES)
        if limit != self._table.limit:
            self._table.resize(limit)
            # The smallest size in between must be told too (section 4.2).
            self._sizes = [*(size for size in self._sizes if size < limit), limit]

    def encode(self, fields: Iterable[Field]) -> bytes:
        """One header block."""
        pieces = [_integer(size, 5, 0x20) for size in self._sizes]
        if self._sizes:
            self._table.version += 1
            self._sizes = []
        pieces += [self._field(field) for field in fields]
        return b"".join(pieces)

    def _field(self, field: Field) -> bytes:
        known = [*STATIC, *self._table.fields]
        if field in known:
            return _integer(known.index(field) + 1, 7, 0x80)
        name, value = field
        index = next((position for position, (other, _) in enumerate(known, 1) if other == name), 0)
        fits = field_bytes(field) <= self._table.limit
        start = _integer(index, 6, 0x40) if fits else _integer(index, 4, 0)
        if fits:
            self._table.add(field)
        texts = (value,) if index else (name, value)
        return start + b"".join(_integer(len(text), 7, 0) + text for text in texts)


class Decoder:
    """Decodes the header blocks of one connection. A header list may count for `max_list_bytes`."""

    def __init__(self, max_list_bytes: int) -> None:
        self._table = _Table()
        self._max_list_bytes = max_list_bytes
        self._remembered: dict[bytes, list[Field]] = {}

    @property
    def version(self) -> int:
        """Grows whenever the same block may mean something else."""
        return self._table.version

    def decode(self, block: bytes) -> list[Field]:
        """The fields of a whole block. Raises ProtocolError for one that is wrong or too large."""
        fields = self._remembered.get(block)
        if fields is None:
            version = self._table.version
            try:
                fields = self._decode(block)
            except (IndexError, ValueError) as error:
                raise ProtocolError(f"a header block cannot be decoded: {error}", Code.COMPRESSION_ERROR) from None
            if version != self._table.version or len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            if version == self._table.version and len(block) <= _REMEMBERED_BYTES:
                self._remembered[block] = fields
        return fields

    def _decode(self, block: bytes) -> list[Field]:
        fields: list[Field] = []
        size = position = 0
        while position < len(block):
            first = block[position]
            if first & 0xE0 == 0x20:
                limit, position = _read_integer(block, position, 5)
                if fields or limit > TABLE_BYTES:
                    raise ValueError(f"a table size of {limit:,} where none is allowed")
                self._table.resize(limit)
                continue
            if first & 0x80:
                index, position = _read_integer(block, position, 7)
                field = self._known(index)
            else:
                field, position = self._literal(block, position)
                if first & 0x40:
                    self._table.add(field)
            size += field_bytes(field)
            if size > self._max_list_bytes:
                raise ProtocolError(f"a header list of more than {self._max_list_bytes:,} bytes", Code.ENHANCE_YOUR_CALM)
            fields.append(field)
        return fields

    def _known(self, index: int) -> Field:
        if not 1 <= index <= len(STATIC) + len(self._table.fields):
            raise ValueError(f"index {index:,} is in no table")
        return STATIC[index - 1] if index <= len(STATIC) else self._table.fields[index - len(STATIC) - 1]

    def _literal(self, block: bytes, position: int) -> tuple[Field, int]:
        index, position = _read_integer(block, position, 6 if block[position] & 0x40 else 4)
        if index:
            name = self._known(index)[0]
        else:
            name, position = _read_text(block, position)
        value, position = _read_text(block, position)
        return (name, value), position


def _read_integer(block: bytes, position: int, bits: int) -> tuple[int, int]:
    """The integer whose prefix of so many bits is at `position`, and where it ends."""
    most = (1 << bits) - 1
    value = block[position] & most
    position += 1
    if value < most:
        return value, position
    for shift in range(0, 28, 7):
        byte = block[position]
        position += 1
        value += (byte & 127) << shift
        if byte < 128:
            return value, position
    raise ValueError("an integer without end")


def _read_text(block: bytes, position: int) -> tuple[bytes, int]:
    huffman_coded = block[position] & 0x80
    length, position = _read_integer(block, position, 7)
    text = block[position : position + length]
    if len(text) < length:
        raise ValueError("a string is cut off")
    return (huffman.decode(text) if huffman_coded else text), position + length
