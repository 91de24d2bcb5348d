"""The generator: the same bytes for the same rows and seed, plausible for Criteo's format, and of a known best accuracy."""

import csv
import hashlib
import statistics

import numpy as np
import pytest

from steps.fetch import address, generator, world

COUNTS, CATEGORIES = range(1, 14), range(14, 40)


def generate(folder, rows, eval_rows=100, seed=1):
    folder.mkdir()
    return generator.write(folder, address.Generated(rows, eval_rows, seed))


def columns(path):
    with open(path, newline="") as file:
        return list(zip(*csv.reader(file), strict=True))


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample") / "data"
    made = generate(folder, 40_000, 20_000)
    return made, columns(folder / "synthetic-train.csv")


def test_the_same_rows_and_seed_are_the_same_bytes(tmp_path):
    first, second = generate(tmp_path / "a", 3000), generate(tmp_path / "b", 3000)
    assert first == second
    assert (tmp_path / "a/synthetic-train.csv").read_bytes() == (tmp_path / "b/synthetic-train.csv").read_bytes()
    assert generate(tmp_path / "c", 3000, seed=2).files[0].sha256 != first.files[0].sha256


def test_more_rows_begin_with_the_same_rows(tmp_path):
    generate(tmp_path / "a", 20_000)
    generate(tmp_path / "b", 100)
    assert (tmp_path / "a/synthetic-train.csv").read_bytes().startswith((tmp_path / "b/synthetic-train.csv").read_bytes())


def test_the_bytes_are_those_of_every_machine(tmp_path):
    """Bytes recorded once: figures that were measured on generated data hold for it wherever it is made."""
    made = generate(tmp_path / "a", 1000, 100, seed=1)
    assert all(hashlib.sha256((tmp_path / "a" / entry.name).read_bytes()).hexdigest() == entry.sha256 for entry in made.files)
    assert [entry.sha256[:16] for entry in made.files] == ["3367f7f4c5336ef7", "97b9ce3a71c3e6d8"]


def test_the_eval_rows_are_others_than_the_training_rows(tmp_path):
    generate(tmp_path / "a", 1000, 1000)
    train, held = ((tmp_path / "a" / f"synthetic-{part}.csv").read_text().splitlines() for part in ("train", "eval"))
    assert not set(train) & set(held)
    assert (len(train), len(held)) == (1000, 1000)


def test_values_are_plausible_for_the_format(sample):
    _, found = sample
    assert len(found) == 40
    assert set(found[0]) == {"0", "1"}
    assert 0.24 < statistics.mean(map(int, found[0])) < 0.28
    for place in COUNTS:
        numbers = [int(text) for text in found[place] if text]
        assert min(numbers) >= (-2 if place == 2 else 0)
        assert max(numbers) > 10 * statistics.median(numbers)
    assert 0.02 < statistics.mean(text.startswith("-") for text in found[2]) < 0.2
    blank = [statistics.mean(text == "" for text in column) for column in found]
    assert (blank[0], blank[2]) == (0, 0)
    assert [blank[place] for place in (1, 3, 12, 14, 32, 35)] == pytest.approx([0.45, 0.21, 0.76, 0, 0.44, 0.76], abs=0.02)


def test_categories_are_few_and_many_and_skewed(sample):
    _, found = sample
    distinct = []
    for place in CATEGORIES:
        texts = [text for text in found[place] if text]
        assert all(len(text) == 8 and int(text, 16) >= 0 for text in texts)
        values, counts = np.unique(texts, return_counts=True)
        distinct.append(len(values))
        assert counts.max() > 5 * counts.mean() or len(values) < 30
    assert min(distinct) == 3
    assert max(distinct) > 5000


def test_the_best_accuracy_is_that_of_the_teacher_and_about_0_847(sample):
    made, _ = sample
    assert made.best_accuracy == pytest.approx(0.847, abs=0.004)
    drawn = [world.draw(np.random.default_rng((1, 1, block)), 1 << 14) for block in range(2)]
    probabilities = np.concatenate([part.probabilities for part in drawn])[:20_000]
    labels = np.concatenate([part.labels for part in drawn])[:20_000]
    assert np.maximum(probabilities, 1 - probabilities).mean() == pytest.approx(made.best_accuracy, abs=1e-6)
    assert ((probabilities > 0.5) == labels).mean() == pytest.approx(made.best_accuracy, abs=0.008)


def test_a_plain_model_learns_it():
    """A logistic regression on log counts and hashed categories, by gradient descent: well above the majority, below the best."""
    train, held = (_features(world.draw(np.random.default_rng((1, part, 0)), 40_000)) for part in (0, 1))
    weights, bias = np.zeros(train[0].max() + 1), np.zeros(14)
    squares = np.full_like(weights, 1e-3)
    random = np.random.default_rng(0)
    for _ in range(300):
        rows = random.integers(0, 40_000, 512)
        slots, numbers, labels = (part[rows] for part in train)
        error = 1 / (1 + np.exp(-(weights[slots].sum(1) + numbers @ bias))) - labels
        gradient = np.bincount(slots.ravel(), np.repeat(error, slots.shape[1]) / 512, minlength=len(weights))
        squares += gradient**2
        weights -= 0.1 * gradient / np.sqrt(squares)
        bias -= 0.5 * numbers.T @ error / 512
    slots, numbers, labels = held
    accuracy = ((weights[slots].sum(1) + numbers @ bias > 0) == labels).mean()
    assert max(labels.mean(), 1 - labels.mean()) < 0.76
    assert 0.79 < accuracy < 0.84


def _features(sample):
    slots = np.stack(
        [
            (world.mixed(column, values + 1) % np.uint64(1000)).astype(int) + 1000 * column
            for column, values in enumerate(sample.categories)
        ],
        1,
    )
    numbers = np.where(sample.blanks, 0, np.log1p(np.maximum(sample.counts, 0)) - 2).T
    return slots, np.concatenate([numbers / 2, np.ones((len(numbers), 1))], 1), sample.labels
