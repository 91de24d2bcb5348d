"""The transport over real sockets, against peers that do what no good server does: each is a script of frames."""

import socket
import struct
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from clients.benchmark.load import Closed, Constant, Course, Load, Ramp
from clients.benchmark.transport import Endpoint, Failure, connect
from clients.benchmark.transport.wire import frames
from clients.benchmark.transport.wire.frames import Code, Flag, Kind, header
from clients.serving.calls import PREDICT


class Pool:
    bodies = (b"one", b"two", b"three")
    resident = 3
    rows = np.ones(3, np.int64)

    def places(self, numbers):
        return numbers % 3


class Sink:
    def __init__(self):
        self.answered_numbers, self.failures, self.bodies, self.left = [], [], Counter(), 0

    def answered(self, numbers, due_ns, sent_ns, end_ns, places):
        self.answered_numbers += numbers.tolist()

    def answer(self, place, body, count, first_ns):
        self.bodies[body] += count

    def failed(self, status, details, number, due_ns, sent_ns, end_ns):
        self.failures.append((number, status, details))

    def abandoned(self, count):
        self.left += count


class Peer:
    """One connection of a client, as a script sees it."""

    def __init__(self, opened):
        self._socket = opened
        self._octets = b""

    def send(self, octets):
        self._socket.sendall(octets)

    def start(self):
        """Take the preface, and accept."""
        self._fill(len(frames.PREFACE))
        self._octets = self._octets[len(frames.PREFACE) :]
        self.send(frames.settings_frame([]))

    def finish(self, octets):
        """Send the last, and read what still comes: a socket closed over unread octets takes back what it has sent."""
        self.send(octets)
        self._socket.shutdown(socket.SHUT_WR)
        while self._socket.recv(1 << 16):
            pass

    def requests(self):
        """The stream of each request when it has ended, until the client goes away."""
        while True:
            self._fill(frames.HEADER_BYTES)
            self._fill(frames.HEADER_BYTES + int.from_bytes(self._octets[:3], "big"))
            frame = frames.read_frame(memoryview(self._octets), 0, 1 << 24)
            self._octets = self._octets[frames.HEADER_BYTES + len(frame.payload) :]
            if frame.kind == Kind.DATA and frame.flags & Flag.END_STREAM:
                yield frame.stream

    def _fill(self, count):
        while len(self._octets) < count:
            came = self._socket.recv(1 << 16)
            if not came:
                raise EOFError
            self._octets += came


@contextmanager
def peers(script):
    """Runs a script for each connection, with its number; gives the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads = []

        def serve(number, opened):
            with opened, suppress(OSError, EOFError):
                script(number, Peer(opened))

        def accept():
            with suppress(OSError):
                while True:
                    opened, _ = listener.accept()
                    threads.append(threading.Thread(target=serve, args=(len(threads), opened), daemon=True))
                    threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join(10)
    for thread in threads:
        thread.join(10)


def run(address, load, deadline_s=20.0, connections=1, stop=None):
    client, sink = connect("wire", Endpoint(address, deadline_s, connections)), Sink()
    try:
        client.connect(Pool())
        client.drive(Course(load, time.perf_counter_ns()), Pool(), sink, stop or threading.Event())
    finally:
        client.close()
    return sink


def closed(count, concurrency=4):
    return Load(Closed(Ramp.constant(concurrency)), count=count)


def goaway(last, code=0, words=b""):
    return header(8 + len(words), Kind.GOAWAY, 0, 0) + struct.pack(">II", last, code) + words


def rst(stream, code):
    return frames.rst_stream_frame(stream, code)


def answering(wire, count=None, then=None):
    """A script that answers so many calls on a connection, and does something else with the next one."""

    def script(number, peer):
        peer.start()
        for position, stream in enumerate(peer.requests()):
            if position == count:
                if not then(number, peer, stream):
                    return
            else:
                peer.send(wire.answer(stream, b"answer"))

    return script


MOVING = {
    "GOAWAY": (lambda number, peer, stream: peer.finish(goaway(stream - 2)), []),
    "GOAWAY, then gone at once": (lambda number, peer, stream: peer.finish(goaway(stream - 2, Code.INTERNAL_ERROR, b"bye")), []),
    "a stream refused": (lambda number, peer, stream: peer.send(rst(stream, Code.REFUSED_STREAM)) or number < 1, []),
}


@pytest.mark.parametrize("name", MOVING)
def test_calls_that_the_server_did_not_look_at_are_made_anew(wire, name):
    then, _ = MOVING[name]
    with peers(answering(wire, 20, then)) as address:
        sink = run(address, closed(100, 3))
    assert sorted(sink.answered_numbers) == list(range(100))
    assert sink.failures == []
    assert sink.bodies == {b"answer": 100}


def test_calls_under_way_fail_with_their_connection_and_the_run_goes_on(wire):
    with peers(answering(wire, 25, lambda number, peer, stream: number > 1)) as address:
        sink = run(address, closed(60, 1), deadline_s=0.5)
    assert len(sink.answered_numbers) >= 50
    assert sorted(sink.answered_numbers + [number for number, _, _ in sink.failures]) == list(range(60))
    assert {status for _, status, _ in sink.failures} <= {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
    assert "the server closed the connection" in sink.failures[0][2]


def test_one_connection_of_many_lost(wire):
    with peers(
        answering(wire, 5, lambda number, peer, stream: number != 1 and (peer.send(wire.answer(stream, b"answer")) or True))
    ) as address:
        sink = run(address, closed(90, 9), connections=3)
    assert sorted(sink.answered_numbers + [number for number, _, _ in sink.failures]) == list(range(90))
    assert len(sink.failures) <= 3


def never(number, peer):
    peer.start()
    for _ in peer.requests():
        pass


def hangs_up(number, peer):
    peer.start()
    peer.finish(b"")


def leaves(number, peer):
    peer.start()
    peer.send(goaway(0, Code.ENHANCE_YOUR_CALM, b"not now"))
    never(number, peer)


def refuses(number, peer):
    peer.start()
    for stream in peer.requests():
        peer.send(rst(stream, Code.REFUSED_STREAM))


def speaks_http1(number, peer):
    peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def floods(number, peer):
    peer.start()
    while True:
        peer.send(frames.settings_frame([]) * 1000)


def says_nothing(number, peer):
    time.sleep(2)


# script, deadline, status and words of the failure (of several, where none is given)
BAD = {
    "never answers": (never, 0.4, "DEADLINE_EXCEEDED", "no answer within 0.4 s"),
    "hangs up": (hangs_up, 20.0, "UNAVAILABLE", "closed the connection"),
    "leaves": (leaves, 20.0, "UNAVAILABLE", "GOAWAY, ENHANCE_YOUR_CALM: not now"),
    "refuses": (refuses, 20.0, "UNAVAILABLE", "REFUSED_STREAM"),
    "speaks HTTP/1": (speaks_http1, 20.0, "UNAVAILABLE", "expected SETTINGS, got b'HTTP/1.1 400 Bad"),
    "floods": (floods, 20.0, "UNAVAILABLE", "brought no call further"),
    "says nothing": (says_nothing, 0.4, "", ""),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_peer_fails_every_call_and_hangs_none(name):
    script, deadline_s, status, words = BAD[name]
    with peers(script) as address:
        client = connect("wire", Endpoint(address, deadline_s))
        outcome = client.call(PREDICT, b"x")
        assert isinstance(outcome, Failure)
        assert outcome.status == (status or "DEADLINE_EXCEEDED")
        assert words in outcome.details
        for load in (closed(4, 2), Load(Constant(Ramp.constant(100.0)), count=4)):
            sink = run(address, load, deadline_s)
            assert sorted(number for number, _, _ in sink.failures) == [0, 1, 2, 3]
            assert all(found == status for _, found, _ in sink.failures) or not status
            assert all(words in found for _, _, found in sink.failures)


def test_a_server_that_is_not_there():
    for load in (closed(4, 2), Load(Constant(Ramp.constant(100.0)), count=4)):
        sink = run("127.0.0.1:1", load)
        assert sorted(number for number, _, _ in sink.failures) == [0, 1, 2, 3]
        assert {(status, details) for _, status, details in sink.failures} == {("UNAVAILABLE", "127.0.0.1:1: Connection refused")}


def test_an_answer_that_comes_in_drops(wire):
    def drips(number, peer):
        peer.start()
        for stream in peer.requests():
            for octet in wire.answer(stream, b"answer"):
                peer.send(bytes([octet]))
                time.sleep(0.0001)

    with peers(drips) as address:
        sink = run(address, closed(8, 3))
    assert sorted(sink.answered_numbers) == list(range(8))
    assert sink.bodies == {b"answer": 8}


def test_a_peer_that_reads_slowly_is_waited_for(wire):
    def slow(number, peer):
        peer.start()
        peer.send(frames.settings_frame([(4, 1 << 30)]) + frames.window_update_frame(0, 1 << 30))
        time.sleep(0.3)
        for stream in peer.requests():
            peer.send(wire.answer(stream, b"answer"))

    class Large(Pool):
        bodies = (bytes(300_000),) * 3

    with peers(slow) as address:
        client, sink = connect("wire", Endpoint(address, 20.0)), Sink()
        client.connect(Large())
        client.drive(Course(closed(9, 6), time.perf_counter_ns()), Large(), sink, threading.Event())
        client.close()
    assert sorted(sink.answered_numbers) == list(range(9))


def test_a_run_can_be_stopped(wire):
    stop = threading.Event()

    def script(number, peer):
        peer.start()
        for position, stream in enumerate(peer.requests()):
            if position == 10:
                stop.set()
            if position < 10:
                peer.send(wire.answer(stream, b"answer"))

    with peers(script) as address:
        sink = run(address, closed(10_000, 4), stop=stop)
    assert len(sink.answered_numbers) <= 10
    assert 0 < sink.left <= 4
    assert sink.failures == []
