"""The step that has the version released before serve again, or the one that is asked for; all else stays as it serves."""

from __future__ import annotations

from dataclasses import dataclass

from steps import contract, release
from steps.contract import OptionalPositive
from steps.release import backend
from steps.release.settings import Model


@dataclass(frozen=True)
class Settings(Model):
    """`rollback_version` is one of the model's repository; none: the one released before."""

    rollback_version: OptionalPositive


@dataclass(frozen=True)
class Outputs:
    """What serves now, and where clients find it: `host:port` of gRPC."""

    version: int
    address: str


def main(settings: Settings) -> Outputs:
    """Go back. Raises BadInput where there is nothing to go back to, BadModel or Transient where it fails: what served goes on serving."""
    with settings.places.lock():
        servers = release.open_released(settings)
        version = backend.roll_back(servers, settings.places, settings.rollback_version)
    return Outputs(version, servers.address)


if __name__ == "__main__":
    contract.run(main)
