"""How two schemas become one: kustomize/base/openapi.json is made by this."""

from __future__ import annotations

from typing import Any

from pipelines.site import schema

NAMED = {"x-kubernetes-patch-merge-key": "name", "x-kubernetes-patch-strategy": "merge"}
POD = "io.k8s.api.core.v1.PodSpec"


def list_of(name: str, **more: str) -> dict[str, Any]:
    return {"type": "array", "description": "a list", "items": {"$ref": f"#/definitions/{name}"}, **more}


def argo(**spec: Any) -> dict[str, Any]:
    kinds = {f"{schema.ARGO}{kind}": {"type": "object", "properties": {}} for kind in schema.ARGO_KINDS}
    workflow = {"spec": {"$ref": f"#/definitions/{schema.ARGO}WorkflowSpec"}, "status": {"$ref": "#/definitions/Status"}}
    return {
        **kinds,
        f"{schema.ARGO}Workflow": {"type": "object", "description": "long", "properties": workflow},
        f"{schema.ARGO}WorkflowSpec": {"type": "object", "properties": spec},
        POD: {"type": "object", "properties": {"wrong": {"type": "string"}}},
        "Status": {"type": "object"},
        "Unused": {"type": "object"},
    }


CORE = {
    POD: {"type": "object", "properties": {"containers": list_of("Container", **NAMED)}},
    "Container": {"type": "object", "properties": {"$ref": {"type": "string"}, "limits": {"additionalProperties": {"type": "string"}}}},
    "Pod": {
        "properties": {"metadata": {"type": "object"}, "spec": {"$ref": f"#/definitions/{POD}"}},
        "x-kubernetes-group-version-kind": [{"group": "", "kind": "Pod", "version": "v1"}],
    },
    "PodList": {
        "properties": {"metadata": {"type": "object"}, "items": list_of("Pod")},
        "x-kubernetes-group-version-kind": [{"group": "", "kind": "PodList", "version": "v1"}],
    },
    "Early": {
        "properties": {"metadata": {"type": "object"}},
        "x-kubernetes-group-version-kind": [{"group": "", "kind": "Early", "version": "v1beta1"}],
    },
}


def definitions(**spec: Any) -> dict[str, Any]:
    return dict(schema.merged(argo(**spec), CORE)["definitions"])


def test_it_holds_what_is_reachable_from_the_kinds_of_both_and_no_more() -> None:
    found = definitions(pod={"$ref": f"#/definitions/{POD}"})
    assert set(found) == {*(f"{schema.ARGO}{kind}" for kind in (*schema.ARGO_KINDS, "WorkflowSpec")), POD, "Container", "Pod"}
    kinds = {row["kind"] for value in found.values() for row in value.get("x-kubernetes-group-version-kind", ())}
    assert kinds == {*schema.ARGO_KINDS, "Pod"}
    assert list(found) == sorted(found)


def test_it_keeps_keys_and_drops_descriptions_and_status() -> None:
    found = definitions(parameters=list_of("Container", **NAMED))
    assert found[f"{schema.ARGO}Workflow"]["properties"] == {"spec": {"$ref": f"#/definitions/{schema.ARGO}WorkflowSpec"}}
    expected = {"type": "array", "items": {"$ref": "#/definitions/Container"}, **NAMED}
    assert found[f"{schema.ARGO}WorkflowSpec"]["properties"] == {"parameters": expected}
    assert "description" not in str(found)


def test_where_both_know_a_kind_kubernetes_is_right() -> None:
    assert definitions()[POD]["properties"]["containers"]["x-kubernetes-patch-merge-key"] == "name"


def test_tolerations_have_no_key_whatever_argo_says() -> None:
    found = definitions(tolerations=list_of("Container", **NAMED))
    assert found[f"{schema.ARGO}WorkflowSpec"]["properties"]["tolerations"] == {
        "type": "array",
        "items": {"$ref": "#/definitions/Container"},
    }
