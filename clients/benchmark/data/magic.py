"""How files begin, by which they are told apart."""

from __future__ import annotations

from clients.benchmark.data.crc32c import masked_crc32c

NPY, PARQUET, ZIP, EMPTY_ZIP = b"\x93NUMPY", b"PAR1", b"PK\x03\x04", b"PK\x05\x06"


def begins_a_record(head: bytes) -> bool:
    """Whether a file that begins so (12 bytes) is a TFRecord file: the checksum of the first length is right."""
    return len(head) == 12 and masked_crc32c(head[:8]) == int.from_bytes(head[8:], "little")
