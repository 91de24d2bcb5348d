"""Which models to serve: the model config file and HandleReloadConfigRequest, as data, and the versions a base path offers."""

from __future__ import annotations

import dataclasses
import os
import re
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from clients.serving import messages
from steps.serve import metrics
from steps.serve.errors import ServingError
from steps.serve.merging import Merging


@dataclass(frozen=True)
class Policy:
    """Which versions are served: the `latest` n, those that are `specific`, or all where both are None."""

    latest: int | None = 1
    specific: frozenset[int] | None = None


@dataclass(frozen=True)
class ModelSettings:
    """One model: its name, where its versions lie, which of them to serve, and labels that stand for versions."""

    name: str
    base_path: Path
    policy: Policy
    labels: Mapping[str, int]


def single_model(name: str, base_path: str) -> Any:
    """The ModelServerConfig message of one model, its latest version."""
    config = messages.ModelServerConfig()
    config.model_config_list.config.add(name=name, base_path=base_path, model_platform="tensorflow")
    return config


def read_file(path: Path) -> Any:
    """The ModelServerConfig message in a text file. Raises ServingError."""
    return read_text(path, messages.ModelServerConfig())


def read_text(path: Path, message: Any) -> Any:
    """A message in protobuf's text format. Raises ServingError, naming the file and the line."""
    try:
        return text_format.Parse(path.read_text(), message)
    except OSError as error:
        raise ServingError("NOT_FOUND", f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ServingError("INVALID_ARGUMENT", f"{path}: expected text, got bytes that are not UTF-8") from None
    except text_format.ParseError as error:
        expected = type(message).DESCRIPTOR.name
        raise ServingError(
            "INVALID_ARGUMENT", f"{path}: expected a {expected} in protobuf's text format, got at line:column {error}"
        ) from None


def read_merging(path: Path, default: Merging) -> Merging:
    """How requests are merged, by a BatchingParameters file. Raises ServingError for what it asks that is not supported."""
    text = read_text(path, messages.BatchingParameters())
    changes: dict[str, Any] = {}
    if text.HasField("max_batch_size"):
        changes["most_rows"] = text.max_batch_size.value
    if text.HasField("batch_timeout_micros"):
        changes["longest_wait_s"] = text.batch_timeout_micros.value / 1e6
    if min([0, *changes.values()]) < 0 or changes.get("most_rows") == 0:
        raise ServingError("INVALID_ARGUMENT", f"{path}: expected max_batch_size above 0 and batch_timeout_micros of at least 0")
    return dataclasses.replace(default, **changes)


@dataclass(frozen=True)
class Security:
    """What the gRPC port needs for TLS, in PEM's format; with `client_verify`, clients show a certificate of `custom_ca`."""

    server_key: bytes
    server_cert: bytes
    custom_ca: bytes
    client_verify: bool


def read_security(path: Path) -> Security:
    """An SSLConfig file. Raises ServingError where key, certificate and authority do not make a server."""
    text = read_text(path, messages.SSLConfig())
    security = Security(text.server_key.encode(), text.server_cert.encode(), text.custom_ca.encode(), text.client_verify)
    if security.client_verify and not security.custom_ca:
        raise ServingError("INVALID_ARGUMENT", f"{path}: expected custom_ca, the authority of the clients, with client_verify, got none")
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder, "pair.pem")
        pair.touch(0o600)
        pair.write_bytes(security.server_key + b"\n" + security.server_cert)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(pair)
            if security.custom_ca:
                context.load_verify_locations(cadata=text.custom_ca)
        except (ssl.SSLError, ValueError) as error:
            raise ServingError(
                "INVALID_ARGUMENT", f"{path}: expected server_key, its server_cert and custom_ca (if any) in PEM's format, got: {error}"
            ) from None
    return security


def read_metrics_path(path: Path) -> str | None:
    """Where a MonitoringConfig file wants metrics to be read; None where it wants none. Raises ServingError."""
    prometheus = read_text(path, messages.MonitoringConfig()).prometheus_config
    if prometheus.path and not prometheus.path.startswith("/"):
        raise ServingError("INVALID_ARGUMENT", f"{path}: expected a path that begins with a slash, got {prometheus.path!r}")
    return (prometheus.path or metrics.PATH) if prometheus.enable else None


def models_of(config: Any) -> tuple[ModelSettings, ...]:
    """The models of a ModelServerConfig message. Raises ServingError for one that cannot be served."""
    if config.WhichOneof("config") != "model_config_list":
        raise ServingError(
            "INVALID_ARGUMENT",
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported",
        )
    models = [_model(row) for row in config.model_config_list.config]
    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise ServingError("INVALID_ARGUMENT", f"Illegal to list model {name} multiple times in config list")
    return tuple(models)


def _model(row: Any) -> ModelSettings:
    platform = row.model_platform
    if row.model_type:
        if platform:
            raise ServingError(
                "INVALID_ARGUMENT",
                "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform,"
                f" model name is {row.name}",
            )
        platform = "tensorflow" if row.model_type == 1 else "other"
    if platform != "tensorflow":
        raise ServingError("INVALID_ARGUMENT", f"Model {row.name} requests unsupported platform {platform or '(none)'}")
    if not row.base_path.startswith("/"):
        raise ServingError(
            "INVALID_ARGUMENT", f"Expected model {row.name} to have an absolute path or URI; got base_path()={row.base_path}"
        )
    return ModelSettings(row.name, Path(row.base_path), _policy(row.model_version_policy), dict(row.version_labels))


def _policy(message: Any) -> Policy:
    choice = message.WhichOneof("policy_choice")
    if choice == "all":
        return Policy(None)
    if choice == "specific":
        return Policy(None, frozenset(message.specific.versions))
    return Policy(max(message.latest.num_versions, 1))


def offered_versions(base_path: Path) -> dict[int, Path]:
    """The versions under a base path: subfolders whose name is a number. Raises ServingError where the path cannot be read."""
    try:
        names = sorted(entry.name for entry in os.scandir(base_path))
    except OSError as error:
        raise ServingError("INVALID_ARGUMENT", f"Could not find base path {base_path}: {error.strerror}") from None
    return {int(name): base_path / name for name in names if re.fullmatch(r"[0-9]{1,18}", name)}


def chosen_versions(policy: Policy, offered: Mapping[int, Path]) -> dict[int, Path]:
    """Those of the offered versions that the policy has served."""
    numbers: Sequence[int] = sorted(offered)
    if policy.latest is not None:
        numbers = numbers[-policy.latest :]
    if policy.specific is not None:
        numbers = [number for number in numbers if number in policy.specific]
    return {number: offered[number] for number in numbers}
