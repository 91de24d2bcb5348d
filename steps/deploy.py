"""The step that has a published version serve: where no traffic goes first, then for real, and back where that fails."""

from __future__ import annotations

import os
from dataclasses import dataclass

from steps import contract
from steps.contract import Count, Folder, Name, Object, OptionalObject, OptionalPort, Port, Positive, PullPolicy, Quantity, Text
from steps.release.places import Places


@dataclass(frozen=True)
class Settings:
    """`version` is one of the model's repository. On one machine one server runs and only the two ports are read of what follows them."""

    nfs_path: Folder
    user_name: Name
    model_name: Name
    output_dir: Name
    version: Positive
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


@dataclass(frozen=True)
class Outputs:
    """Where clients find the server: `host:port` of gRPC."""

    address: str


def main(settings: Settings) -> Outputs:
    """Have the version serve. Raises BadInput, BadModel or Transient, the version before left in place and serving."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        raise contract.BadInput(
            "deploy: expected to run on one machine, got a pod of a cluster (KUBERNETES_SERVICE_HOST is set): deploying to a cluster"
            " is not supported yet; run the pipeline on one machine with `python -m pipelines run`"
        )
    from steps.release import backend, local

    places = Places.of(settings.nfs_path, settings.user_name, settings.model_name, settings.output_dir)
    with places.lock():
        server = local.LocalServer(places, settings.tf_serving_port, settings.tf_serving_rest_port)
        backend.deploy(server, places, settings.version)
    return Outputs(server.address)


if __name__ == "__main__":
    contract.run(main)
