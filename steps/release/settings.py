"""The settings that releases have in common: which model, and how it is served on a cluster."""

from __future__ import annotations

from dataclasses import dataclass

from steps.contract import Count, Folder, Name, Object, OptionalObject, OptionalPort, Port, Positive, PullPolicy, Quantity, Text
from steps.release.places import Places


@dataclass(frozen=True)
class Model:
    """Whose releases lie where."""

    nfs_path: Folder
    user_name: Name
    model_name: Name
    output_dir: Name

    @property
    def places(self) -> Places:
        """Where the model's releases lie."""
        return Places.of(self.nfs_path, self.user_name, self.model_name, self.output_dir)


@dataclass(frozen=True)
class Serving(Model):
    """How a model is served. On one machine one server runs, and only the first two ports are read."""

    tf_serving_port: Port
    tf_serving_rest_port: Port
    tf_serving_node_port: OptionalPort
    replicas: Positive
    deploy_timeout_s: Positive
    serving_image: Text
    serving_cpu: Quantity
    serving_memory: Quantity
    claim: Object
    user_id: Count
    group_id: Count
    fs_id: Count
    pull_policy: PullPolicy
    pull_secret: OptionalObject
