"""When calls are due: instants that follow from the load alone."""

from itertools import chain, islice

import numpy as np
import pytest

from clients.benchmark.errors import BadInput
from clients.benchmark.load import CHUNK, Bursts, Closed, Constant, Course, Load, Poisson, Ramp, Recorded
from clients.benchmark.schedule import read_schedule

S = 1_000_000_000


def first(pace, count):
    """The first instants of an open load, in seconds."""
    return (np.concatenate(list(islice(pace.offsets_ns(), count // CHUNK + 1)))[:count] / S).tolist()


@pytest.mark.parametrize(
    ("pace", "seconds"),
    [
        (Constant(Ramp.constant(4)), [0, 0.25, 0.5, 0.75, 1.0]),
        (Constant(Ramp.constant(0.5)), [0, 2, 4]),
        (Bursts(Ramp.constant(6), 3), [0, 0, 0, 0.5, 0.5, 0.5, 1.0]),
        (Recorded((0, 0.5, 0.5, 9.25)), [0, 0.5, 0.5, 9.25]),
        # Rates 0 to 2 within 4 s: t^2 / 4 calls by then, 4 of them within the ramp, and 2 in each second after it.
        (Constant(Ramp(1e-12, 2, 4 * S)), [0, 2, 8**0.5, 12**0.5, 4, 4.5, 5]),
        # And down: 4 t - t^2 / 2 calls, 6 within 2 s, then 2 in each second.
        (Constant(Ramp(4, 2, 2 * S)), [0, 4 - 14**0.5, 4 - 12**0.5, 4 - 10**0.5, 4 - 8**0.5, 4 - 6**0.5, 2, 2.5]),
    ],
)
def test_instants(pace, seconds):
    assert first(pace, len(seconds)) == pytest.approx(seconds, abs=1e-5)


@pytest.mark.parametrize("rate", [3.0, 50_000.0])
def test_poisson_arrivals_have_the_rate_and_exponential_gaps_and_follow_their_seed(rate):
    instants = np.array(first(Poisson(Ramp.constant(rate), 7), 50_000))
    gaps = np.diff(instants) * rate
    assert gaps.mean() == pytest.approx(1, abs=0.02)
    assert gaps.std() == pytest.approx(1, abs=0.02)
    assert (gaps > 1).mean() == pytest.approx(np.exp(-1), abs=0.01)
    assert first(Poisson(Ramp.constant(rate), 7), 100) == instants[:100].tolist()
    assert first(Poisson(Ramp.constant(rate), 8), 100) != instants[:100].tolist()


def test_a_poisson_ramp_has_as_many_calls_as_its_integral():
    instants = np.array(first(Poisson(Ramp(100, 1900, 10 * S)), 20_000))
    assert (instants < 10).sum() == pytest.approx(10_000, abs=400)
    assert (instants < 5).sum() == pytest.approx(100 * 5 + 180 * 25 / 2, abs=200)


@pytest.mark.parametrize(
    ("load", "numbers"),
    [
        (Load(Constant(Ramp.constant(10)), count=5), range(5)),
        (Load(Constant(Ramp.constant(10)), duration_ns=S), range(10)),
        # The duration counts from the first call that is timed.
        (Load(Constant(Ramp.constant(10)), duration_ns=S, warm_up=3), range(13)),
        (Load(Constant(Ramp.constant(10)), duration_ns=S, warm_up_ns=2 * S), range(30)),
        (Load(Constant(Ramp.constant(10)), count=4, duration_ns=S), range(4)),
        (Load(Constant(Ramp.constant(10_000)), count=9000), range(9000)),
        (Load(Recorded((0.0, 1.0, 2.0))), range(3)),
    ],
)
@pytest.mark.parametrize("processes", [1, 3])
def test_an_open_load_ends_and_its_processes_share_it(load, numbers, processes):
    found = []
    for process in range(processes):
        course = Course(load.share(process, processes), 5 * S)
        for chunk, due in course.arrivals():
            assert (np.diff(due) >= 0).all()
            found += zip(chunk.tolist(), due.tolist(), strict=True)
        assert course.over
    whole = list(chain.from_iterable(chunk.tolist() for chunk in islice(load.pace.offsets_ns(), 9000 // CHUNK + 1)))
    assert sorted(found) == [(number, whole[number] + 5 * S) for number in numbers]


@pytest.mark.parametrize("processes", [1, 3])
def test_a_closed_load_of_a_count(processes):
    courses = [Course(Load(Closed(Ramp.constant(5)), count=20, process=process, processes=processes), 0) for process in range(processes)]
    found = []
    for course in courses:
        while granted := course.grant(2, 1):
            found += granted
        assert course.over
        assert not course.grant(1, 2)
    assert sorted(found) == list(range(20))


def test_a_closed_load_of_a_duration_counts_it_from_the_first_timed_call():
    course = Course(Load(Closed(Ramp.constant(1)), duration_ns=10, warm_up=2, warm_up_ns=5), 100)
    assert [list(course.grant(1, now)) for now in (100, 101, 102, 106, 115, 116)] == [[0], [1], [2], [3], [4], []]


@pytest.mark.parametrize(("elapsed_s", "shares"), [(0, [1, 0]), (1, [2, 1]), (2, [3, 3]), (9, [3, 3])])
def test_calls_in_flight_grow_over_all_processes(elapsed_s, shares):
    load = Load(Closed(Ramp(1, 6, 2 * S)))
    assert [load.share(process, 2).most_in_flight(elapsed_s * S) for process in range(2)] == shares


def test_a_schedule_is_read_from_its_first_call(tmp_path):
    path = tmp_path / "schedule"
    path.write_text("100.5\n\n101\n101\n 103.25 \n")
    assert read_schedule(path) == (0, 0.5, 0.5, 2.75)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected seconds, one in a line, but the file is empty"),
        (b"0\nsoon\n", "line 2: expected seconds, such as 0.25, got 'soon'"),
        (b"0\nnan\n", "line 2: expected seconds, such as 0.25, got 'nan'"),
        (b"1\n0.5\n", "line 2: expected 1 or later, as in the line before, got 0.5"),
        (b"\xff\xfe", "got what is not text"),
        (None, "expected a file that can be read: No such file or directory"),
    ],
)
def test_a_schedule_that_is_none(tmp_path, content, message):
    path = tmp_path / "schedule"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=message):
        read_schedule(path)
