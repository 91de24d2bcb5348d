"""What answers are worth: known answers and labels, known figures; and answers beside recorded ones."""

import itertools
import math
import re

import numpy as np
import pytest

from clients.benchmark import BadInput, Settings, run
from clients.benchmark.data.encoding import Encoder, Tensor, varint
from clients.benchmark.judging import metrics
from clients.serving import messages, tensors


@pytest.fixture
def answering(server):
    """The server answers with outputs of float or int64, made from the values of x."""

    def make(outputs, answer):
        types = {name: {"f": "double", "i": "int64", "S": "string"}[value.dtype.kind] for name, value in answer(np.full(2, 0.5)).items()}
        server.inputs = {"x": ("double", (-1,))}
        server.outputs = {name: (types[name], shape) for name, shape in outputs.items()}
        server.classes_of = lambda values: values["x"]

        def respond(x):
            response = messages.PredictResponse()
            response.model_spec.version.value = server.version
            for name, value in answer(x).items():
                response.outputs[name].CopyFrom(tensors.to_proto(value))
            return response

        server.answer = respond

    return make


def send(server, path, rows, **settings):
    return run(Settings(path, server.address, **{"batch_size": rows, "num_iteration": 1, "warm_up_iteration": 0, **settings}))


def table(labels, x):
    return "label,x\n" + "".join(f"{label},{value!r}\n" for label, value in zip(labels, x, strict=True))


CHANCES = [0.9, 0.8, 0.3, 0.3, 0.6, 0.1]
LABELS = [1, 1, 1, 0, 0, 0]
LOSS = -sum(math.log(chance if label else 1 - chance) for chance, label in zip(CHANCES, LABELS, strict=True)) / 6
# Of the 9 pairs 7 are in order, and one is a tie.
AUC = 7.5 / 9


def two(x):
    return np.stack([1 - x, x], axis=1)


@pytest.mark.parametrize(
    ("outputs", "answer", "asked"),
    [
        ({"probabilities": (-1, 2)}, lambda x: {"probabilities": two(x)}, None),
        ({"logistic": (-1, 1)}, lambda x: {"logistic": x[:, None]}, None),
        ({"logits": (-1, 1)}, lambda x: {"logits": np.log(x / (1 - x))[:, None]}, None),
        ({"logits": (-1, 2)}, lambda x: {"logits": np.log(two(x))}, None),
        ({"output_0": (-1,)}, lambda x: {"output_0": x}, None),
        ({"output_0": (-1, 1)}, lambda x: {"output_0": x[:, None]}, None),
        ({"dense": (-1, 2)}, lambda x: {"dense": two(x)}, None),
        ({"dense": (-1, 2)}, lambda x: {"dense": np.log(two(x)) + 7}, None),
        ({"a": (-1,), "b": (-1,)}, lambda x: {"a": x, "b": 1 - x}, "a"),
        ({"class_ids": (-1, 1), "probabilities": (-1, 2)}, lambda x: {"class_ids": (x > 0.5).astype(int), "probabilities": two(x)}, None),
    ],
)
def test_figures_of_two_classes_from_whatever_the_model_answers(server, data, answering, outputs, answer, asked):
    with np.errstate(divide="ignore", invalid="ignore"):
        answering(outputs, answer)
    result = send(server, data(table(LABELS, CHANCES)), 6, output=asked)
    quality = result.judgement.quality
    assert quality.accuracy.value == pytest.approx(4 / 6)
    assert quality.log_loss.value == pytest.approx(LOSS)
    assert quality.auc.value == pytest.approx(AUC)
    assert (quality.calibration.predicted, quality.calibration.observed) == pytest.approx((0.5, 0.5))
    assert quality.mean_squared_error is None
    assert result.judgement.rows == 6


def test_figures_of_three_classes(server, data, answering):
    answering({"probabilities": (-1, 3)}, lambda x: {"probabilities": np.eye(3)[x.astype(int)] * 0.7 + 0.1})
    quality = send(server, data(table([0, 1, 2, 0], [0.0, 1.0, 2.0, 1.0])), 4).judgement.quality
    assert quality.accuracy.value == 0.75
    assert quality.log_loss.value == pytest.approx(-(3 * math.log(0.8) + math.log(0.1)) / 4)
    assert quality.auc is None
    assert quality.calibration.error == pytest.approx(0.05)


def test_errors_of_real_numbers(server, data, answering):
    answering({"predictions": (-1, 1)}, lambda x: {"predictions": x[:, None]})
    result = send(server, data(table([1.5, -2.0, 10.0], [1.0, -2.0, 12.0])), 3)
    quality = result.judgement.quality
    assert quality.mean_squared_error.value == pytest.approx((0.25 + 4) / 3)
    assert quality.mean_absolute_error.value == pytest.approx(2.5 / 3)
    assert (quality.accuracy, quality.auc, result.accuracy) == (None, None, None)
    assert "the values of the output predictions were taken for real numbers, from how they look" in result.notes


def test_answers_that_no_label_can_be_compared_with(server, data, answering):
    answering({"embedding": (-1, 2)}, lambda x: {"embedding": np.ones((len(x), 2))})
    result = send(server, data(table([5, 0], [1.0, 2.0])), 2)
    assert result.judgement.quality is None
    assert "the output embedding has 2 values in each row, and labels are no indices of them" in "; ".join(result.notes)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("probabilitees", "--output: expected an output of the model (logits, probabilities), got 'probabilitees'; near: probabilities"),
        ("names", "--output: expected an output of numbers (logits, probabilities), got 'names'"),
    ],
)
def test_an_output_that_cannot_be_read(server, data, answering, asked, message):
    answering(
        {"probabilities": (-1, 2), "logits": (-1, 1), "names": (-1,)},
        lambda x: {"probabilities": two(x), "logits": x, "names": np.array([b"a"] * len(x))},
    )
    with pytest.raises(BadInput) as error:
        send(server, data(table([1], [0.5])), 1, output=asked)
    assert str(error.value) == message
    assert server.calls == 0


def test_labels_beyond_the_classes_and_probabilities_that_are_no_numbers(server, data, answering):
    answering({"probabilities": (-1, 2)}, lambda x: {"probabilities": two(x)})
    result = send(server, data(table([1, 2], [0.9, 0.9])), 2)
    assert (result.accuracy, result.judgement.quality.auc) == (0.5, None)
    assert any("labels go up to 2, classes to 1" in note for note in result.notes)


def brute_auc(scores, positive):
    pairs = [(high > low) + 0.5 * (high == low) for high in scores[positive] for low in scores[~positive]]
    return sum(pairs) / len(pairs)


@pytest.mark.parametrize("seed", range(8))
def test_auc_is_the_share_of_pairs_in_order(seed):
    random = np.random.default_rng(seed)
    scores, positive = random.integers(0, 8, 60) / 8, random.random(60) < 0.4
    figure = metrics.auc(scores, positive, np.ones(60))
    assert figure.value == pytest.approx(brute_auc(scores, positive), abs=1e-12)
    assert 0 <= figure.low < figure.value < figure.high <= 1
    # A row in two halves is the row.
    twice = metrics.auc(np.repeat(scores, 2), np.repeat(positive, 2), np.full(120, 0.5))
    assert twice.value == pytest.approx(figure.value, abs=1e-12)


@pytest.mark.parametrize(("scores", "value"), [([0.9, 0.8, 0.1], 1.0), ([0.1, 0.2, 0.9], 0.0), ([0.5, 0.5, 0.5], 0.5)])
def test_auc_at_its_ends(scores, value):
    figure = metrics.auc(np.array(scores), np.array([True, True, False]), np.ones(3))
    assert figure.value == value
    assert 0 <= figure.low <= value <= figure.high <= 1
    assert metrics.auc(np.array(scores), np.zeros(3, bool), np.ones(3)) is None


def test_intervals_hold_the_true_value_as_often_as_they_say():
    """Accuracy 0.9 and AUC 0.76 (normal scores, one standard deviation apart), 200 rows, 400 times."""
    random = np.random.default_rng(0)
    held = {"accuracy": 0, "auc": 0, "mean": 0}
    weights = np.ones(200)
    for _ in range(400):
        positive = random.random(200) < 0.5
        area = metrics.auc(random.normal(size=200) + positive, positive, weights)
        held["auc"] += area.low <= 0.5 * (1 + math.erf(0.5)) <= area.high
        right = metrics.share(random.random(200) < 0.9, weights)
        held["accuracy"] += right.low <= 0.9 <= right.high
        average = metrics.mean(random.exponential(size=200), weights)
        held["mean"] += average.low <= 1 <= average.high
    assert all(0.92 <= count / 400 <= 0.98 for count in held.values()), held


def test_calibration_in_bins():
    part = metrics.calibration(np.array([0.05, 0.05, 0.95, 1.0]), np.array([False, True, True, True]), np.ones(4))
    low, high = part.bins
    assert (low.from_probability, low.to_probability, low.rows, low.predicted, low.observed.value) == (0.0, 0.1, 2, 0.05, 0.5)
    assert (high.from_probability, high.rows, high.predicted, high.observed.value) == (0.9, 2, 0.975, 1.0)
    assert part.error == pytest.approx((0.45 + 0.025) / 2)


def test_each_version_has_the_time_of_its_first_answer(server, data):
    server.before_answer = lambda call: setattr(server, "version", 3 + call // 10)
    result = send(server, data("x,c\n1,a\n"), 1, num_iteration=30)
    assert [version.number for version in result.judgement.versions] == [3, 4, 5, 6]
    first = [version.first_ns for version in result.judgement.versions]
    assert all(before < after for before, after in itertools.pairwise(first))


# Recorded answers.


@pytest.fixture
def recorded(server, data, answering, tmp_path):
    """Answers to three rows, recorded by a run of batches of two, and a function that compares with them."""
    outputs = {"logits": (-1, 1), "class_ids": (-1,), "names": (-1,)}
    moved = {"by": 0.0}

    def answer(x):
        return {
            "logits": np.where(x == 2, x + moved["by"], x)[:, None],
            "class_ids": (x > 1.5).astype(int),
            "names": np.array([b"ab"] * len(x)),
        }

    answering(outputs, answer)
    path = data("x\n1.0\n2.0\nnan\n")
    answers = tmp_path / "answers.npz"
    send(server, path, 2, num_iteration=2, save_answers=answers)

    def compare(by=0.0, rows=3, **settings):
        moved["by"] = by
        return send(server, path, rows, expect=answers, **settings)

    compare.file = answers
    return compare


def test_recorded_answers_are_equal_to_themselves(recorded):
    with np.load(recorded.file) as file:
        assert {name: file[name].shape for name in file.files} == {"logits": (3, 1), "class_ids": (3,), "names": (3,)}
    result = recorded()
    assert (result.judgement.skew.rows, result.judgement.skew.mismatched, result.judgement.skew.worst) == (3, 0, None)
    assert not any("recorded" in warning for warning in result.warnings)


@pytest.mark.parametrize(("by", "relative", "mismatched"), [(1e-5, 1e-4, 0), (1e-3, 1e-4, 1), (1e-3, 1e-2, 0), (math.nan, 1e-2, 1)])
def test_a_difference_beyond_the_tolerance_is_named(recorded, by, relative, mismatched):
    from clients.benchmark.judging.tolerance import Tolerance

    result = recorded(by, tolerance=Tolerance(relative))
    assert result.judgement.skew.mismatched == mismatched
    if mismatched:
        difference = r"1 of 3 rows differ from the recorded answers \(row 2, logits\[0\]: recorded 2\.0, got (2\.001|nan)\)"
        assert re.match(difference, result.warnings[0])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"logitz": np.ones(3)},
            "by the names of the model's outputs (class_ids, logits, names), got logitz (near: logits)",
        ),
        ({"logits": np.ones(2)}, "expected 3 rows, one for each row that is sent, got 2"),
        ({"logits": np.ones(3), "names": np.array([b"a"])}, "expected arrays of one number of rows, got logits 3, names 1"),
        ({"names": np.array(["a", None, "b"])}, "expected a whole NPZ file without pickled objects"),
        ({}, "expected arrays by the names of the model's outputs (class_ids, logits, names), got none"),
        (None, "expected a whole NPZ file without pickled objects"),
    ],
)
def test_recorded_answers_that_are_none(server, recorded, arrays, message):
    if arrays is None:
        recorded.file.write_bytes(b"PK\x03\x04 cut")
    else:
        np.savez(recorded.file, **arrays)
    before = server.calls
    with pytest.raises(BadInput) as error:
        recorded()
    assert str(error.value).startswith("--expect: ")
    assert message in str(error.value)
    assert server.calls == before


def test_answers_of_another_shape_differ(recorded):
    np.savez(recorded.file, logits=np.ones((3, 2)))
    skew = recorded().judgement.skew
    assert (skew.rows, skew.mismatched) == (3, 3)
    assert str(skew.worst) == "row 1, logits: recorded 'values of the shape [2]', got 'the shape [1]'"


def test_rows_without_an_answer_are_left_out_of_the_record(server, data, tmp_path):
    import grpc

    server.before_answer = lambda call: grpc.StatusCode.INTERNAL if call == 2 else None
    path, answers = data("x,c\n1,a\n2,b\n3,c\n"), tmp_path / "answers.npz"
    send(server, path, 1, num_iteration=3, save_answers=answers)
    with np.load(answers) as file:
        assert file["__rows__"].tolist() == [0, 2]
    server.before_answer = lambda call: None
    assert send(server, path, 3, expect=answers).judgement.skew.rows == 2


# Encoding, beside the protocol buffers' own.


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 16383, 16384, 2**32, 2**63 - 1])
def test_varints(value):
    assert messages.TensorShapeProto.Dim.FromString(b"\x08" + varint(value)).size == value


NUMBERS = ("float", "double", "half", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (128, 2), (0,)])
@pytest.mark.parametrize("count", [1, 3])
def test_encoded_requests_are_what_protocol_buffers_read(shape, count):
    random = np.random.default_rng(len(shape) + count)
    values, specs = {}, []
    for dtype in NUMBERS:
        number = messages.DATA_TYPES[f"DT_{dtype.upper()}"]
        values[dtype] = random.integers(0, 2, (count, *shape)).astype(tensors.KINDS[number].dtype)
        specs.append(Tensor(dtype, number, shape))
    texts = [random.bytes(length) for length in random.choice([0, 1, 8, 127, 128, 255, 256, 20_000], count * math.prod(shape))]
    values["text é"] = np.array([*texts, None], object)[:-1].reshape(count, *shape)
    specs.append(Tensor("text é", tensors.STRING, shape))
    bodies = Encoder("model", "serving", None, specs).encode(values, count)
    assert len(bodies) == count
    for place, body in enumerate(bodies):
        wanted = messages.PredictRequest()
        wanted.model_spec.name, wanted.model_spec.signature_name = "model", "serving"
        for spec in specs:
            tensor = tensors.to_proto(np.asarray(values[spec.name][place]))
            tensor.dtype = spec.dtype
            tensor.tensor_shape.SetInParent()
            wanted.inputs[spec.name].CopyFrom(tensor)
        assert messages.PredictRequest.FromString(body) == wanted
