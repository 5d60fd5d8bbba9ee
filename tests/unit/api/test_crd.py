from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from capt.api import (
    CLUSTER_EDITIONS,
    KINDS,
    ApiModel,
    ApiObject,
    CAPTCluster,
    CAPTControlPlane,
    CaptMachineDeployment,
    CaptMachineSet,
    ResourceInfo,
    Workspace,
    crd,
)
from capt.api.crd import definition
from hack import generate_crds
from tests.support import project

MOVE_LABEL = "clusterctl.cluster.x-k8s.io/move"
ALL = (*KINDS, Workspace, *CLUSTER_EDITIONS)
RECONCILED = tuple(model for model in (*KINDS, Workspace) if "status" in model.model_fields)


def by(models: tuple[type[ApiObject], ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("model", models, ids=lambda model: model.__name__)


by_kind, by_own_kind, by_reconciled_kind = by(ALL), by(KINDS), by(RECONCILED)


def version(model: type[ApiObject]) -> dict[str, Any]:
    (only,) = definition(model)["spec"]["versions"]
    return only


def root(model: type[ApiObject]) -> dict[str, Any]:
    return version(model)["schema"]["openAPIV3Schema"]


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            yield from nodes(schema[keyword], f"{path}[]")


def test_manifests_are_fresh(capsys):
    """B-K12: The committed CRDs are what the models say; `make crds` writes them."""
    assert generate_crds.main(["--check"]) == 0, capsys.readouterr().err


def test_stale_manifests_are_told_and_rewritten(tmp_path, monkeypatch, capsys):
    """`--check` names each stale file and fails; without it the files are written, once."""
    monkeypatch.setattr(generate_crds, "MANIFESTS", tmp_path / "manifests")

    assert generate_crds.main(["--check"]) == 1
    assert capsys.readouterr().err.count("is stale: run make crds") == len(ALL)
    assert generate_crds.main([]) == 0
    assert capsys.readouterr().out.count("wrote ") == len(ALL)
    assert generate_crds.main([]) == 0
    assert capsys.readouterr().out == ""
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.yaml")} == {
        "manifests/crds/infrastructure.cluster.x-k8s.io_workspacetemplates.yaml",
        "manifests/crds/infrastructure.cluster.x-k8s.io_workspacetemplateapplies.yaml",
        "manifests/crds/infrastructure.cluster.x-k8s.io_captmachines.yaml",
        "manifests/crds/infrastructure.cluster.x-k8s.io_captmachinesets.yaml",
        "manifests/crds/infrastructure.cluster.x-k8s.io_captmachinedeployments.yaml",
        "manifests/crds/infrastructure.cluster.x-k8s.io_captmachinetemplates.yaml",
        "manifests/crds/infrastructure.cluster.x-k8s.io_captclusters.yaml",
        "manifests/crds/infrastructure.cluster.x-k8s.io_captclustertemplates.yaml",
        "manifests/crds/controlplane.cluster.x-k8s.io_captcontrolplanes.yaml",
        "manifests/crds/controlplane.cluster.x-k8s.io_captcontrolplanetemplates.yaml",
        "manifests/crds/controlplane.cluster.x-k8s.io_legacycaptcontrolplanetemplates.yaml",
        "manifests/workspace/tf.upbound.io_workspaces.yaml",
        "manifests/cluster-api/v1beta1/cluster.x-k8s.io_clusters.yaml",
        "manifests/cluster-api/v1beta2/cluster.x-k8s.io_clusters.yaml",
    }


@by_kind
def test_rendered_yaml_says_what_the_definition_says(model):
    """Nothing is lost or changed in type on the way into YAML."""
    assert list(project.yaml_documents(generate_crds.render(model))) == [definition(model)]


@by_kind
def test_schema_is_structural(model):
    """Every field has a type, is an int-or-string or is left open; nothing is nullable, nothing refers elsewhere."""
    untyped = ("x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields")
    for path, schema in nodes(root(model)):
        assert schema.get("type") or any(map(schema.get, untyped)), path
        assert not {"$ref", "nullable", "allOf", "oneOf", "not"} & schema.keys(), path
        if schema.get("type") == "array":
            assert "items" in schema, path
        assert not {"properties", "additionalProperties"} <= schema.keys(), path


@by_kind
def test_every_field_is_described(model):
    """`kubectl explain` has a sentence for every field."""
    undescribed = [
        path
        for path, schema in nodes(root(model))
        if not schema.get("description") and not path.endswith("[]") and path != ".metadata"
    ]
    assert undescribed == []


@by_kind
def test_required_fields_have_no_default_and_defaults_satisfy_their_type(model):
    """A default is there exactly for what may be left out, and is itself a valid value."""
    types = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list}
    for path, schema in nodes(root(model)):
        for name in schema.get("required", ()):
            assert "default" not in schema["properties"][name], f"{path}.{name}"
        if "default" in schema and "type" in schema:
            assert isinstance(schema["default"], types[schema["type"]]), path
        if "default" in schema and "enum" in schema:
            assert schema["default"] in schema["enum"], path


@by_reconciled_kind
def test_status_has_no_defaults(model):
    """In status only what a controller wrote is there."""
    assert [path for path, schema in nodes(root(model)["properties"]["status"]) if "default" in schema] == []


@by_own_kind
def test_every_kind_has_spec_and_age(model):
    """A manifest without spec is refused; status, where there is one, is a subresource; the last column is the age."""
    assert root(model)["required"] == ["spec"]
    assert ("status" in version(model)["subresources"]) == (model in RECONCILED)
    last = version(model)["additionalPrinterColumns"][-1]
    assert (last["name"].lower(), last["type"], last["jsonPath"]) == (
        "age",
        "date",
        ".metadata.creationTimestamp",
    )


@by_reconciled_kind
def test_conditions_merge_by_type(model):
    """Two controllers that write different conditions do not overwrite each other."""
    conditions = root(model)["properties"]["status"]["properties"]["conditions"]

    assert (conditions["x-kubernetes-list-type"], conditions["x-kubernetes-list-map-keys"]) == (
        "map",
        ["type"],
    )
    message = [] if model is Workspace else ["message"]  # Crossplane's providers leave it out
    assert conditions["items"]["required"] == ["type", "status", "reason", *message, "lastTransitionTime"]


@by_kind
def test_what_columns_show_exists(model):
    """No column looks at a field that the schema does not have."""
    for column in version(model)["additionalPrinterColumns"]:
        schema = root(model)
        for part in column["jsonPath"].split("[")[0].strip(".").split("."):
            if part == "metadata":
                break
            schema = schema["properties"][part]


@by_own_kind
def test_cluster_api_finds_the_kind(model):
    """B-K02, A3, A5, A14: Labels name the contract versions, and `kubectl get cluster-api` lists the kind."""
    generated = definition(model)

    assert generated["metadata"]["labels"].items() >= {
        ("cluster.x-k8s.io/v1beta1", "v1beta1"),
        ("cluster.x-k8s.io/v1beta2", "v1beta1"),
    }
    assert {"cluster-api", "capt"} <= set(generated["spec"]["names"]["categories"])
    assert generated["spec"]["scope"] == "Namespaced"
    assert generated["spec"]["names"]["listKind"] == f"{model.RESOURCE.kind}List"
    if model in RECONCILED:
        assert "observedGeneration" in root(model)["properties"]["status"]["properties"]


def test_short_names():
    """Each kind has a short name of its own; the original's `wtapply` is kept."""
    assert [model.RESOURCE.short_names for model in KINDS] == [
        ("wtemplate",),
        ("wtapply",),
        ("captm",),
        ("captms",),
        ("captmd",),
        ("captmt",),
        ("captc",),
        ("captct",),
        ("captcp",),
        ("captcpt",),
        (),
    ]


def test_columns_of_clusters_and_control_planes_are_those_of_seed_003():
    """`kubectl get captcluster` and `kubectl get captcontrolplane` print what seed 003 shows, to the letter."""

    def shown(model: type[ApiObject]) -> list[str]:
        columns = version(model)["additionalPrinterColumns"]
        return [column["name"] for column in columns if not column.get("priority")]

    assert shown(CAPTCluster) == ["VPC-ID", "READY", "ENDPOINT", "AGE"]
    assert shown(CAPTControlPlane) == ["READY", "PHASE", "VERSION", "ENDPOINT", "AGE"]


def test_templates_move_with_the_clusters_of_their_namespace():
    """F12, B-K24: `clusterctl move` follows owners; only templates, which cause nothing, go along by a label of their kind.

    Machines must not: they would arrive before the Cluster, and would not stand still under its pause.
    """
    labels = {model.RESOURCE.kind: definition(model)["metadata"]["labels"] for model in KINDS}

    assert [kind for kind in labels if MOVE_LABEL in labels[kind]] == ["WorkspaceTemplate"]
    assert not [kind for kind in labels if f"{MOVE_LABEL}-hierarchy" in labels[kind]]


def test_kinds_lie_where_cluster_api_looks_for_them():
    """A4, B-T01: the CRD is named after the kind, lower-case plural and group; only the original's spelling cannot be."""
    off = [model for model in KINDS if model.RESOURCE.plural.removesuffix("s") != model.RESOURCE.kind.lower()]

    assert [model.__name__ for model in off] == ["WorkspaceTemplateApply", "CaptControlPlaneTemplate"]
    assert (
        "clusterctl.cluster.x-k8s.io/skip-crd-name-preflight-check"
        in definition(off[1])["metadata"]["annotations"]
    )


def test_one_definition_of_cluster_serves_one_version():
    """Serving both versions takes Cluster API's conversion; without it one of them would lose fields."""
    served = [[each["name"] for each in definition(model)["spec"]["versions"]] for model in CLUSTER_EDITIONS]

    assert served == [["v1beta2"], ["v1beta1"]]


@by((CaptMachineSet, CaptMachineDeployment))
def test_scale_has_a_selector(model):
    """B-M30: `kubectl scale` and the horizontal autoscaler find replicas and selector."""
    assert version(model)["subresources"]["scale"] == {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }


def test_server_side_defaults_of_a_deployment():
    """The defaults that the Go original promised in comments are in the schema."""
    spec = root(CaptMachineDeployment)["properties"]["spec"]["properties"]

    assert {name: field["default"] for name, field in spec.items() if "default" in field} == {
        "replicas": 1,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "minReadySeconds": 0,
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
        "paused": False,
    }
    assert "default" not in spec["strategy"]["properties"]["rollingUpdate"]


def test_a_type_that_a_structural_schema_cannot_say_is_refused():
    """A model with such a field fails when its CRD is generated, not when a server reads it."""

    class Odd(ApiModel):
        union: int | bool

    class OddKind(ApiObject):
        RESOURCE: ClassVar[ResourceInfo] = ResourceInfo(
            group="g", version="v1", kind="OddKind", plural="oddkinds"
        )

        spec: Odd
        status: Odd

    with pytest.raises(TypeError, match="a structural schema cannot say"):
        definition(OddKind)


def test_bytecode_without_source_gives_the_same_schema_without_descriptions_of_fields(monkeypatch):
    """An installation without source files validates exactly as one with them."""

    def without_descriptions(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: without_descriptions(item)
                for key, item in value.items()
                if not (key == "description" and isinstance(item, str))
            }
        return [without_descriptions(item) for item in value] if isinstance(value, list) else value

    complete = definition(CaptMachineDeployment)

    def no_source(_):
        raise OSError("could not get source code")

    monkeypatch.setattr(inspect, "getsource", no_source)
    crd._module_docstrings.cache_clear()
    try:
        assert without_descriptions(definition(CaptMachineDeployment)) == without_descriptions(complete)
    finally:
        crd._module_docstrings.cache_clear()
