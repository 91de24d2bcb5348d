"""The record of releases, and what it says of versions to go back to."""

import json

import pytest

from steps.release import records
from steps.release.records import Record


def test_records_are_read_as_they_were_appended(tmp_path):
    path = tmp_path / "output" / "releases.jsonl"
    records.append(path, Record("publish", 1, run="run-1", candidate="one"))
    records.append(path, Record("deploy-failed", 1, reason="it said\n“no”"))
    first, second = records.read(path)
    assert (first.action, first.version, first.run, first.candidate) == ("publish", 1, "run-1", "one")
    assert second.reason == "it said\n“no”"
    assert second.time.endswith("+00:00")
    assert list(json.loads(path.read_text().splitlines()[0]))[:3] == ["time", "action", "version"]


def test_a_line_that_was_cut_short_spoils_no_other(tmp_path):
    path = tmp_path / "releases.jsonl"
    records.append(path, Record("publish", 1))
    with open(path, "a") as file:
        file.write('{"time": "2030-01-01", "action": "publ')
    assert [record.version for record in records.read(path)] == [1]
    records.append(path, Record("publish", 2))
    assert [record.version for record in records.read(path)] == [1, 2]


def test_no_file_is_no_records(tmp_path):
    assert records.read(tmp_path / "releases.jsonl") == []


def history(text):
    """`d1 r1 f2 p3 o4`: deployed 1, rolled back to 1, failed to deploy 2, published 3, began to roll 4 out."""
    actions = {"d": "deploy", "r": "rollback", "f": "deploy-failed", "p": "publish", "o": "roll"}
    return [Record(actions[word[0]], int(word[1:])) for word in text.split()]


@pytest.mark.parametrize(
    ("text", "deployed"),
    [
        ("", []),
        ("p1 d1 p2 d2", [1, 2]),
        ("d1 d1", [1]),
        ("d1 f2 d3", [1, 3]),
        ("d1 d2 d3 r2", [1, 2]),
        ("d1 d2 d3 r2 d4", [1, 2, 4]),
        ("d1 d2 d3 r1 d4", [1, 4]),
        ("d1 r7", [1, 7]),
        ("d1 d2 d1", [1, 2, 1]),
    ],
)
def test_what_was_deployed(text, deployed):
    assert records.deployed(history(text)) == deployed


@pytest.mark.parametrize(
    ("text", "versions"),
    [
        ("", set()),
        ("p1 p2", set()),
        ("o1 d1 p2", {1}),
        ("o1 d1 o2", {1, 2}),  # the step was killed: who knows how far it came
        ("o1 d1 o2 f2", {1, 2}),  # going back may have failed as well
        ("o1 d1 o2 f2 o3 d3", {3}),
        ("o1 d1 o2 d2 o1 r1", {1}),
        ("o1 d1 o2 d2 o1", {1, 2}),
    ],
)
def test_the_versions_that_a_server_may_have(text, versions):
    assert records.may_serve(history(text)) == versions


@pytest.mark.parametrize(
    ("text", "serving", "kept", "before"),
    [
        ("d1 d2 d3", 3, [1, 2, 3], 2),
        ("d1 d2 d3", 3, [1, 3], 1),
        ("d1 d2 d3 r2", 2, [1, 2, 3], 1),
        ("d1 d2 d3 r2 d4", 4, [1, 2, 3, 4], 2),
        ("d1 d2", 3, [1, 2, 3], 2),  # the deploy of 3 was killed before it recorded itself
        ("d1 d2 d3", 2, [1, 2, 3], 2),  # the rollback to 2 was: asked again, it goes no further
        ("d1", 1, [1], None),
        ("", 1, [1], None),
        ("d1 d2", 2, [2], None),
    ],
)
def test_the_version_to_go_back_to(text, serving, kept, before):
    assert records.version_before(history(text), serving, kept) == before


def test_the_highest_version_counts_what_was_deleted_since():
    assert records.highest_version([*history("p1 d1 p9"), Record("reject", None)]) == 9
    assert records.highest_version([]) == 0
