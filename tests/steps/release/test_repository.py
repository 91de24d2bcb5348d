"""The model repository: versions, what is kept, and a candidate's identity."""

import pytest

from steps.release import repository


def folder_of(path, **files):
    for name, content in files.items():
        file = path / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return path


@pytest.mark.parametrize(("present", "recorded", "version"), [([], 0, 1), ([1, 2], 2, 3), ([1], 4, 5), ([7], 4, 8)])
def test_versions_only_grow(present, recorded, version):
    assert repository.next_version(present, recorded) == version


@pytest.mark.parametrize(
    ("present", "keep", "protected", "removed"),
    [
        ([1, 2, 3], 5, set(), []),
        ([1, 2, 3], 1, set(), [1, 2]),
        ([1, 2, 3, 4], 2, {1}, [2]),
        ([2, 10, 9], 2, {9}, [2]),
        ([1, 2], 1, {2, 7}, [1]),
    ],
)
def test_the_newest_and_the_serving_are_kept(present, keep, protected, removed):
    assert repository.to_remove(present, keep, protected) == removed


def test_only_numbered_folders_are_versions(tmp_path):
    for name in ("1", "12", ".aside-ab-3", "4x", "notes"):
        (tmp_path / name).mkdir()
    (tmp_path / "5").write_text("a file")
    assert repository.versions(tmp_path) == [1, 12]
    assert repository.versions(tmp_path / "missing") == []


def test_the_hash_is_of_names_and_content_of_the_model(tmp_path):
    one = folder_of(tmp_path / "one", saved_model="a", variables__data="b")
    same = folder_of(tmp_path / "same", saved_model="a", variables__data="b")
    folder_of(
        same, **{"assets.extra__sample.json": "1", "assets.extra__release.json": "2", "assets.extra__tf_serving_warmup_requests": "3"}
    )
    moved = folder_of(tmp_path / "moved", saved_model="a", variables__other="b")
    changed = folder_of(tmp_path / "changed", saved_model="a", variables__data="c")
    extra = folder_of(tmp_path / "extra", saved_model="a", variables__data="b", **{"assets.extra__labels": "x"})
    hashes = [repository.content_hash(folder) for folder in (one, same, moved, changed, extra)]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 4


def test_a_published_candidate_is_found_again_by_its_run_and_content(tmp_path):
    noted = {"run": "run-1", "candidate": "one", "content": "abc"}
    repository.publish(folder_of(tmp_path / "staging/one", saved_model="a"), tmp_path / "model", 3, noted)
    assert repository.versions(tmp_path / "model") == [3]
    assert not (tmp_path / "staging/one").exists()
    assert repository.published(tmp_path / "model", "run-1", content="abc") == 3
    assert repository.published(tmp_path / "model", "run-1", candidate="one") == 3
    assert repository.published(tmp_path / "model", "run-1", content="other") is None
    assert repository.published(tmp_path / "model", "run-2", content="abc", candidate="one") is None


def test_rejected_candidates_of_one_name_lie_side_by_side(tmp_path):
    for run in ("run-1", "run-2"):
        repository.reject(
            folder_of(tmp_path / "staging/one", saved_model="a"), tmp_path / "rejected", {"run": run, "candidate": "one", "reason": run}
        )
    assert sorted(path.name for path in (tmp_path / "rejected").iterdir()) == ["one", "one.2"]
    assert repository.rejection(tmp_path / "rejected", "run-2", "one") == {"run": "run-2", "candidate": "one", "reason": "run-2"}
    assert repository.rejection(tmp_path / "rejected", "run-3", "one") is None
