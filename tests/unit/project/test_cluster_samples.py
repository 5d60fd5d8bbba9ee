"""The samples of a whole cluster: two editions of templates, and the objects that use them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml

from capt.api import KINDS
from capt.api.external import Cluster, ClusterV1Beta1
from tests.support import project

SAMPLES = project.ROOT / "manifests" / "samples" / "cluster"
MODELS: dict[tuple[str, str], Any] = {
    (model.RESOURCE.api_version, model.RESOURCE.kind): model for model in (*KINDS, Cluster, ClusterV1Beta1)
}
TEMPLATES = sorted(path.name for path in (SAMPLES / "local").glob("*.yaml"))


def documents(*folders: str) -> Iterator[dict[str, Any]]:
    for folder in folders:
        for path in sorted((SAMPLES / folder).glob("*.yaml")):
            yield from yaml.safe_load_all(path.read_text(encoding="utf-8"))


def template(edition: str, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((SAMPLES / edition / name).read_text(encoding="utf-8"))
    return loaded


def module(edition: str, name: str) -> dict[str, Any]:
    text = template(edition, name)["spec"]["template"]["spec"]["forProvider"]["module"]
    parsed: dict[str, Any] = hcl2.loads(text)
    return parsed


def named(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: body for block in blocks for name, body in block.items()}


def test_both_editions_have_the_same_templates() -> None:
    """A template of the local edition stands for one of the AWS edition, under the same name."""
    assert sorted(path.name for path in (SAMPLES / "aws").glob("*.yaml")) == TEMPLATES
    for name in TEMPLATES:
        assert template("aws", name)["metadata"] == template("local", name)["metadata"]


@pytest.mark.parametrize("name", TEMPLATES)
def test_both_editions_take_the_same_variables(name: str) -> None:
    """Names, types and defaults of variables are equal, so that what works with one edition works with the other."""
    aws, local = (named(module(edition, name).get("variable", [])) for edition in ("aws", "local"))
    assert aws == local


@pytest.mark.parametrize("name", TEMPLATES)
def test_both_editions_put_out_the_same(name: str) -> None:
    """Outputs have the same names, and the same ones are sensitive."""
    aws, local = (
        {
            output: bool(body.get("sensitive"))
            for output, body in named(module(edition, name)["output"]).items()
        }
        for edition in ("aws", "local")
    )
    assert aws == local


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_local_edition_needs_nobody(name: str) -> None:
    """No provider, module or data source: Terraform makes everything of terraform_data."""
    parsed = module("local", name)
    assert parsed.keys() <= {"variable", "locals", "resource", "output"}
    assert {kind.strip('"') for block in parsed["resource"] for kind in block} == {"terraform_data"}


def test_the_aws_edition_is_of_the_seeds_modules() -> None:
    """VPC, EKS and node groups are those of terraform-aws-modules, by their names in Terraform's registry (seed 001)."""
    sources = {
        block["source"].strip('"')
        for name in TEMPLATES
        for block in named(module("aws", name).get("module", [])).values()
    }
    assert sources == {
        "terraform-aws-modules/vpc/aws",
        "terraform-aws-modules/eks/aws",
        "terraform-aws-modules/eks/aws//modules/eks-managed-node-group",
        "terraform-aws-modules/eks/aws//modules/fargate-profile",
    }


def test_objects_are_valid_and_name_templates_that_there_are() -> None:
    """B-K09, B-K21: Our models read every object, and every template reference leads to a template of the samples."""
    names = {document["metadata"]["name"] for document in documents("local")}
    for document in documents("local", "aws", "v1beta1", "v1beta2", "workers", "class"):
        if document["kind"] == "ClusterClass":
            continue
        MODELS[document["apiVersion"], document["kind"]].model_validate(document)
        assert set(_template_references(document)) <= names


def _template_references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for field, item in value.items():
            if field.endswith("TemplateRef"):
                yield item["name"]
            else:
                yield from _template_references(item)


def test_a_node_stands_in_a_subnet_of_its_group() -> None:
    """Seed 000: the sample of a node looks its group up by its name and its cluster's, and takes a subnet of it."""
    node = module("aws", "04-node.yaml")
    (group,) = (
        kind["aws_eks_node_group"] for kind in map(_bare, node["data"]) if "aws_eks_node_group" in kind
    )
    (machine,) = (kind["aws_instance"] for kind in map(_bare, node["resource"]) if "aws_instance" in kind)
    target, instance = _bare(group)["target"], _bare(machine)["machine"]
    assert (target["cluster_name"], target["node_group_name"]) == ("${var.cluster_name}", "${var.node_group}")
    assert "data.aws_eks_node_group.target.subnet_ids" in instance["subnet_id"]
    assert instance["instance_type"] == "${var.instance_type}"


def _bare(block: dict[str, Any]) -> dict[str, Any]:
    """Return a block without the quotes that the parser leaves around labels."""
    return {name.strip('"'): body for name, body in block.items()}


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_run_nothing_but_terraform(name: str) -> None:
    """B-P23, B-K22: no template asks for a program in the provider's pod, or escapes what needs no escape."""
    for edition in ("aws", "local"):
        text = template(edition, name)["spec"]["template"]["spec"]["forProvider"]["module"]
        assert not any(words in text for words in ("local-exec", "remote-exec", 'data "external"', "$${"))


def test_versions_of_cluster_differ_in_the_cluster_only() -> None:
    """The same CAPTCluster and CAPTControlPlane serve both versions of Cluster API."""
    old, new = (list(documents(version))[1:] for version in ("v1beta1", "v1beta2"))
    assert old == new


def test_folders_hold_manifests_only() -> None:
    """B-K13: `kubectl apply -f` takes each folder as it is."""
    folders = {"aws", "local", "v1beta1", "v1beta2", "workers", "class"}
    assert {path.relative_to(SAMPLES).parts[0] for path in SAMPLES.rglob("*") if path.is_file()} == folders
    assert all(Path(path).suffix == ".yaml" for path in SAMPLES.rglob("*") if path.is_file())
