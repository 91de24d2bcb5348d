"""Files whose requests do not fit `--memory`: they are sent all the same, in order, and judged row by row."""

import tempfile
from collections import Counter

import numpy as np
import pytest

from clients.benchmark import BadInput, Settings, run, samples, summary, text
from clients.benchmark.data import spool

ROWS, BATCH = 30_000, 200
REQUESTS = ROWS // BATCH + 1


@pytest.fixture(autouse=True)
def _server_in_this_process(monkeypatch):
    """The server works in this process too, so that the client's own share of the time cannot be told."""
    monkeypatch.setattr(summary, "BUSY_SHARE", 10.0)
    monkeypatch.setattr(summary, "LATE_SHARE", 10.0)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Some MB: x is 1 to the number of rows and then 0, the label is 1 where x is odd, so that a row judged by another's label shows."""
    path = tmp_path_factory.mktemp("data") / "eval.csv"
    path.write_text("label,x,c\n" + "".join(f"{x % 2},{x},{'long' * 30}\n" for x in [*range(1, ROWS + 1), 0]))
    return path


@pytest.fixture
def measure(server, path):
    def measure(count=REQUESTS, **others):
        wanted = {"server": server.address, "memory_mib": 1, **others}
        return run(Settings(path, batch_size=BATCH, num_iteration=count, warm_up_iteration=0, **wanted))

    server.classes_of = lambda values: values["x"].astype(np.int64) % 2
    return measure


def note_of(result):
    (note,) = (note for note in result.notes if "do not fit --memory" in note)
    beyond, of = note.split(" distinct")[0].split(" of ")
    assert note == f"{beyond} of {of} distinct requests do not fit --memory, 1 MiB: they were read from disk during the run"
    return int(beyond), int(of)


def test_in_the_order_of_the_file_and_from_its_beginning_again(measure, server):
    result = measure(REQUESTS + 100)
    assert server.rows("x") == [*range(1, ROWS + 1), 0, *range(1, 100 * BATCH + 1)]
    beyond, of = note_of(result)
    assert 100 < beyond < of == REQUESTS
    assert (result.accuracy, result.accuracy_rows, result.warnings) == (1.0, ROWS + 1, ())


@pytest.mark.parametrize("way", [{"concurrency": 4}, {"transport": "wire", "concurrency": 4}, {"concurrency": 2, "processes": 2}])
def test_each_way_sends_each_row_as_often_as_asked(measure, server, way):
    result = measure(2 * REQUESTS, **way)
    assert Counter(server.rows("x")) == dict.fromkeys(range(ROWS + 1), 2)
    assert note_of(result)[1] == REQUESTS
    assert (result.accuracy, result.accuracy_rows, result.failed) == (1.0, ROWS + 1, {})


def test_rest_too(measure, server, rest):
    result = measure(60, server=rest, transport="rest", concurrency=2)
    assert Counter(server.rows("x")) == dict.fromkeys(range(1, 60 * BATCH + 1), 1)
    assert (result.accuracy, result.accuracy_rows, note_of(result)[1]) == (1.0, 60 * BATCH, 60)


@pytest.mark.parametrize("share", [0.0, 10.0])
def test_calls_that_wait_for_the_disk_are_counted_and_told(measure, monkeypatch, share):
    monkeypatch.setattr(spool.Streamed, "_read_ahead", lambda _: None)
    monkeypatch.setattr(summary, "LATE_SHARE", share)
    result = measure()
    beyond, _ = note_of(result)
    said = f"{beyond} of {REQUESTS} calls had to wait for the disk to give their request, "
    assert any(said in note for note in result.notes) == (share > 0)
    assert any(f"the client was the bottleneck: {said}" in warning for warning in result.warnings) == (share == 0)


def test_a_disk_that_is_full(measure, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: open("/dev/full", "wb"))  # noqa: SIM115
    message = rf"^--memory: the requests do not fit it, and {tmp_path} does not take them \(No space left on device\); name another folder"
    with pytest.raises(BadInput, match=message):
        measure()


def test_answers_that_were_not_kept_are_told_with_the_accuracy(measure, monkeypatch):
    monkeypatch.setattr(samples, "ANSWERS_BYTES", 100_000)
    result = measure()
    unkept = result.judgement.unkept
    assert 0 < result.accuracy_rows == ROWS + 1 - unkept * BATCH < ROWS
    (line,) = (line for line in text(result).splitlines() if line.startswith("accuracy"))
    assert line.endswith(f" rows ({unkept} answers were not judged: too many different ones came to keep)")
