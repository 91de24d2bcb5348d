"""Predict and GetModelMetadata over gRPC, asked with tensorflow-serving-api's own stubs."""

import random
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

ROW = {
    "a": np.array([1.5], np.float32),
    "b": np.array([2.0], np.float32),
    "word": np.array([b"Hello"], object),
    "pair": np.array([[0.0, 100.0]], np.float32),
}


def rows(count, seed=0):
    generator = np.random.default_rng(seed)
    return {
        "a": np.where(generator.random(count) < 0.2, np.nan, generator.normal(size=count)).astype(np.float32),
        "b": generator.normal(size=count).astype(np.float32),
        "word": np.array([bytes(generator.integers(97, 123, generator.integers(0, 200)).tolist()) for _ in range(count)], object),
        "pair": generator.normal(size=(count, 2)).astype(np.float32),
    }


@pytest.fixture(scope="module")
def in_process(zoo_folder):
    """The model called in this process: what the server must answer."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(zoo_folder / "1"))

    def call(inputs, signature="serving_default"):
        answers = loaded.signatures[signature](**{name: tf.constant(value) for name, value in inputs.items()})
        return {name: answer.numpy() for name, answer in answers.items()}

    call.loaded = loaded
    return call


def assert_same(got, expected):
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert got[name].dtype == array.dtype
        assert got[name].shape == array.shape
        if array.dtype == object:
            assert got[name].tolist() == array.tolist()
        else:
            np.testing.assert_array_equal(got[name], array)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 300, 2000])
def test_answers_are_those_of_the_model(zoo, ask, in_process, count):
    assert_same(ask(zoo, rows(count)), in_process(rows(count)))


def test_an_answer_says_which_model_gave_it_and_holds_values_in_their_field(zoo, ask):
    response = zoo.prediction.Predict(ask.request(ROW))
    assert (response.model_spec.name, response.model_spec.version.value, response.model_spec.signature_name) == (
        "zoo",
        1,
        "serving_default",
    )
    assert list(response.outputs["total"].float_val) == [21.5, 121.5]
    assert list(response.outputs["length"].int64_val) == [3]
    assert list(response.outputs["shout"].string_val) == [b"HELLO"]
    assert not any(tensor.tensor_content for tensor in response.outputs.values())


def test_negative_numbers_come_back(zoo, ask):
    assert ask(zoo, {**ROW, "word": np.array([b""], object)})["length"].tolist() == [[-2]]


def test_every_kind_of_number_goes_there_and_back(zoo, ask):
    inputs = {
        "float64": np.array([[1e300, -1e-300]]),
        "int32": np.array([[-(2**31), 2**31 - 1]], np.int32),
        "int64": np.array([[-(2**63), 2**63 - 1]], np.int64),
        "uint8": np.array([[0, 255]], np.uint8),
        "int8": np.array([[-128, 127]], np.int8),
        "int16": np.array([[-32768, 32767]], np.int16),
        "uint16": np.array([[0, 65535]], np.uint16),
        "uint32": np.array([[0, 2**32 - 1]], np.uint32),
        "uint64": np.array([[0, 2**64 - 1]], np.uint64),
        "bool": np.array([[True, False]]),
        "float16": np.array([[1.5, np.inf]], np.float16),
        "complex64": np.array([[1 + 2j, -3j]], np.complex64),
    }
    inputs["half"] = inputs.pop("float16")
    names = {"half": "float16"}
    sent = {names.get(name, name): value for name, value in inputs.items()}
    answers = ask(zoo, sent, signature="kinds")
    for name, value in inputs.items():
        name = names.get(name, name)
        assert_same({name: answers[f"{name}_out"]}, {name: value})


def test_values_may_come_one_by_one_or_be_repeated(zoo, ask):
    from tensorflow.core.framework import tensor_pb2

    one_by_one = tensor_pb2.TensorProto(dtype=1, float_val=[1.5])
    one_by_one.tensor_shape.dim.add(size=1)
    repeated = tensor_pb2.TensorProto(dtype=1, float_val=[2.0])
    repeated.tensor_shape.dim.add(size=3)
    zeros = tensor_pb2.TensorProto(dtype=1)
    zeros.tensor_shape.dim.add(size=3)
    assert ask(zoo, {**ROW, "a": one_by_one})["total"].tolist() == [[21.5, 121.5]]
    assert ask(zoo, {"x": repeated, "y": zeros}, signature="picky")["root"].tolist() == pytest.approx([2**0.5] * 3)


def test_outputs_can_be_chosen(zoo, ask):
    assert ask(zoo, ROW, output_filter=["shout", "length"]).keys() == {"shout", "length"}


def test_a_model_that_takes_no_rows_is_asked_as_it_is(zoo, ask):
    assert ask(zoo, {"x": np.array([1, 2], np.float32)}, signature="whole")["sum"] == 3.0
    assert ask(zoo, {"text": np.array(b"\xff\x00", object)}, signature="scalar")["echo_bytes"].item() == b"\xff\x00"


def test_shapes_that_the_signature_does_not_promise_are_left_to_the_model(zoo, ask):
    answer = ask(zoo, {"x": np.ones((2, 3), np.float32)}, signature="twice")
    assert answer["x"].tolist() == [[2.0] * 3] * 2


ROWS_BUT_A = {name: value for name, value in ROW.items() if name != "a"}
WRONG = [  # what is wrong, the inputs, the options, the status, a part of the message
    ("no such model", ROW, {"model": "nobody"}, "NOT_FOUND", "Servable not found for request: Latest(nobody)"),
    ("no such version", ROW, {"version": 9}, "NOT_FOUND", "Servable not found for request: Specific(zoo, 9)"),
    ("no such label", ROW, {"label": "gold"}, "INVALID_ARGUMENT", "Unrecognized servable version label: gold"),
    ("no model named", ROW, {"model": ""}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    ("no such signature", ROW, {"signature": "s"}, "FAILED_PRECONDITION", 'Serving signature key "s" not found.'),
    ("an input missing", {"a": ROW["a"]}, {}, "INVALID_ARGUMENT", "input size does not match signature: 1!=4"),
    ("an input too many", {**ROW, "c": ROW["a"]}, {}, "INVALID_ARGUMENT", "Sent extra: {c}. Missing but required: {}."),
    ("an input misnamed", {**ROWS_BUT_A, "c": ROW["a"]}, {}, "INVALID_ARGUMENT", "Signature input alias: a"),
    ("no inputs", {}, {}, "INVALID_ARGUMENT", "input size does not match signature: 0!=4"),
    ("a wrong type", {**ROW, "a": np.array([1], np.int32)}, {}, "INVALID_ARGUMENT", "to be float but int32 is provided"),
    ("text for a number", {**ROW, "a": np.array([b"1"], object)}, {}, "INVALID_ARGUMENT", "to be float but string is provided"),
    ("an unknown output", ROW, {"output_filter": ["z"]}, "INVALID_ARGUMENT", "output tensor alias not found in signature: z"),
    ("an output twice", ROW, {"output_filter": ["shout", "shout"]}, "INVALID_ARGUMENT", "duplicate output tensor alias: shout"),
    ("rows that differ", {**ROW, "b": np.ones(2, np.float32), "a": np.ones(3, np.float32)}, {}, "INVALID_ARGUMENT", ""),
    ("refused by the model", {"x": np.float32([-1]), "y": np.float32([0])}, {"signature": "picky"}, "INVALID_ARGUMENT", "not be negative"),
    ("no such type", {"x": np.ones(1, np.float32)}, {"signature": "anything"}, "UNIMPLEMENTED", "bfloat"),
]  # fmt: skip


@pytest.mark.parametrize(("inputs", "options", "code", "message"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_is_wrong_is_told_as_tensorflow_serving_does(zoo, ask, inputs, options, code, message):
    with pytest.raises(grpc.RpcError) as error:
        ask(zoo, inputs, **options)
    assert error.value.code().name == code
    assert message in error.value.details()
    assert len(error.value.details()) < 1100


def test_a_request_without_a_model_spec(zoo):
    from tensorflow_serving.apis import predict_pb2

    with pytest.raises(grpc.RpcError) as error:
        zoo.prediction.Predict(predict_pb2.PredictRequest())
    assert (error.value.code(), error.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "Missing ModelSpec")


def test_an_unknown_method_is_unimplemented(zoo):
    with pytest.raises(grpc.RpcError) as error:
        zoo.channel.unary_unary("/tensorflow.serving.PredictionService/Classify")(b"")
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_what_is_no_request_is_refused_and_the_server_goes_on(zoo, ask):
    """Bytes of a good request, broken at random places: never anything but an answer or a clean refusal."""
    raw = zoo.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    good = ask.request(ROW).SerializeToString()
    generator = random.Random(7)
    allowed = {"OK", "INTERNAL", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED"}
    for _ in range(300):
        broken = bytearray(good)
        for _ in range(generator.randint(1, 3)):
            broken[generator.randrange(len(broken))] = generator.randrange(256)
        code = raw.future(bytes(broken[: generator.randint(1, len(broken))]), timeout=30).code()
        assert code.name in allowed
    assert ask(zoo, ROW)["shout"].tolist() == [b"HELLO"]
    assert "a bug" not in zoo.log.read_text()


def test_a_tensor_too_large_to_make_is_refused(zoo, ask):
    from tensorflow.core.framework import tensor_pb2

    huge = tensor_pb2.TensorProto(dtype=1, float_val=[1])
    huge.tensor_shape.dim.add(size=1 << 40)
    with pytest.raises(grpc.RpcError) as error:
        ask(zoo, {**ROW, "a": huge})
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "tensor parsing error: a" in error.value.details()


def test_requests_at_the_same_time_each_get_their_own_rows(zoo, ask, in_process):
    sizes = [1 if seed % 3 else seed % 5 for seed in range(120)]
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda seed: ask(zoo, rows(sizes[seed], seed)), range(120)))
    for seed, answer in enumerate(answers):
        assert_same(answer, in_process(rows(sizes[seed], seed)))


def test_a_bad_request_among_good_ones_fails_alone(zoo, ask):
    def call(number):
        x = np.array([-1.0 if number % 4 == 0 else number], np.float32)
        y = np.array([b"no number"], object) if number % 7 == 1 else np.zeros(1, np.float32)
        try:
            return ask(zoo, {"x": x, "y": y}, signature="picky")["root"].item()
        except grpc.RpcError as error:
            return error.code().name

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(call, range(200)))
    for number, answer in enumerate(answers):
        bad = number % 4 == 0 or number % 7 == 1
        assert answer == ("INVALID_ARGUMENT" if bad else pytest.approx(number**0.5))


def test_outputs_that_are_no_rows_are_never_merged(zoo, ask):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda x: ask(zoo, {"x": np.float32([x])}, signature="loose")["unlike"].tolist(), range(64)))
    assert answers == [[float(x)] for x in range(64)]


def test_the_metadata_are_the_models_signatures(zoo, zoo_folder):
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow_serving.apis import get_model_metadata_pb2 as metadata

    request = metadata.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "zoo"
    response = zoo.prediction.GetModelMetadata(request)
    assert (response.model_spec.name, response.model_spec.version.value) == ("zoo", 1)
    signatures = metadata.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    saved = saved_model_pb2.SavedModel.FromString((zoo_folder / "1" / "saved_model.pb").read_bytes())
    assert dict(signatures.signature_def) == dict(saved.meta_graphs[0].signature_def)


@pytest.mark.parametrize(
    ("model", "fields", "code", "message"),
    [
        ("zoo", [], "INVALID_ARGUMENT", "must specify at least one metadata_field"),
        ("zoo", ["graph"], "INVALID_ARGUMENT", "Metadata field graph is not supported"),
        ("nobody", ["signature_def"], "NOT_FOUND", "Latest(nobody)"),
        (None, ["signature_def"], "INVALID_ARGUMENT", "Missing ModelSpec"),
    ],
)
def test_metadata_that_cannot_be_had(zoo, model, fields, code, message):
    from tensorflow_serving.apis import get_model_metadata_pb2 as metadata

    request = metadata.GetModelMetadataRequest(metadata_field=fields)
    if model:
        request.model_spec.name = model
    with pytest.raises(grpc.RpcError) as error:
        zoo.prediction.GetModelMetadata(request)
    assert error.value.code().name == code
    assert message in error.value.details()


def test_our_own_client_side_is_understood(zoo):
    from clients.serving import calls, messages, tensors

    request = messages.PredictRequest()
    request.model_spec.name = "zoo"
    for name, value in ROW.items():
        request.inputs[name].CopyFrom(tensors.to_proto(value))
    response = calls.predict(zoo.channel)(request)
    assert tensors.to_array(response.outputs["shout"]).tolist() == [b"HELLO"]
    status = messages.GetModelStatusRequest()
    status.model_spec.name = "zoo"
    assert [row.version for row in calls.get_model_status(zoo.channel)(status).model_version_status] == [1]


def test_the_wire_hears_what_grpcio_hears(zoo, ask):
    """Answers, refusals and metadata by the benchmark client's own HTTP/2, byte for byte."""
    from clients.benchmark.transport import Endpoint, connect
    from clients.serving import calls, messages

    endpoint = Endpoint(f"127.0.0.1:{zoo.port}", 60.0)
    wire, reference = connect("wire", endpoint), connect("grpc", endpoint)
    metadata = messages.GetModelMetadataRequest(metadata_field=["signature_def"])
    metadata.model_spec.name = "zoo"
    requests = [(calls.PREDICT, ask.request(rows(count)).SerializeToString()) for count in (1, 300, 2000)]
    requests += [(calls.PREDICT, body) for body in (b"", b"\xff", ask.request(ROW, model="no").SerializeToString())]
    requests += [(calls.GET_MODEL_METADATA, metadata.SerializeToString()), ("/no.Service/Method", b"")]
    for method, body in requests:
        assert wire.call(method, body) == reference.call(method, body)
    reference.close()
