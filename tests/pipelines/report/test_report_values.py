"""Numbers and times as people read them."""

from __future__ import annotations

import pytest

from pipelines.report import values


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert values.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.01234, "0.0123"), (5.019, "5.02"), (28.44, "28.4"), (142.5, "142"), (18234.2, "18,234"), (-0.5, "-0.500")],
)
def test_three_significant_digits(value: float, text: str) -> None:
    assert values.significant(value) == text


@pytest.mark.parametrize(
    ("low", "high", "most", "marks"),
    [
        (0, 1500, 5, [0, 500, 1000, 1500]),
        (0.73, 0.86, 5, [0.75, 0.8, 0.85]),
        (0, 10, 10, list(range(11))),
        (3, 3, 5, [3]),
        (-1, 1, 4, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_marks_of_an_axis_are_round(low: float, high: float, most: int, marks: list[float]) -> None:
    assert values.ticks(low, high, most) == pytest.approx(marks)


@pytest.mark.parametrize("value", [None, True, "1", float("nan"), float("inf"), [], {}])
def test_what_is_no_finite_number_is_none(value: object) -> None:
    assert values.number(value) is None


@pytest.mark.parametrize("value", [None, "", "soon", 12])
def test_what_is_no_time_is_none(value: object) -> None:
    assert values.moment(value) is None
