"""The deploy step with the stand-in for its server."""

import sys
from pathlib import Path

from steps import contract, deploy
from steps.release import backend, local
from steps.release.places import Places

STAND_IN = (sys.executable, str(Path(__file__).with_name("stand_in.py")))


def main(settings: deploy.Settings) -> deploy.Outputs:
    """As deploy.main on one machine."""
    places = Places.of(settings.nfs_path, settings.user_name, settings.model_name, settings.output_dir)
    with places.lock():
        server = local.LocalServer(places, settings.tf_serving_port, settings.tf_serving_rest_port, STAND_IN, load_s=4)
        backend.deploy(server, places, settings.version)
    return deploy.Outputs(server.address)


if __name__ == "__main__":
    contract.run(main)
