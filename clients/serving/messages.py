"""The messages of TensorFlow Serving's API, as classes, without TensorFlow.

The table below states name, number and type of each field we use, as published in the .proto files of TensorFlow and
TensorFlow Serving 2.21 (fields we do not use pass through as unknown fields). The classes live in a descriptor pool of
their own, so they never clash with those of an imported TensorFlow; their full names are the real ones, so `Any`
values and text files mean the same to both.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

# Enumerations: full name -> the names of its values, counted from 0 where no number stands behind a name.
_ENUMS = {
    "tensorflow.DataType": """
        DT_INVALID DT_FLOAT DT_DOUBLE DT_INT32 DT_UINT8 DT_INT16 DT_INT8 DT_STRING DT_COMPLEX64 DT_INT64 DT_BOOL DT_QINT8 DT_QUINT8
        DT_QINT32 DT_BFLOAT16 DT_QINT16 DT_QUINT16 DT_UINT16 DT_COMPLEX128 DT_HALF DT_RESOURCE DT_VARIANT DT_UINT32 DT_UINT64
        DT_FLOAT8_E5M2 DT_FLOAT8_E4M3FN DT_FLOAT8_E4M3FNUZ DT_FLOAT8_E4M3B11FNUZ DT_FLOAT8_E5M2FNUZ DT_INT4 DT_UINT4 DT_INT2 DT_UINT2
        DT_FLOAT4_E2M1FN""",
    "tensorflow.error.Code": """
        OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED RESOURCE_EXHAUSTED
        FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED""",
    "tensorflow.serving.ModelType": "MODEL_TYPE_UNSPECIFIED TENSORFLOW OTHER",
    "tensorflow.serving.ModelVersionStatus.State": "UNKNOWN START=10 LOADING=20 AVAILABLE=30 UNLOADING=40 END=50",
}

# Messages: full name -> one line per field, "NAME NUMBER TYPE", where TYPE may be `repeated T`, `map<K, V>` or `oneof GROUP T`.
_MESSAGES = {
    "tensorflow.TensorShapeProto": """
        dim 2 repeated tensorflow.TensorShapeProto.Dim
        unknown_rank 3 bool""",
    "tensorflow.TensorShapeProto.Dim": """
        size 1 int64
        name 2 string""",
    "tensorflow.TensorProto": """
        dtype 1 tensorflow.DataType
        tensor_shape 2 tensorflow.TensorShapeProto
        version_number 3 int32
        tensor_content 4 bytes
        float_val 5 repeated float
        double_val 6 repeated double
        int_val 7 repeated int32
        string_val 8 repeated bytes
        scomplex_val 9 repeated float
        int64_val 10 repeated int64
        bool_val 11 repeated bool
        dcomplex_val 12 repeated double
        half_val 13 repeated int32
        uint32_val 16 repeated uint32
        uint64_val 17 repeated uint64""",
    "tensorflow.TensorInfo": """
        name 1 oneof encoding string
        coo_sparse 4 oneof encoding tensorflow.TensorInfo.CooSparse
        dtype 2 tensorflow.DataType
        tensor_shape 3 tensorflow.TensorShapeProto""",
    "tensorflow.TensorInfo.CooSparse": """
        values_tensor_name 1 string
        indices_tensor_name 2 string
        dense_shape_tensor_name 3 string""",
    "tensorflow.SignatureDef": """
        inputs 1 map<string, tensorflow.TensorInfo>
        outputs 2 map<string, tensorflow.TensorInfo>
        method_name 3 string
        defaults 4 map<string, tensorflow.TensorProto>""",
    "tensorflow.MetaGraphDef": """
        meta_info_def 1 tensorflow.MetaGraphDef.MetaInfoDef
        signature_def 5 map<string, tensorflow.SignatureDef>""",
    "tensorflow.MetaGraphDef.MetaInfoDef": """
        tags 4 repeated string
        tensorflow_version 5 string""",
    "tensorflow.BytesList": """
        value 1 repeated bytes""",
    "tensorflow.FloatList": """
        value 1 repeated float""",
    "tensorflow.Int64List": """
        value 1 repeated int64""",
    "tensorflow.Feature": """
        bytes_list 1 oneof kind tensorflow.BytesList
        float_list 2 oneof kind tensorflow.FloatList
        int64_list 3 oneof kind tensorflow.Int64List""",
    "tensorflow.Features": """
        feature 1 map<string, tensorflow.Feature>""",
    "tensorflow.Example": """
        features 1 tensorflow.Features""",
    "tensorflow.SavedModel": """
        saved_model_schema_version 1 int64
        meta_graphs 2 repeated tensorflow.MetaGraphDef""",
    "tensorflow.serving.ModelSpec": """
        name 1 string
        version 2 oneof version_choice google.protobuf.Int64Value
        version_label 4 oneof version_choice string
        signature_name 3 string""",
    "tensorflow.serving.PredictRequest": """
        model_spec 1 tensorflow.serving.ModelSpec
        inputs 2 map<string, tensorflow.TensorProto>
        output_filter 3 repeated string""",
    "tensorflow.serving.PredictResponse": """
        outputs 1 map<string, tensorflow.TensorProto>
        model_spec 2 tensorflow.serving.ModelSpec""",
    "tensorflow.serving.SignatureDefMap": """
        signature_def 1 map<string, tensorflow.SignatureDef>""",
    "tensorflow.serving.GetModelMetadataRequest": """
        model_spec 1 tensorflow.serving.ModelSpec
        metadata_field 2 repeated string""",
    "tensorflow.serving.GetModelMetadataResponse": """
        model_spec 1 tensorflow.serving.ModelSpec
        metadata 2 map<string, google.protobuf.Any>""",
    "tensorflow.serving.StatusProto": """
        error_code 1 tensorflow.error.Code
        error_message 2 string""",
    "tensorflow.serving.GetModelStatusRequest": """
        model_spec 1 tensorflow.serving.ModelSpec""",
    "tensorflow.serving.ModelVersionStatus": """
        version 1 int64
        state 2 tensorflow.serving.ModelVersionStatus.State
        status 3 tensorflow.serving.StatusProto""",
    "tensorflow.serving.GetModelStatusResponse": """
        model_version_status 1 repeated tensorflow.serving.ModelVersionStatus""",
    "tensorflow.serving.FileSystemStoragePathSourceConfig": "",
    "tensorflow.serving.FileSystemStoragePathSourceConfig.ServableVersionPolicy": """
        latest 100 oneof policy_choice tensorflow.serving.FileSystemStoragePathSourceConfig.ServableVersionPolicy.Latest
        all 101 oneof policy_choice tensorflow.serving.FileSystemStoragePathSourceConfig.ServableVersionPolicy.All
        specific 102 oneof policy_choice tensorflow.serving.FileSystemStoragePathSourceConfig.ServableVersionPolicy.Specific""",
    "tensorflow.serving.FileSystemStoragePathSourceConfig.ServableVersionPolicy.Latest": """
        num_versions 1 uint32""",
    "tensorflow.serving.FileSystemStoragePathSourceConfig.ServableVersionPolicy.All": "",
    "tensorflow.serving.FileSystemStoragePathSourceConfig.ServableVersionPolicy.Specific": """
        versions 1 repeated int64""",
    "tensorflow.serving.ModelConfig": """
        name 1 string
        base_path 2 string
        model_type 3 tensorflow.serving.ModelType
        model_platform 4 string
        model_version_policy 7 tensorflow.serving.FileSystemStoragePathSourceConfig.ServableVersionPolicy
        version_labels 8 map<string, int64>""",
    "tensorflow.serving.ModelConfigList": """
        config 1 repeated tensorflow.serving.ModelConfig""",
    "tensorflow.serving.ModelServerConfig": """
        model_config_list 1 oneof config tensorflow.serving.ModelConfigList
        custom_model_config 2 oneof config google.protobuf.Any""",
    "tensorflow.serving.BatchingParameters": """
        max_batch_size 1 google.protobuf.Int64Value
        batch_timeout_micros 2 google.protobuf.Int64Value""",
    "tensorflow.serving.PrometheusConfig": """
        enable 1 bool
        path 2 string""",
    "tensorflow.serving.MonitoringConfig": """
        prometheus_config 1 tensorflow.serving.PrometheusConfig""",
    "tensorflow.serving.SSLConfig": """
        server_key 1 string
        server_cert 2 string
        custom_ca 3 string
        client_verify 4 bool""",
    "tensorflow.serving.ReloadConfigRequest": """
        config 1 tensorflow.serving.ModelServerConfig
        metric_names 2 repeated string""",
    "tensorflow.serving.Metric": """
        name 1 string
        int64_value_increase 2 oneof value_increase int64""",
    "tensorflow.serving.ReloadConfigResponse": """
        status 1 tensorflow.serving.StatusProto
        metric 2 repeated tensorflow.serving.Metric""",
    "tensorflow.serving.PredictLog": """
        request 1 tensorflow.serving.PredictRequest
        response 2 tensorflow.serving.PredictResponse""",
    "tensorflow.serving.PredictionLog": """
        predict_log 6 oneof log_type tensorflow.serving.PredictLog""",
}


_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALAR_NAMES = ("BOOL", "BYTES", "DOUBLE", "FLOAT", "INT32", "INT64", "STRING", "UINT32", "UINT64")
_SCALARS = {kind.lower(): getattr(_FIELD, f"TYPE_{kind}") for kind in _SCALAR_NAMES}


def _set_type(field: Any, kind: str) -> None:
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = _FIELD.TYPE_ENUM if kind in _ENUMS else _FIELD.TYPE_MESSAGE
        field.type_name = f".{kind}"


def _add_map_entry(message: Any, field_name: str, key: str, value: str) -> str:
    """A map is a repeated message of key and value, named after the field. Returns that message's simple name."""
    name = "".join(part.capitalize() for part in field_name.split("_")) + "Entry"
    entry = message.nested_type.add(name=name)
    entry.options.map_entry = True
    for number, (part, kind) in enumerate((("key", key), ("value", value)), 1):
        _set_type(entry.field.add(name=part, number=number, label=_FIELD.LABEL_OPTIONAL), kind)
    return name


def _add_field(message: Any, full_name: str, row: str) -> None:
    name, number, kind = row.split(maxsplit=2)
    field = message.field.add(name=name, number=int(number), label=_FIELD.LABEL_OPTIONAL)
    if kind.startswith("oneof "):
        _, group, kind = kind.split(maxsplit=2)
        groups = [declared.name for declared in message.oneof_decl]
        if group not in groups:
            message.oneof_decl.add(name=group)
            groups.append(group)
        field.oneof_index = groups.index(group)
    elif kind.startswith("repeated "):
        kind = kind.removeprefix("repeated ")
        field.label = _FIELD.LABEL_REPEATED
    elif kind.startswith("map<"):
        key, value = kind[4:-1].split(", ")
        kind = f"{full_name}.{_add_map_entry(message, name, key, value)}"
        field.label = _FIELD.LABEL_REPEATED
    _set_type(field, kind)


def _pool() -> Any:
    """The descriptor pool built from the tables: one file per package."""
    pool = descriptor_pool.DescriptorPool()
    files = {}
    for package in ("tensorflow", "tensorflow.error", "tensorflow.serving"):
        files[package] = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    files["tensorflow.serving"].dependency.extend(
        ["google/protobuf/any.proto", "google/protobuf/wrappers.proto", "tensorflow.proto", "tensorflow.error.proto"]
    )
    messages: dict[str, Any] = {}
    for full_name, rows in _MESSAGES.items():
        parent, _, name = full_name.rpartition(".")
        messages[full_name] = message = messages[parent].nested_type.add() if parent in messages else files[parent].message_type.add()
        message.name = name
        for row in rows.strip().splitlines():
            _add_field(message, full_name, row)
    for full_name, values in _ENUMS.items():
        parent, _, name = full_name.rpartition(".")
        enum = (messages.get(parent) or files[parent]).enum_type.add(name=name)
        for position, value in enumerate(values.split()):
            value_name, _, number = value.partition("=")
            enum.value.add(name=value_name, number=int(number or position))
    for module in (any_pb2, wrappers_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    for file in files.values():
        pool.AddSerializedFile(file.SerializeToString())
    return pool


POOL: Any = _pool()


def _message(full_name: str) -> Any:
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(full_name))


def _enum(full_name: str) -> dict[str, int]:
    return {name: value.number for name, value in POOL.FindEnumTypeByName(full_name).values_by_name.items()}


TensorShapeProto = _message("tensorflow.TensorShapeProto")
TensorProto = _message("tensorflow.TensorProto")
TensorInfo = _message("tensorflow.TensorInfo")
SignatureDef = _message("tensorflow.SignatureDef")
SavedModel = _message("tensorflow.SavedModel")
Example = _message("tensorflow.Example")
ModelSpec = _message("tensorflow.serving.ModelSpec")
PredictRequest = _message("tensorflow.serving.PredictRequest")
PredictResponse = _message("tensorflow.serving.PredictResponse")
SignatureDefMap = _message("tensorflow.serving.SignatureDefMap")
GetModelMetadataRequest = _message("tensorflow.serving.GetModelMetadataRequest")
GetModelMetadataResponse = _message("tensorflow.serving.GetModelMetadataResponse")
GetModelStatusRequest = _message("tensorflow.serving.GetModelStatusRequest")
GetModelStatusResponse = _message("tensorflow.serving.GetModelStatusResponse")
ModelVersionStatus = _message("tensorflow.serving.ModelVersionStatus")
ModelConfig = _message("tensorflow.serving.ModelConfig")
ModelServerConfig = _message("tensorflow.serving.ModelServerConfig")
BatchingParameters = _message("tensorflow.serving.BatchingParameters")
MonitoringConfig = _message("tensorflow.serving.MonitoringConfig")
SSLConfig = _message("tensorflow.serving.SSLConfig")
ReloadConfigRequest = _message("tensorflow.serving.ReloadConfigRequest")
ReloadConfigResponse = _message("tensorflow.serving.ReloadConfigResponse")
StatusProto = _message("tensorflow.serving.StatusProto")
PredictionLog = _message("tensorflow.serving.PredictionLog")

# The enumerations: number by name.
DATA_TYPES = _enum("tensorflow.DataType")
STATES = _enum("tensorflow.serving.ModelVersionStatus.State")
ERROR_CODES = _enum("tensorflow.error.Code")
