"""Releases: from a validated candidate to a version that serves, and back. What the command line needs stands here."""

from __future__ import annotations

from pathlib import Path

from steps import contract
from steps.release.note import Server, serving, stop_server
from steps.release.places import Places, locked
from steps.release.ports import require_free as require_free_port

__all__ = ["Server", "require_free_port", "rollback", "serving", "stop_server"]


def rollback(output: Path, version: int | None = None) -> Server:
    """Have the server of an output folder serve the version released before, or the given one; the server as it is then.

    Raises BadInput where no server runs or there is no version to go back to; BadModel or Transient where the version
    fails: what served before goes on serving.
    """
    from steps.release import backend, local

    with locked(output):
        server = serving(output)
        if server is None:
            raise contract.BadInput(
                f"{output}: no server of this folder runs, so there is nothing to roll back; start one with `run ... --keep-serving`"
            )
        places = Places(output.parents[2], output, server.model)
        backend.roll_back(local.LocalServer(places, server.port, server.rest_port), places, version)
        after = serving(output)
    assert after is not None
    return after
