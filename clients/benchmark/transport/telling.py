"""What happened, told in batches: a sink works on arrays, a loop has one call at a time."""

from __future__ import annotations

import numpy as np

from clients.benchmark.transport import Sink

# Calls told at once, and nanoseconds after which they are told anyway, so that a bar moves.
_CALLS, _AFTER_NS = 1024, 100_000_000


class Batch:
    """Collects answered calls for a sink; equal answers are told together."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._calls: list[tuple[int, int, int, int, int]] = []
        self._answers: dict[tuple[int, bytes], list[int]] = {}
        self._told_ns = 0

    def answered(self, number: int, due_ns: int, sent_ns: int, end_ns: int, place: int, body: bytes) -> None:
        """One call was answered."""
        self._calls.append((number, due_ns, sent_ns, end_ns, place))
        seen = self._answers.get((place, body))
        if seen is None:
            self._answers[place, body] = [1, end_ns]
        else:
            seen[0] += 1
        if len(self._calls) >= _CALLS or end_ns - self._told_ns >= _AFTER_NS:
            self.tell()
            self._told_ns = end_ns

    def tell(self) -> None:
        """Tell the sink what it has not heard."""
        if not self._calls:
            return
        columns = np.array(self._calls, np.int64).T
        self._sink.answered(columns[0], columns[1], columns[2], columns[3], columns[4])
        for (place, body), (count, first_ns) in self._answers.items():
            self._sink.answer(place, body, count, first_ns)
        self._calls.clear()
        self._answers.clear()
