"""The parts of the wide and deep program that need no TensorFlow: order, statistics, figures, checkpoints."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.models import wide_deep_checkpoints as checkpoints
from steps.models.wide_deep_evaluation import evaluate
from steps.models.wide_deep_order import rows_at
from steps.models.wide_deep_statistics import PIECES, Statistics, measure


@given(st.integers(1, 3000), st.integers(0, 10**17), st.integers(0, 50))
def test_every_row_comes_once_in_every_epoch(rows, seed, epoch):
    assert sorted(rows_at(epoch * rows, rows, rows, seed)) == list(range(rows))


@given(st.integers(1, 10**12), st.integers(0, 10**6), st.integers(1, 300), st.integers(1, 299))
def test_order_depends_on_the_position_alone(rows, start, count, cut):
    whole = rows_at(start, count, rows, 7)
    cut = min(cut, count)
    assert np.array_equal(whole, np.concatenate([rows_at(start, cut, rows, 7), rows_at(start + cut, count - cut, rows, 7)]))


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = [rows_at(0, 5000, 5000, 1), rows_at(5000, 5000, 5000, 1), rows_at(0, 5000, 5000, 2), np.arange(5000)]
    for index, one in enumerate(orders):
        for other in orders[:index]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.05
    assert abs(np.corrcoef(orders[0][1:], orders[0][:-1])[0, 1]) < 0.05


def test_statistics_are_those_of_all_rows():
    random = np.random.default_rng(1)
    rows = 150_000  # more than a chunk, more than the sample
    normal = random.normal(1000, 5, rows).astype(np.float32)
    normal[random.random(rows) < 0.2] = np.nan
    counts = np.floor(random.lognormal(3, 2, rows)).astype(np.float32)
    numbers = np.stack([normal, counts, np.full(rows, 7, np.float32), np.full(rows, np.nan, np.float32)], axis=1)
    known = measure(numbers)
    assert known.logarithmic.tolist() == [0, 1, 0, 0]
    assert known.missing.tolist() == [1, 0, 0, 1]
    assert known.mean[:3] == pytest.approx([np.nanmean(normal.astype(float)), np.log1p(counts).mean(), 7], rel=1e-5)
    assert known.scale == pytest.approx([1 / np.nanstd(normal.astype(float)), 1 / np.log1p(counts).std(), 0, 0], rel=1e-4)
    assert (known.slopes > 0).sum(axis=1).tolist() == [PIECES, PIECES, 0, 0]
    for name, array in vars(known).items():
        assert np.isfinite(array).all(), name
    again = Statistics.read(known.text())
    assert all(np.array_equal(getattr(again, name), array) for name, array in vars(known).items())


@pytest.mark.parametrize("values", [[0.0], [np.inf, 1.0, 2.0], [-1e38, 1e38, 0.0], [0.0, 1.0], [1.0, 1.0 + 1e-7, 5.0]])
def test_statistics_of_strange_columns_are_finite(values):
    known = measure(np.array(values, np.float32)[:, None])
    assert all(np.isfinite(array).all() for array in vars(known).values())


def test_statistics_of_no_columns():
    assert measure(np.zeros([5, 0], np.float32)).starts.shape == (0, PIECES)


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=40))
def test_area_under_the_curve_is_that_of_all_pairs(rows):
    logits = np.array([value for value, _ in rows], np.float32)
    labels = np.array([label for _, label in rows], np.float32)
    positive, negative = logits[labels == 1], logits[labels == 0]
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    figures = evaluate(logits, labels)
    assert figures.auc == (pytest.approx(np.mean(pairs)) if pairs else None)
    assert figures.accuracy == np.mean((logits > 0) == (labels == 1))
    assert figures.examples == len(rows)


def test_loss_of_confident_answers():
    assert evaluate(np.array([-1000, 1000], np.float32), np.array([0, 1], np.float32)).loss == 0
    assert evaluate(np.array([-1000, 0], np.float32), np.array([1, 1], np.float32)).loss == pytest.approx((1000 + np.log(2)) / 2)


def save(folder, step, identity="this"):
    checkpoints.save(folder, step, {"a": np.full([100], step, np.float32)}, {"step": step}, identity)


def test_the_newest_checkpoints_are_kept(tmp_path):
    for step in (10, 20, 30, 40, 50):
        save(tmp_path, step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000030", "step-00000040", "step-00000050"]
    found = checkpoints.newest(tmp_path, "this")
    assert (found.name, found.state, found.arrays["a"][0]) == ("step-00000050", {"step": 50}, 50)


def test_no_checkpoint(tmp_path):
    (tmp_path / "step-1").write_text("not ours")
    assert checkpoints.newest(tmp_path, "this") is None


def truncated(path):
    content = (path / "arrays.npz").read_bytes()
    (path / "arrays.npz").write_bytes(content[: len(content) // 2])


def flipped(path):
    content = bytearray((path / "arrays.npz").read_bytes())
    content[200] ^= 1
    (path / "arrays.npz").write_bytes(content)


def emptied(path):
    for file in path.iterdir():
        file.write_bytes(b"")


def an_empty_folder(path):
    shutil.rmtree(path)
    path.mkdir()


def a_file(path):
    shutil.rmtree(path)
    path.write_text("")


def another_format(path):
    (path / "manifest.json").write_text(json.dumps(json.loads((path / "manifest.json").read_text()) | {"format": 2}))


def a_list_for_a_manifest(path):
    (path / "manifest.json").write_text("[]")


def no_state(path):
    (path / "state.json").unlink()


def foreign(path):
    shutil.rmtree(path)
    save(path.parent, int(path.name.split("-")[1]), "another")


@pytest.mark.parametrize(
    "damage", [truncated, flipped, emptied, an_empty_folder, a_file, another_format, a_list_for_a_manifest, no_state, foreign]
)
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_used(tmp_path, capsys, damage):
    for step in (10, 20):
        save(tmp_path, step)
    damage(tmp_path / "step-00000020")
    assert checkpoints.newest(tmp_path, "this").name == "step-00000010"
    log = capsys.readouterr().err
    assert f"{tmp_path}/step-00000020: a damaged checkpoint" in log
    assert [path.name[:21] for path in tmp_path.glob("damaged-*")] == ["damaged-step-00000020"]
    save(tmp_path, 20)
    assert checkpoints.newest(tmp_path, "this").name == "step-00000020"
