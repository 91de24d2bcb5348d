"""What serves a model on a cluster, as data: a Deployment, its canary, a Service and a PodDisruptionBudget."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from steps.release import questions
from steps.release.settings import Serving

Manifest = dict[str, Any]

GRPC_PORT, REST_PORT = 8500, 8501
# Annotations: which repository an object serves, which versions a server is to load, and what was released last.
REPOSITORY, CONFIG, RELEASED = "tiphys/repository", "tiphys/model-config", "tiphys/released"
# A label of pods: a hash of their template, so that those of a release can be told from those of the one before.
RELEASE = "tiphys/release"
MANAGER = "tiphys-deploy"

_MODELS, _CONFIG_FOLDER = "/models", "/etc/tensorflow-serving"
# A connection is asked to go after this age, and its client comes again: to another replica, once the Service has let go of this one.
# TensorFlow Serving hands such arguments to gRPC as they are (parseGrpcChannelArgs in its model_servers/server.cc); gRPC spreads the
# age by 10 % (gRFC A9).
_CONNECTION_AGE_S = 10
# A server that is to go answers for as long as old connections and news of its going may live. After that, TensorFlow Serving ends at
# SIGTERM at once, or ignores it as the first process of its container (tensorflow/serving#1853); neither loses a request any more.
_DRAIN_S = 15
GRACE_S = _DRAIN_S + 5
_NAME_LENGTH = 63 - len("-canary")
_STARTUP_EVERY_S = 2


@dataclass(frozen=True)
class Release:
    """A version, how it is to be served, and the object that owns all others: where that is deleted, they go as well."""

    settings: Serving
    version: int
    namespace: str
    owner: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of the objects, but for the canary's."""
        return name_of(self.settings.model_name)

    @property
    def repository(self) -> str:
        """The model's repository, relative to the volume."""
        places = self.settings.places
        return places.relative(places.repository)


def name_of(model: str) -> str:
    """A model's name as a DNS label (RFC 1035): as it is where it is one, not too long, and no canary's; made one otherwise."""
    if re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", model) and len(model) <= _NAME_LENGTH and not model.endswith("-canary"):
        return model
    slug = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")
    digest = hashlib.sha256(model.encode()).hexdigest()[:8]
    start = slug if slug[:1].isalpha() else f"model-{slug}"
    return f"{start[: _NAME_LENGTH - len(digest) - 1].rstrip('-')}-{digest}"


def canary_name(name: str) -> str:
    """The name of the canary's Deployment."""
    return f"{name}-canary"


def selector(name: str, track: str) -> dict[str, str]:
    """What tells the pods of one model from all others; `track` is live or canary."""
    return {"app.kubernetes.io/name": "tensorflow-serving", "app.kubernetes.io/instance": name, "track": track}


def objects(release: Release) -> list[Manifest]:
    """All that serves, in the order in which it is applied."""
    return [disruption_budget(release), deployment(release), service(release)]


def deployment(release: Release) -> Manifest:
    """The replicas that take traffic. A new version is a new template, and so a rolling update."""
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    made = _deployment(release, release.name, "live", release.settings.replicas)
    return made | {"spec": made["spec"] | {"strategy": rolling}}


def canary(release: Release) -> Manifest:
    """One replica that no Service selects, which may go at once when it has been asked."""
    made = _deployment(release, canary_name(release.name), "canary", 1)
    pod = made["spec"]["template"]["spec"]
    [server] = pod["containers"]
    del server["lifecycle"]
    pod["terminationGracePeriodSeconds"] = 1
    return made


def service(release: Release) -> Manifest:
    """The way in, from inside the cluster and, at a port of every node, from outside."""
    settings = release.settings
    grpc: dict[str, Any] = {"name": "grpc", "port": settings.tf_serving_port, "targetPort": GRPC_PORT, "protocol": "TCP"}
    if settings.tf_serving_node_port is not None:
        grpc["nodePort"] = settings.tf_serving_node_port
    rest = {"name": "rest", "port": settings.tf_serving_rest_port, "targetPort": REST_PORT, "protocol": "TCP"}
    spec = {"type": "NodePort", "selector": selector(release.name, "live"), "ports": [grpc, rest]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(release, release.name, "live"), "spec": spec}


def disruption_budget(release: Release) -> Manifest:
    """A drained node takes the replicas one by one."""
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": selector(release.name, "live")}}
    metadata = _metadata(release, release.name, "live")
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}


def _deployment(release: Release, name: str, track: str, replicas: int) -> Manifest:
    template = {
        "metadata": {"labels": _labels(release, track), "annotations": {CONFIG: _config(release)}},
        "spec": _pod(release),
    }
    template["metadata"]["labels"][RELEASE] = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
    spec = {"replicas": replicas, "selector": {"matchLabels": selector(release.name, track)}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _metadata(release, name, track), "spec": spec}


def _metadata(release: Release, name: str, track: str) -> dict[str, Any]:
    owner = {"apiVersion": "v1", "kind": "ServiceAccount", "controller": False, "blockOwnerDeletion": False, **release.owner}
    return {
        "name": name,
        "namespace": release.namespace,
        "labels": _labels(release, track),
        "annotations": {REPOSITORY: release.repository},
        "ownerReferences": [owner],
    }


def _labels(release: Release, track: str) -> dict[str, str]:
    """https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/"""
    return {
        **selector(release.name, track),
        "app.kubernetes.io/component": "model-server",
        "app.kubernetes.io/part-of": "tiphys",
        "app.kubernetes.io/managed-by": MANAGER,
        "app.kubernetes.io/version": str(release.version),
    }


def _config(release: Release) -> str:
    model = release.settings.model_name
    return questions.config_text(questions.pinned(model, f"{_MODELS}/{model}", release.version))


def _pod(release: Release) -> dict[str, Any]:
    settings = release.settings
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_S,
        "securityContext": _security(settings),
        "containers": [_server(release)],
        "volumes": [
            {"name": "workspace", "persistentVolumeClaim": {"claimName": settings.claim, "readOnly": True}},
            {"name": "config", "downwardAPI": {"items": [_config_file()]}},
            {"name": "scratch", "emptyDir": {}},
        ],
    }
    return pod | ({"imagePullSecrets": [{"name": settings.pull_secret}]} if settings.pull_secret else {})


def _config_file() -> dict[str, Any]:
    # A list that is applied as a whole is written out with its defaults: otherwise each apply touches the object.
    return {"path": "models.config", "fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.annotations['{CONFIG}']"}}


def _security(settings: Serving) -> dict[str, Any]:
    """What Pod Security "restricted" asks for, unless the user asked for root."""
    not_root = {"runAsNonRoot": True} if settings.user_id else {}
    ids = {"runAsUser": settings.user_id, "runAsGroup": settings.group_id, "fsGroup": settings.fs_id}
    return {**not_root, **ids, "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"}}


def _server(release: Release) -> dict[str, Any]:
    settings = release.settings
    repository = {"name": "workspace", "mountPath": f"{_MODELS}/{settings.model_name}", "subPath": release.repository, "readOnly": True}
    status = {"httpGet": {"path": f"/v1/models/{settings.model_name}", "port": REST_PORT}, "timeoutSeconds": 5}
    return {
        "name": "server",
        "image": settings.serving_image,
        "imagePullPolicy": settings.pull_policy,
        "command": ["tensorflow_model_server"],
        "args": [
            f"--port={GRPC_PORT}",
            f"--rest_api_port={REST_PORT}",
            f"--model_config_file={_CONFIG_FOLDER}/models.config",
            "--max_num_load_retries=0",
            f"--grpc_channel_arguments=grpc.max_connection_age_ms={_CONNECTION_AGE_S * 1000}",
        ],
        "ports": [{"name": "grpc", "containerPort": GRPC_PORT}, {"name": "rest", "containerPort": REST_PORT}],
        "resources": {"requests": {"cpu": settings.serving_cpu, "memory": settings.serving_memory}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True},
        "volumeMounts": [
            repository,
            {"name": "config", "mountPath": _CONFIG_FOLDER, "readOnly": True},
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 (a folder of the container's own)
        ],
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(_DRAIN_S)]}}},
        # A server listens for REST calls when its model is loaded.
        "startupProbe": {
            **status,
            "periodSeconds": _STARTUP_EVERY_S,
            "failureThreshold": math.ceil(settings.deploy_timeout_s / _STARTUP_EVERY_S),
        },
        "readinessProbe": {**status, "periodSeconds": 5},
        "livenessProbe": {**status, "periodSeconds": 10, "failureThreshold": 6},
        # The end of the log of a server that crashed, as the pod's status has it, is why.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
