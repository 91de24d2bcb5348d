"""The server's pure parts: bytes on the wire, merging, the order of loads, configurations, JSON."""

import threading
import time

import hypothesis.strategies as st
import numpy as np
import pytest
from google.protobuf import text_format
from hypothesis import given, settings

from clients.serving import messages, tensors
from steps.serve import config, json_tensors, wire
from steps.serve.errors import ServingError
from steps.serve.merging import Merger, Merging
from steps.serve.policy import Version, next_action
from steps.serve.signatures import Pack

FLOAT, STRING, INT64 = (messages.DATA_TYPES[f"DT_{name}"] for name in ("FLOAT", "STRING", "INT64"))


@given(st.integers(-(2**63), 2**64 - 1))
def test_numbers_are_written_as_protobuf_writes_them(number):
    message = messages.TensorProto()
    (message.uint64_val if number >= 0 else message.int64_val).append(number)
    assert message.SerializeToString().endswith(wire.varint(number))


@st.composite
def arrays(draw):
    code = draw(st.sampled_from(["<f4", "<f8", "?", "<i4", "<i8", "u1", "<u8", "<f2", "<c8", "O"]))
    if code == "O":
        return np.array([b"x" * size for size in draw(st.lists(st.integers(0, 300), max_size=3))], object)
    shape = draw(st.lists(st.integers(0, 300), max_size=2))
    return (np.arange(np.prod(shape, dtype=int)) * 7 % 251).astype(code).reshape(shape)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.text(max_size=200), arrays(), max_size=4))
def test_a_response_is_read_by_protobuf_as_it_was_meant(outputs):
    response = messages.PredictResponse.FromString(wire.ResponseWriter("m", 7, "s").write(outputs))
    assert (response.model_spec.name, response.model_spec.version.value, response.model_spec.signature_name) == ("m", 7, "s")
    assert response.outputs.keys() == outputs.keys()
    for name, array in outputs.items():
        got = tensors.to_array(response.outputs[name])
        assert (got.dtype, got.shape, got.tolist()) == (array.dtype, array.shape, array.tolist())


def one_value(number, kind, **values):
    tensor = messages.TensorProto(dtype=kind, **values)
    tensor.tensor_shape.dim.add(size=number)
    return tensor.SerializeToString()


ONE_ROW = [  # the tensor, what the short way makes of it (None: it takes the long way)
    (FLOAT, one_value(1, FLOAT, float_val=[1.5]), [[1.5]]),
    (FLOAT, one_value(1, FLOAT, tensor_content=b"\0\0\xc0\x3f"), [[1.5]]),
    (FLOAT, one_value(1, FLOAT), None),
    (FLOAT, one_value(2, FLOAT, float_val=[1.5]), None),
    (FLOAT, one_value(1, FLOAT, float_val=[1.5, 2.0]), None),
    (FLOAT, one_value(1, INT64, int64_val=[1]), None),
    (FLOAT, one_value(1, FLOAT, float_val=[1.5])[:-1], None),
    (FLOAT, one_value(1, FLOAT, float_val=[1.5], version_number=1), None),
    (FLOAT, b"", None),
    (STRING, one_value(1, STRING, string_val=[b"word"]), [[b"word"]]),
    (STRING, one_value(1, STRING, string_val=[b""]), [[b""]]),
    (STRING, one_value(1, STRING, string_val=[b"x" * 127]), [[b"x" * 127]]),
    (STRING, one_value(1, STRING, string_val=[b"x" * 128]), None),
    (STRING, one_value(1, STRING, string_val=[b"x" * 20000]), None),
    (STRING, one_value(1, STRING, string_val=[b"a", b"b"]), None),
    (STRING, one_value(1, STRING, string_val=[b"word"])[:-1], None),
    (STRING, one_value(1, STRING)[:-1], None),
    (INT64, one_value(1, INT64, int64_val=[1]), None),
    (INT64, one_value(1, INT64, tensor_content=bytes(8)), [[0]]),
]


@pytest.mark.parametrize(("kind", "raw", "expected"), ONE_ROW)
def test_single_values_in_their_usual_form_are_read_the_short_way(kind, raw, expected):
    read = wire.read_rows([wire.PackReader.of(Pack(("x",), kind, ()))], {"x": raw})
    if expected is None:
        assert read is None
    else:
        assert read[0].tolist() == expected
        assert tensors.to_array(messages.TensorProto.FromString(raw)).tolist() == expected[0]


def test_requests_wait_for_a_call_in_work_and_then_go_together():
    calls, entered, release = [], threading.Event(), threading.Event()

    def answer_all(requests):
        calls.append(list(requests))
        entered.set()
        assert release.wait(60)
        return [f"answer {request}" for request in requests]

    merger = Merger(answer_all, most=4, longest_wait_s=0.0)
    answers = {}
    threads = [threading.Thread(target=lambda n=number: answers.update({n: merger(n)})) for number in range(8)]
    threads[0].start()
    assert entered.wait(60)
    for thread in threads[1:]:
        thread.start()
    deadline = time.monotonic() + 60
    while len(merger._queue) < 7:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    release.set()
    for thread in threads:
        thread.join(60)
    assert answers == {number: f"answer {number}" for number in range(8)}
    assert [len(call) for call in calls] == [1, 4, 3]
    assert calls[0] == [0]


def test_batching_parameters(tmp_path):
    (tmp_path / "batching").write_text("max_batch_size { value: 128 } batch_timeout_micros { value: 500 }")
    merging = config.read_merging(tmp_path / "batching", Merging(most_requests=9))
    assert merging == Merging(most_requests=9, most_rows=128, longest_wait_s=0.0005)


def version(number, state, aspired=True, retry_at=0.0):
    return Version("m", number, None, state=state, aspired=aspired, retry_at=retry_at)


ACTIONS = [  # the versions, what to do next
    ([], None),
    ([version(1, "START")], ("load", 1)),
    ([version(1, "START"), version(2, "START")], ("load", 2)),
    ([version(1, "AVAILABLE"), version(2, "START")], ("load", 2)),
    ([version(1, "AVAILABLE", aspired=False), version(2, "START")], ("load", 2)),
    ([version(1, "AVAILABLE", aspired=False), version(2, "LOADING", retry_at=99)], None),
    ([version(1, "AVAILABLE", aspired=False), version(2, "LOADING", retry_at=9)], ("load", 2)),
    ([version(1, "AVAILABLE", aspired=False), version(2, "END")], None),
    ([version(1, "AVAILABLE", aspired=False), version(2, "AVAILABLE")], ("unload", 1)),
    ([version(1, "AVAILABLE", aspired=False)], ("unload", 1)),
    ([version(1, "AVAILABLE", aspired=False), version(2, "AVAILABLE", aspired=False), version(3, "START")], ("unload", 1)),
    ([version(1, "UNLOADING", aspired=False), version(2, "AVAILABLE")], None),
    ([version(1, "END"), version(2, "AVAILABLE")], None),
    ([version(1, "START"), version(2, "LOADING", retry_at=9)], ("load", 1)),
]


@pytest.mark.parametrize(("versions", "expected"), ACTIONS)
def test_a_model_stays_available_while_versions_change(versions, expected):
    action = next_action(versions, now=10.0)
    assert (action and (action[0], action[1].number)) == expected


CHOICES = [
    ("", {3, 20}, {20}),
    ("latest { num_versions: 2 }", {3, 20, 100}, {20, 100}),
    ("all {}", {3, 20}, {3, 20}),
    ("specific { versions: 3 versions: 4 }", {3, 20}, {3}),
    ("", set(), set()),
]


@pytest.mark.parametrize(("policy", "there", "chosen"), CHOICES)
def test_policies(tmp_path, policy, there, chosen):
    for name in [*map(str, there), "notes", ".aside-7", "5x"]:
        (tmp_path / name).mkdir()
    row = f'name: "m" base_path: "{tmp_path}" model_platform: "tensorflow" model_version_policy {{ {policy} }}'
    (model,) = config.models_of(text_format.Parse(f"model_config_list {{ config {{ {row} }} }}", messages.ModelServerConfig()))
    offered = config.offered_versions(model.base_path)
    assert offered.keys() == there
    assert config.chosen_versions(model.policy, offered) == {number: tmp_path / str(number) for number in chosen}


BAD_MODELS = [
    ('name: "m" base_path: "/m" model_platform: "other"', "requests unsupported platform other"),
    ('name: "m" base_path: "/m"', "requests unsupported platform (none)"),
    ('name: "m" base_path: "/m" model_type: OTHER', "requests unsupported platform other"),
    ('name: "m" base_path: "/m" model_type: TENSORFLOW model_platform: "tensorflow"', "Illegal setting both"),
    ('name: "m" base_path: "m" model_platform: "tensorflow"', "absolute path"),
]


@pytest.mark.parametrize(("row", "message"), BAD_MODELS)
def test_models_that_cannot_be_served(row, message):
    with pytest.raises(ServingError) as error:
        config.models_of(text_format.Parse(f"model_config_list {{ config {{ {row} }} }}", messages.ModelServerConfig()))
    assert message in error.value.message


def test_the_old_way_to_say_the_platform():
    text = 'model_config_list { config { name: "m" base_path: "/m" model_type: TENSORFLOW } }'
    assert [model.name for model in config.models_of(text_format.Parse(text, messages.ModelServerConfig()))] == ["m"]


@pytest.mark.parametrize(
    ("kind", "value"), [("DT_UINT8", 256), ("DT_INT8", -129), ("DT_INT64", 2**63), ("DT_INT32", 1.0), ("DT_BOOL", 1), ("DT_COMPLEX64", 1)]
)
def test_json_values_that_do_not_fit_their_type(kind, value):
    with pytest.raises(ServingError, match=r"of expected type|Conversion of JSON Value"):
        json_tensors.read_inputs({"inputs": [value]}, {"x": messages.DATA_TYPES[kind]})


def test_outputs_that_do_not_go_by_row():
    with pytest.raises(ServingError, match="has inconsistent batch size: 3 expecting: 2"):
        json_tensors.write_outputs({"a": np.zeros(2), "b": np.zeros(3)}, by_row=True)
    with pytest.raises(ServingError, match="has no shape information"):
        json_tensors.write_outputs({"a": np.array(1.0)}, by_row=True)
