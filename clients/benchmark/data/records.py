"""Rows from TFRecord files of tf.Example: the features of each record are columns by name.

A record is its length (8 bytes), the length's checksum (4), the content, and the content's checksum (4), as
TensorFlow's record_writer.h has it. A model whose input takes whole serialized records gets them as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

from google.protobuf.message import DecodeError

from clients.benchmark.data.crc32c import masked_crc32c
from clients.benchmark.data.magic import begins_a_record
from clients.benchmark.data.table import BLOCK_ROWS, Block, Table, open_file
from clients.benchmark.errors import BadInput
from clients.serving.messages import Example

# The name for a whole record, beside those of its features.
_WHOLE = "(the whole record)"


class RecordTable(Table):
    """A TFRecord file; the features of the first record are its columns."""

    def blocks(self, names: Collection[str], limit: int) -> Iterator[Block]:
        """The first `limit` rows, with the features of these names. Raises BadInput at a damaged record, or one that lacks them."""
        done = 0
        with open_file(self.path) as file:
            records = islice(_records(self.path, file), limit)
            while group := list(islice(records, BLOCK_ROWS)):
                columns: dict[str, list[Any]] = {name: [] for name in names}
                for number, record in enumerate(group, done + 1):
                    self._take(number, record, columns)
                yield Block(columns, len(group), done)
                done += len(group)

    def _take(self, number: int, record: bytes, columns: dict[str, list[Any]]) -> None:
        if list(columns) == [_WHOLE]:
            columns[_WHOLE].append(record)
            return
        features = _features(self.path, number, record)
        for name, values in columns.items():
            if name == _WHOLE:
                values.append(record)
            elif name in features:
                values.append(_values(features[name]))
            else:
                raise BadInput(f"{self.path}, record {number}: expected the features of the first record, missing: {name}")


def open_records(path: Path) -> RecordTable:
    """The table in a TFRecord file. Raises BadInput where its first record is damaged, or there is none.

    Records that are no tf.Example have no columns.
    """
    with open_file(path) as file:
        first = next(_records(path, file), None)
    if first is None:
        raise BadInput(f"{path}: expected records, but the file is empty")
    try:
        columns = tuple(sorted(_features(path, 1, first)))
    except BadInput:
        columns = ()
    return RecordTable(path=path, columns=columns, whole=_WHOLE)


def _records(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    number, place = 0, 0
    while head := file.read(12):
        number += 1
        where = f"{path}, record {number} (at byte {place:,})"
        if len(head) < 12:
            raise BadInput(f"{where}: expected 12 bytes of length and checksum, got {len(head)}: the file is cut off; copy it anew")
        if not begins_a_record(head):
            raise BadInput(f"{where}: the checksum of its length is wrong: the file is damaged, or no TFRecord file")
        length = int.from_bytes(head[:8], "little")
        content = file.read(length + 4)
        if len(content) < length + 4:
            raise BadInput(f"{where}: expected {length:,} bytes and a checksum, got {len(content):,}: the file is cut off; copy it anew")
        record = content[:length]
        if masked_crc32c(record) != int.from_bytes(content[length:], "little"):
            raise BadInput(f"{where}: the checksum of its {length:,} bytes is wrong: the file is damaged; copy or write it anew")
        yield record
        place += length + 16


def _features(path: Path, number: int, record: bytes) -> Any:
    try:
        features = Example.FromString(record).features.feature
    except DecodeError:
        features = {}
    if not features:
        raise BadInput(f"{path}, record {number}: expected a tf.Example with features, got {len(record):,} bytes that are none")
    return features


def _values(feature: Any) -> Any:
    """One value as itself, several as a list, none as a blank."""
    kind = feature.WhichOneof("kind")
    values = list(getattr(feature, kind).value) if kind else []
    return values if len(values) > 1 else values[0] if values else None
