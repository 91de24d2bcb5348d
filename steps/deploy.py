"""The step that has a published version serve: where no traffic goes first, then for real, and back where that fails."""

from __future__ import annotations

from dataclasses import dataclass

from steps import contract, release
from steps.contract import Positive
from steps.release import backend
from steps.release.settings import Serving


@dataclass(frozen=True)
class Settings(Serving):
    """`version` is one of the model's repository."""

    version: Positive


@dataclass(frozen=True)
class Outputs:
    """Where clients find the server: `host:port` of gRPC."""

    address: str


def main(settings: Settings) -> Outputs:
    """Have the version serve. Raises BadInput, BadModel or Transient, the version before left in place and serving."""
    with settings.places.lock():
        servers = release.open_backend(settings)
        backend.deploy(servers, settings.places, settings.version)
    return Outputs(servers.address)


if __name__ == "__main__":
    contract.run(main)
