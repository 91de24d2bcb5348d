"""What a model has on a cluster: its own objects, and the note of what was released last, which one of them carries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from steps import contract
from steps.release import manifests
from steps.release.api import Api
from steps.release.manifests import Manifest
from steps.release.places import Places
from steps.release.settings import Serving

_NOTE_MANAGER = f"{manifests.MANAGER}-note"


@dataclass(frozen=True)
class Released:
    """What was released last: the version, the objects just as they were applied, and the settings, None where they cannot be read."""

    version: int
    objects: Sequence[Manifest]
    settings: Serving | None


def own(api: Api, places: Places, kind: str, name: str) -> Manifest | None:
    """An object of this model; None where there is none. Raises BadInput for one that serves another, or that somebody else made."""
    found = api.get(kind, name)
    expected, got = places.relative(places.repository), _annotation(found, manifests.REPOSITORY)
    if found is not None and got != expected:
        whose = f"serves {got}" if got else "was made by somebody else"
        raise contract.BadInput(
            f"{kind} {name}: expected no such object in namespace {api.account.namespace}, or one that serves {expected}, but it {whose};"
            " choose another MODEL_NAME or namespace, or delete it"
        )
    return found


def released(api: Api, places: Places) -> Released | None:
    """What was released last; None where no release was completed."""
    text = _annotation(own(api, places, "Deployment", manifests.name_of(places.model)), manifests.RELEASED)
    if not text:
        return None
    note = json.loads(text)
    try:
        settings = contract.read_settings(Serving, note["settings"])
    except contract.BadInput:
        settings = None  # noted by another version of this project, with other settings
    return Released(note["version"], note["objects"], settings)


def note(api: Api, name: str, done: Released) -> None:
    """Note what was released at its Deployment. It is applied by a manager of its own, so that no rollout takes it away."""
    given = {name: getattr(done.settings, name.lower()) for name in contract.kinds(Serving)} if done.settings else {}
    values = {name: "" if value is None else str(value) for name, value in given.items()}
    content = {"version": done.version, "settings": values, "objects": list(done.objects)}
    annotations = {manifests.RELEASED: json.dumps(content, separators=(",", ":"), sort_keys=True)}
    api.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "annotations": annotations}}, _NOTE_MANAGER)


def _annotation(found: Manifest | None, name: str) -> str:
    return str((found or {}).get("metadata", {}).get("annotations", {}).get(name, ""))
