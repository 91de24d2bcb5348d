"""Unary gRPC over HTTP/2, written for this one job: calls framed ahead, sent many at once, and recognised many at once.

frames, huffman, hpack, responses: what the bytes mean. streams, runs, connection: one connection, without sockets or
clocks. addresses, line, lines: sockets. calls, dispatch, drive: a load.
"""

from clients.benchmark.transport.wire.client import Client

__all__ = ["Client"]
