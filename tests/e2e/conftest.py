"""A site on a real cluster (KUBECONFIG): an overlay of one's own, installed in a namespace of its own, used as README says.

Environment: E2E_BUILD is a command that builds an image and gives it to the cluster, called with FOLDER TAG [FILE] (without it the
images are expected to be there); E2E_NODE is the address at which node ports answer [127.0.0.1]; TEST_S3_ENDPOINT,
TEST_S3_ENDPOINT_IN_PODS, TEST_S3_KEY and TEST_S3_SECRET name an S3 server.
"""

from __future__ import annotations

import os
import shlex
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import IMAGE, REGISTRY, ROOT, SERVER_IMAGE, SUFFIX, Site, command


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a cluster, and the commands that people use on one, the tests of this folder are skipped; with one, they take their time."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    missing = [name for name in ("argo", "kubectl", "kustomize") if shutil.which(name) is None]
    without = f"no {' and no '.join(missing)} on PATH" if missing else ""
    reason = without if "KUBECONFIG" in os.environ else "KUBECONFIG names no cluster"
    for item in here:
        item.add_marker(pytest.mark.skip(reason=reason) if reason else pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def images() -> None:
    """The project's image and the stand-in for TensorFlow Serving, built from this checkout."""
    build = shlex.split(os.environ.get("E2E_BUILD", ""))
    if build:
        command(*build, ROOT, IMAGE, timeout_s=900)
        command(*build, ROOT / "tests" / "e2e" / "serving_stand_in", SERVER_IMAGE, timeout_s=300)


@pytest.fixture(scope="session")
def make_site(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Site]]:
    """Makes a site from an overlay of the project, copied as README says; its namespace enforces Pod Security "restricted"."""
    sites: list[Site] = []

    def make(
        name: str,
        overlay: str = "overlays/laptop",
        components: tuple[str, ...] = (),
        replace: Mapping[str, str] | None = None,
        **values: Any,
    ) -> Site:
        namespace = f"tiphys-{name}-{uuid.uuid4().hex[:6]}"
        tree = tmp_path_factory.mktemp(name) / "kustomize"
        shutil.copytree(ROOT / "kustomize", tree)
        mine = (tree / overlay).with_name("mine")
        shutil.copytree(tree / overlay, mine)
        where = "../" * len(Path(overlay).parts) + "components"
        command("kubectl", "create", "namespace", namespace)
        command("kubectl", "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
        command("kustomize", "edit", "set", "namespace", namespace, where=mine)
        for taken, given in (replace or {}).items():
            kustomization = mine / "kustomization.yaml"
            kustomization.write_text(kustomization.read_text().replace(f"{where}/{taken}\n", f"{where}/{given}\n"))
        for component in components:
            command("kustomize", "edit", "add", "component", f"{where}/{component}", where=mine)
        sites.append(Site(mine, namespace))
        sites[-1].set(REGISTRY=REGISTRY, IMAGE_SUFFIX=SUFFIX, **values)
        return sites[-1]

    yield make
    for site in sites:
        site.delete()
