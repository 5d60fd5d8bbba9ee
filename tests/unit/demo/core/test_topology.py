from __future__ import annotations

from typing import Any

import pytest

from capt.api import CAPTControlPlane
from capt.controllers.kinds import kind_of
from capt.demo.core.topology import clone, clone_name
from capt.demo.core.unstructured import Unstructured
from capt.runtime import TerminalError

KIND = kind_of(CAPTControlPlane)
TEMPLATE = Unstructured.model_validate(
    {
        "apiVersion": "controlplane.cluster.x-k8s.io/v1beta1",
        "kind": "CAPTControlPlaneTemplate",
        "metadata": {"name": "eks", "namespace": "ns"},
        "spec": {
            "template": {
                "metadata": {"labels": {"tier": "one"}},
                "spec": {"workspaceTemplateRef": {"name": "eks"}},
            }
        },
    }
)
SELECTOR = {
    "apiVersion": TEMPLATE.api_version,
    "kind": TEMPLATE.kind,
    "matchResources": {"controlPlane": True},
}


def cluster(**topology: Any) -> Unstructured:
    return Unstructured.model_validate(
        {
            "kind": "Cluster",
            "metadata": {"name": "c", "namespace": "ns", "uid": "u"},
            "spec": {"topology": {"version": "v1.33.0", **topology}},
        }
    )


def cluster_class(operation: dict[str, Any], *, selector: dict[str, Any] = SELECTOR) -> Unstructured:
    return Unstructured.model_validate(
        {
            "kind": "ClusterClass",
            "metadata": {"name": "cc"},
            "spec": {
                "variables": [{"name": "size", "schema": {"openAPIV3Schema": {"default": {"nodes": 3}}}}],
                "patches": [
                    {"name": "p", "definitions": [{"selector": selector, "jsonPatches": [operation]}]}
                ],
            },
        }
    )


def spec_of(of: Unstructured, made_from: Unstructured) -> dict[str, Any]:
    spec: dict[str, Any] = clone(of, made_from, TEMPLATE, KIND, "controlPlane")["spec"]
    return spec


ADD: dict[str, Any] = {"op": "add", "path": "/spec/template/spec/variables"}


def test_a_clone_is_what_core_makes_of_a_template() -> None:
    """Its kind is the template's without the ending, its labels and annotations say where it is from, its version is
    that of the topology."""
    manifest = clone(cluster(), cluster_class({**ADD, "value": {}}), TEMPLATE, KIND, "controlPlane")
    assert manifest["kind"] == "CAPTControlPlane"
    assert manifest["metadata"]["labels"] == {
        "tier": "one",
        "cluster.x-k8s.io/cluster-name": "c",
        "topology.cluster.x-k8s.io/owned": "",
    }
    assert manifest["metadata"]["annotations"] == {
        "cluster.x-k8s.io/cloned-from-name": "eks",
        "cluster.x-k8s.io/cloned-from-groupkind": "CAPTControlPlaneTemplate.controlplane.cluster.x-k8s.io",
    }
    assert manifest["spec"]["version"] == "v1.33.0"
    assert manifest["metadata"]["name"] == clone_name(cluster(), TEMPLATE) != "c"


@pytest.mark.parametrize(
    ("variable", "given", "value"),
    [
        ("size", [], {"nodes": 3}),
        ("size.nodes", [], 3),
        ("size.nodes", [{"name": "size", "value": {"nodes": 5}}], 5),
        ("builtin.cluster.name", [], "c"),
        ("builtin.controlPlane.version", [], "v1.33.0"),
    ],
)
def test_patches_take_values_from_variables(variable: str, given: list[Any], value: Any) -> None:
    """The Cluster's value, else the class's default, else what core knows itself; a path leads into objects."""
    operation = {**ADD, "valueFrom": {"variable": variable}}
    assert spec_of(cluster(variables=given), cluster_class(operation))["variables"] == value


def test_a_patch_for_another_kind_does_not_apply() -> None:
    """A definition's selector must name the template and the part that it serves."""
    other = {**SELECTOR, "matchResources": {"infrastructureCluster": True}}
    assert "variables" not in spec_of(cluster(), cluster_class({**ADD, "value": {}}, selector=other))


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        ({**ADD, "valueFrom": {"variable": "none"}}, "variable none has no value"),
        ({"op": "replace", "path": "/spec/template/spec/a/b", "value": 1}, "ClusterClass cc, patch p"),
    ],
)
def test_what_makes_no_sense_is_refused(operation: dict[str, Any], words: str) -> None:
    """A variable without value and a path that is not there end the attempt until something is changed."""
    with pytest.raises(TerminalError, match=words):
        spec_of(cluster(), cluster_class(operation))
