"""`argo submit` of a compiled file, with only the accounts and a claim installed."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import plans
from tests.e2e.cluster import REGISTRY, ROOT, SUFFIX, Site, command, exit_codes

pytestmark = pytest.mark.e2e


@pytest.fixture
def site(images: None, tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, f"tiphys-bare-{uuid.uuid4().hex[:6]}")
    command("kubectl", "create", "namespace", made.namespace)
    command("kubectl", "label", "namespace", made.namespace, "pod-security.kubernetes.io/enforce=restricted")
    yield made
    made.delete()


def test_a_compiled_file_needs_the_accounts_and_a_claim_only(site: Site, tmp_path: Path) -> None:
    for file in ("base/accounts.yaml", "components/claim/claim.yaml"):
        site.kubectl("apply", "-f", ROOT / "kustomize" / file)
    plans.put_rows(site)
    values = plans.prepare(site, "bare", {}) | {"REGISTRY": REGISTRY, "IMAGE_SUFFIX": SUFFIX}
    given = [word for name, value in values.items() for word in ("-p", f"{name}={value}")]
    (tmp_path / "workflow.yaml").write_text(command(sys.executable, "-m", "pipelines", "compile", "train", *given))
    workflow = command("argo", "submit", "-n", site.namespace, tmp_path / "workflow.yaml", "-o", "name").strip()
    status = site.wait(workflow)
    assert (status["phase"], exit_codes(status, "training")) == ("Succeeded", ["0"])
