"""Our messages against the generated ones of tensorflow-serving-api: each reads what the other wrote."""

import subprocess
import sys

import numpy as np
import pytest
from google.protobuf import text_format

from clients.serving import messages, tensors


def published():
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow_serving.apis import prediction_log_pb2, prediction_service_pb2  # noqa: F401
    from tensorflow_serving.apis.model_service_pb2 import DESCRIPTOR  # noqa: F401

    assert saved_model_pb2
    from google.protobuf import descriptor_pool

    return descriptor_pool.Default()


def fields(message):
    return {
        (field.name, field.number, field.type, field.is_repeated, field.containing_oneof and field.containing_oneof.name)
        for field in message.fields
    }


# Published in session_bundle_config.proto, monitoring_config.proto and ssl_config.proto, which tensorflow-serving-api does not contain.
NOT_IN_THE_STUBS = {f"tensorflow.serving.{name}" for name in ("BatchingParameters", "MonitoringConfig", "PrometheusConfig", "SSLConfig")}


@pytest.mark.parametrize("name", sorted(messages._MESSAGES.keys() - NOT_IN_THE_STUBS))
def test_every_field_is_as_published(name):
    ours, theirs = messages.POOL.FindMessageTypeByName(name), published().FindMessageTypeByName(name)
    assert fields(ours) <= fields(theirs)
    for field in ours.fields:
        other = theirs.fields_by_name[field.name]
        for kind in ("message_type", "enum_type"):
            mine, other_kind = getattr(field, kind), getattr(other, kind)
            assert (mine and mine.full_name) == (other_kind and other_kind.full_name)


@pytest.mark.parametrize("name", sorted(messages._ENUMS))
def test_every_number_is_as_published(name):
    theirs = {value.name: value.number for value in published().FindEnumTypeByName(name).values}
    assert messages._enum(name).items() <= theirs.items()


def request(module):
    value = module.PredictRequest()
    value.model_spec.name = "m"
    value.model_spec.version.value = 3
    value.model_spec.signature_name = "s"
    value.inputs["x"].dtype = 1
    value.inputs["x"].tensor_shape.dim.add(size=2)
    value.inputs["x"].float_val.extend([1.5, float("nan")])
    value.output_filter.append("y")
    return value


def test_a_request_has_the_same_bytes_from_both():
    from tensorflow_serving.apis import predict_pb2

    assert request(messages).SerializeToString(deterministic=True) == request(predict_pb2).SerializeToString(deterministic=True)


def test_signatures_pass_through_any():
    from tensorflow_serving.apis import get_model_metadata_pb2

    theirs = get_model_metadata_pb2.SignatureDefMap()
    theirs.signature_def["serving_default"].inputs["x"].name = "x:0"
    answer = get_model_metadata_pb2.GetModelMetadataResponse()
    answer.metadata["signature_def"].Pack(theirs)
    ours = messages.SignatureDefMap()
    assert messages.GetModelMetadataResponse.FromString(answer.SerializeToString()).metadata["signature_def"].Unpack(ours)
    assert ours.signature_def["serving_default"].inputs["x"].name == "x:0"


def test_a_model_config_file_reads_alike():
    from tensorflow_serving.config import model_server_config_pb2

    text = """model_config_list { config { name: "x" base_path: "/a" model_platform: "tensorflow"
      model_version_policy { specific { versions: 1 versions: 2 } } version_labels { key: "stable" value: 2 } } }"""
    ours = text_format.Parse(text, messages.ModelServerConfig())
    theirs = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    assert ours.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True)
    assert text_format.MessageToString(ours) == text_format.MessageToString(theirs)


def test_the_client_side_starts_without_tensorflow():
    code = "import sys, clients.serving.calls, clients.serving.tensors; print('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


ARRAYS = [
    np.array(1.5, np.float32),
    np.array([[1.5, np.nan], [np.inf, -0.0]], np.float32),
    np.zeros((0, 3), np.float64),
    np.array([1e300, -1e-300]),
    np.array([-(2**31), 2**31 - 1], np.int32),
    np.array([-(2**63), 2**63 - 1], np.int64),
    np.array([0, 2**64 - 1], np.uint64),
    np.array([0, 2**32 - 1], np.uint32),
    np.array([0, 255], np.uint8),
    np.array([-128, 127], np.int8),
    np.array([-32768, 32767], np.int16),
    np.array([0, 65535], np.uint16),
    np.array([True, False]),
    np.array([1.5, -65504, np.inf], np.float16),
    np.array([1 + 2j, -3j], np.complex64),
    np.array([1 + 2j, -3j], np.complex128),
    np.array([b"", b"\x00\xff", b"text"], object),
    np.array([["a", "b\u00e9"], ["", "d"]]),
]


def named(array):
    return f"{array.dtype}-{array.shape}"


@pytest.mark.parametrize("array", ARRAYS, ids=named)
def test_an_array_is_the_same_for_tensorflow_and_back(array):
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    expected = np.array([item.encode() for item in array.ravel()], object).reshape(array.shape) if array.dtype.kind == "U" else array
    forms = [tensors.to_proto(array)]
    if array.dtype.kind != "U":
        forms.append(tensors.to_field_proto(array))
    for ours in forms:
        theirs = tensor_pb2.TensorProto.FromString(ours.SerializeToString())
        for seen in (tf.make_ndarray(theirs), tensors.to_array(ours), tensors.to_array(tf.make_tensor_proto(array))):
            assert seen.dtype == expected.dtype
            assert seen.shape == expected.shape
            assert seen.tobytes() == expected.tobytes() if expected.dtype != object else seen.tolist() == expected.tolist()


SPARSE = [  # the type, the field, its values, the tensor of shape [3] that TensorFlow makes of them
    ("DT_FLOAT", "float_val", [2.0], [2, 2, 2]),
    ("DT_FLOAT", "float_val", [], [0, 0, 0]),
    ("DT_INT64", "int64_val", [1, 7], [1, 7, 7]),
    ("DT_INT64", "int64_val", [1, 2, 3, 4], [1, 2, 3]),
    ("DT_STRING", "string_val", [b"a"], [b"a", b"a", b"a"]),
    ("DT_STRING", "string_val", [], [b"", b"", b""]),
    ("DT_HALF", "half_val", [0x3C00], [1, 1, 1]),
    ("DT_INT8", "int_val", [-1], [-1, -1, -1]),
    ("DT_COMPLEX64", "scomplex_val", [1.0, 2.0], [1 + 2j, 1 + 2j, 1 + 2j]),
]


@pytest.mark.parametrize(("kind", "field", "values", "expected"), SPARSE)
def test_fewer_or_more_values_than_elements(kind, field, values, expected):
    import tensorflow as tf

    tensor = messages.TensorProto(dtype=messages.DATA_TYPES[kind])
    tensor.tensor_shape.dim.add(size=3)
    getattr(tensor, field).extend(values)
    seen = tensors.to_array(tensor)
    assert seen.tolist() == expected
    number = messages.DATA_TYPES[kind]
    assert tf.io.parse_tensor(tensor.SerializeToString(), tf.as_dtype(number)).numpy().tolist() == expected


BAD = [
    (messages.TensorProto(dtype=20), "type resource"),
    (messages.TensorProto(dtype=99), "type 99"),
    (messages.TensorProto(dtype=1, tensor_content=b"123"), "3 bytes, expected 4"),
    (messages.TensorProto(dtype=1, tensor_shape={"unknown_rank": True}), "not fully defined"),
    (messages.TensorProto(dtype=1, tensor_shape={"dim": [{"size": -1}]}), "not fully defined"),
    (messages.TensorProto(dtype=1, tensor_shape={"dim": [{"size": 2**40}, {"size": 2**40}]}), "too large"),
]


@pytest.mark.parametrize(("tensor", "message"), BAD, ids=[message for _, message in BAD])
def test_what_is_no_tensor_is_refused(tensor, message):
    with pytest.raises(ValueError, match=message):
        tensors.to_array(tensor)


@pytest.mark.parametrize("values", [np.array(["2020-01-01"], "M8[D]"), np.array([None], object), np.array([1, "a"], object)])
def test_what_the_api_cannot_carry_is_refused(values):
    with pytest.raises(ValueError, match=r"not supported|expected text or bytes"):
        tensors.to_proto(values)
