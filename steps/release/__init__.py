"""Releases: from a validated candidate to a version that serves, and back. What the command line and the steps need stands here."""

from __future__ import annotations

import os
from pathlib import Path

from steps import contract
from steps.release.backend import Backend
from steps.release.note import Server, serving, stop_server
from steps.release.places import Places, locked
from steps.release.ports import require_free as require_free_port
from steps.release.settings import Model, Serving

__all__ = ["Server", "open_backend", "open_released", "require_free_port", "rollback", "serving", "stop_server"]


def open_backend(settings: Serving) -> Backend:
    """What serves here: the cluster for a pod of one, this machine otherwise. The caller holds the lock of the places."""
    if _is_pod():
        from steps.release import api, cluster

        return cluster.Cluster(settings, api.in_cluster())
    from steps.release import local

    return local.LocalServer(settings.places, settings.tf_serving_port, settings.tf_serving_rest_port)


def open_released(model: Model) -> Backend:
    """What serves here, with the settings it was released with. Raises BadInput where nothing does. The caller holds the lock."""
    if _is_pod():
        from steps.release import api, cluster

        return cluster.as_released(model, api.in_cluster())
    return _server(model.places)


def rollback(output: Path, version: int | None = None) -> Server:
    """Have the server of an output folder serve the version released before, or the given one; the server as it is then.

    Raises BadInput where no server runs or there is no version to go back to; BadModel or Transient where the version
    fails: what served before goes on serving.
    """
    from steps.release import backend

    with locked(output):
        places = Places(output.parents[2], output, output.parent.name)
        backend.roll_back(_server(places), places, version)
        after = serving(output)
    assert after is not None
    return after


def _server(places: Places) -> Backend:
    from steps.release import local

    server = serving(places.output)
    if server is None:
        raise contract.BadInput(
            f"{places.output}: no server of this folder runs, so there is nothing to roll back; start one with `run ... --keep-serving`"
        )
    return local.LocalServer(places, server.port, server.rest_port)


def _is_pod() -> bool:
    return "KUBERNETES_SERVICE_HOST" in os.environ
