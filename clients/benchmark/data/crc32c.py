"""CRC-32C (Castagnoli, RFC 3720), by tables, whole stretches of bytes at once.

A CRC is linear: each byte adds (by exclusive or) a value that depends on the byte and on how far from the end it stands.
With a table for each distance, numpy looks all bytes of a stretch up together.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from clients.serving.tensors import Array

_POLYNOMIAL = 0x82F63B78
# Bytes looked up at once; the tables take 1 KiB for each.
_STRETCH = 2048
# Fewer are faster one by one.
_FEW = 16
_ALL = 0xFFFFFFFF


def masked_crc32c(content: bytes) -> int:
    """The checksum as TFRecord files hold it, turned and shifted so that checksums of checksums stay strong."""
    crc = crc32c(content)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & _ALL


def crc32c(content: bytes) -> int:
    """The checksum of some bytes."""
    state = _ALL
    data = np.frombuffer(content, np.uint8)
    for start in range(0, len(data), _STRETCH):
        stretch = data[start : start + _STRETCH]
        state = _by_stretch(state, stretch) if len(stretch) >= _FEW else _by_byte(state, content[start:])
    return state ^ _ALL


def _by_stretch(state: int, stretch: Array) -> int:
    """The state after a stretch of 4 to _STRETCH bytes, from the state before: it mixes with the first 4."""
    tables = _distance_tables()
    places = np.arange(_STRETCH - len(stretch), _STRETCH) * 256
    indices = places + stretch
    indices[:4] = places[:4] + (stretch[:4] ^ np.frombuffer(state.to_bytes(4, "little"), np.uint8))
    return int(np.bitwise_xor.reduce(tables[indices]))


def _by_byte(state: int, content: bytes) -> int:
    table = _byte_table()
    for byte in content:
        state = table[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state


@cache
def _byte_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


@cache
def _distance_tables() -> Array:
    """uint32 [_STRETCH * 256]: what each byte adds, by its distance from the end, the farthest first."""
    base = np.array(_byte_table(), np.uint32)
    tables = np.empty((_STRETCH, 256), np.uint32)
    tables[-1] = base
    for row in range(_STRETCH - 2, -1, -1):
        tables[row] = base[tables[row + 1] & 0xFF] ^ (tables[row + 1] >> 8)
    return tables.ravel()
