"""Requests that do not fit the memory: built before the clock starts into a file, and read ahead of their turn while a run goes on."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
import time
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, overload

import numpy as np

from clients.benchmark.errors import BadInput
from clients.serving.tensors import Array

# What a request in a list takes beside its bytes.
_EACH_BYTES = sys.getsizeof(b"") + 8
# The file is read in parts of this size, up to so much ahead of the request that is sent: with the part in use and the one
# before it that is all that is held beside the budget, or four requests where one is larger than a part.
_PART_BYTES, _AHEAD_BYTES = 1 << 20, 8 << 20
# Temporary files that may be large go there by convention: /tmp is often kept in memory, which is what is short here.
_FOLDER = Path("/var/tmp")  # noqa: S108  # only files without a name are made there


class Spool:
    """Encoded requests in a file without a name, one behind the other; the first `resident` of them fit the memory.

    That of place p lies from `starts[p]` to `starts[p + 1]` (int64 [N + 1]). A process to which the file's descriptor was
    passed can be sent a spool: it reads the same file.
    """

    def __init__(self, file: IO[bytes], starts: Array, resident: int) -> None:
        self._file, self.starts, self.resident = file, starts, resident

    def fileno(self) -> int:
        """To be passed on."""
        return self._file.fileno()

    def close(self) -> None:
        """Give the file up."""
        self._file.close()

    def read(self, first: int, until: int) -> bytes:
        """The requests of these places, one behind the other."""
        start, end = int(self.starts[first]), int(self.starts[until])
        octets = os.pread(self._file.fileno(), end - start, start)
        # The kernel gives 2 GiB at once at most.
        while len(octets) < end - start:
            octets += os.pread(self._file.fileno(), end - start - len(octets), start + len(octets))
        return octets

    def __reduce__(self) -> Any:
        return _inherited, (self.fileno(), self.starts, self.resident)


def _inherited(descriptor: int, starts: Array, resident: int) -> Spool:
    return Spool(os.fdopen(descriptor, "rb"), starts, resident)


class Building:
    """Takes encoded requests in their order: in memory while they fit `memory_bytes`, and all of them in a file from then on."""

    def __init__(self, memory_bytes: int) -> None:
        self.bodies: list[bytes] = []
        self._memory_bytes = memory_bytes
        self._lengths: list[Array] = []
        self._bytes = 0
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Building:
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        if kind is not None and self._file is not None:
            with contextlib.suppress(OSError):  # of a disk that is full, which was told
                self._file.close()

    def add(self, bodies: list[bytes]) -> None:
        """Take some more. Raises BadInput where the disk does not."""
        self._lengths.append(np.fromiter(map(len, bodies), np.int64, len(bodies)))
        self._bytes += int(self._lengths[-1].sum()) + _EACH_BYTES * len(bodies)
        self.bodies += bodies
        if self._bytes > self._memory_bytes:
            self._write()

    def spool(self) -> Spool | None:
        """The file, where there is one. Raises BadInput where the disk is full."""
        if self._file is None:
            return None
        self._write()
        lengths = np.concatenate(self._lengths)
        resident = int(np.searchsorted(np.cumsum(lengths + _EACH_BYTES), self._memory_bytes, "right"))
        return Spool(self._file, np.concatenate([[0], np.cumsum(lengths)]), resident)

    def _write(self) -> None:
        folder = tempfile.gettempdir() if os.environ.get("TMPDIR") or not os.access(_FOLDER, os.W_OK) else str(_FOLDER)
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # closed by who closes the spool
            self._file.writelines(self.bodies)
            self._file.flush()
        except OSError as error:
            raise BadInput(
                f"--memory: the requests do not fit it, and {folder} does not take them ({error.strerror}); "
                "name another folder in TMPDIR, give more memory, or send fewer by -n"
            ) from None
        self.bodies.clear()


class Streamed(Sequence[bytes]):
    """The requests of a spool by place: the resident ones from memory, the others read ahead by a thread, in order and round again.

    `waited` requests were asked for before they had been read, and were read then, which took `waited_ns` in all.
    """

    def __init__(self, spool: Spool) -> None:
        self.waited = self.waited_ns = 0
        self.resident = spool.resident
        self._spool = spool
        starts = spool.starts
        self._starts = starts.data
        firsts = np.unique(np.searchsorted(starts, np.arange(starts[self.resident], starts[-1], _PART_BYTES)))
        # The places at which parts of the file begin, and the end of the last.
        self._firsts: list[int] = [*firsts[firsts < len(self)].tolist(), len(self)]
        longest = int(np.diff(starts[self._firsts]).max())
        self._ahead = min(max(1, _AHEAD_BYTES // longest), len(self._firsts) - 2)
        self._parts: dict[int, bytes] = {}
        self._memory = self._resident_bodies()
        # The part in use, and the word that it is another.
        self._at, self._moved, self._closed = 0, threading.Event(), False
        self._moved.set()
        self._reader = threading.Thread(target=self._read_ahead, daemon=True)
        self._reader.start()

    def __len__(self) -> int:
        return len(self._spool.starts) - 1

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[bytes]: ...
    def __getitem__(self, place: int | slice) -> bytes | Sequence[bytes]:
        """An encoded request."""
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        if place < self.resident:
            return self._memory[place]
        if place >= len(self):
            raise IndexError(place)
        part = bisect_right(self._firsts, place) - 1
        if part != self._at:
            self._at = part
            self._moved.set()
        octets = self._parts.get(part)
        if octets is None:
            return self._read_now(place)
        offset = self._starts[self._firsts[part]]
        return octets[self._starts[place] - offset : self._starts[place + 1] - offset]

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._moved.set()
        self._reader.join()

    def _resident_bodies(self) -> list[bytes]:
        """Read in steps, so that no more than a step is held twice."""
        bodies: list[bytes] = []
        while len(bodies) < self.resident:
            first = len(bodies)
            until = bisect_right(self._starts, self._starts[first] + _PART_BYTES, first + 1, self.resident)
            octets, offset = self._spool.read(first, until), self._starts[first]
            bodies += [octets[self._starts[at] - offset : self._starts[at + 1] - offset] for at in range(first, until)]
        return bodies

    def _read_now(self, place: int) -> bytes:
        began_ns = time.perf_counter_ns()
        body = self._spool.read(place, place + 1)
        self.waited += 1
        self.waited_ns += time.perf_counter_ns() - began_ns
        return body

    def _read_ahead(self) -> None:
        count = len(self._firsts) - 1
        while not self._closed:
            self._moved.wait()
            self._moved.clear()
            # The part before stays: calls do not go out strictly in order.
            wanted = [(self._at + step) % count for step in range(self._ahead + 1)]
            for part in set(self._parts) - {*wanted, (self._at - 1) % count}:
                del self._parts[part]
            for part in wanted:
                if self._moved.is_set():
                    break
                if part not in self._parts:
                    self._parts[part] = self._spool.read(self._firsts[part], self._firsts[part + 1])
