"""Who will judge the answers: what that takes, checked before the first request is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from clients.benchmark.judging.outputs import Reading, find
from clients.benchmark.model import TensorSpec
from clients.benchmark.report.files import check_writable
from clients.benchmark.settings import Settings
from clients.serving.tensors import Array

if TYPE_CHECKING:
    from clients.benchmark.judging.expected import Comparison
    from clients.benchmark.judging.judgement import Judgement


class Counted(Protocol):
    """How often an answer came, and when first (nanoseconds of time.perf_counter_ns)."""

    @property
    def count(self) -> int:
        """Times."""

    @property
    def first_ns(self) -> int:
        """Instant."""


class Sent(Protocol):
    """What was sent: rows of each request by place (int64 [N]), where they begin in the data, and the labels of all rows."""

    @property
    def rows(self) -> Array:
        """int64 [N]."""

    @property
    def first_rows(self) -> Array:
        """int64 [N]."""

    @property
    def labels(self) -> Array | None:
        """Class indices, or real numbers, [rows]."""


@dataclass(frozen=True)
class Judge:
    """What is needed to judge answers, checked before the first request is sent."""

    sent: Sent
    reading: Reading
    expected: Comparison | None = None

    @classmethod
    def of(cls, settings: Settings, outputs: Mapping[str, TensorSpec], sent: Sent) -> Judge:
        """A judge of answers to these requests. Raises BadInput where --output, --expect or --save-answers cannot be."""
        if settings.save_answers is not None:
            check_writable("--save-answers", settings.save_answers)
        expected = None
        if settings.expect is not None:
            from clients.benchmark.judging.expected import load

            expected = load(settings.expect, outputs, int(sent.rows.sum()), settings.tolerance)
        return cls(sent, find(outputs, settings.output), expected)

    def judge(self, answers: Mapping[tuple[int, bytes], Counted], unkept: int = 0) -> Judgement:
        """Judge the answers, which are counted by place of the request and encoded PredictResponse; more came that were not kept."""
        from clients.benchmark.judging.judgement import judge  # needed when the run is over

        return replace(judge(answers, self.sent, self.reading, self.expected), unkept=unkept)
