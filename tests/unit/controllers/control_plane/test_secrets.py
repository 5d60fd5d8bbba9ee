from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml

from capt.api import APIEndpoint, CAPTControlPlane, Secret
from capt.controllers.control_plane.kubeconfig import Kubeconfig
from capt.controllers.control_plane.secrets import (
    CreateSecret,
    ForeignSecret,
    KeepSecret,
    ReplaceSecret,
    UpdateSecret,
    Wanted,
    plan_secret,
    wanted_secrets,
)

ENDPOINT = APIEndpoint(host="a.example.com", port=443)
PEM = "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n"
LABEL = {"cluster.x-k8s.io/cluster-name": "blue"}
WANTED = Wanted(name="blue-kubeconfig", data={"value": "new"})
CONTROL_PLANE = CAPTControlPlane.model_validate(
    {
        "metadata": {"name": "blue-x", "namespace": "ns", "uid": "cp-uid"},
        "spec": {"version": "1.31", "workspaceTemplateRef": {"name": "eks"}},
    }
)
OURS = {
    "apiVersion": "controlplane.cluster.x-k8s.io/v1beta1",
    "kind": "CAPTControlPlane",
    "name": "blue-x",
    "uid": "cp-uid",
    "controller": True,
    "blockOwnerDeletion": True,
}
THEIRS = OURS | {"name": "other", "uid": "other-uid"}


def found(
    value: str = "new",
    *owners: dict[str, Any],
    labels: dict[str, str] | None = None,
    kind: str = "cluster.x-k8s.io/secret",
) -> Secret:
    """Return the Secret that is there."""
    return Secret.model_validate(
        {
            "metadata": {
                "name": WANTED.name,
                "namespace": "ns",
                "labels": LABEL if labels is None else labels,
                "ownerReferences": list(owners),
            },
            "type": kind,
            "data": {"value": base64.b64encode(value.encode()).decode()},
        }
    )


def test_a_new_secret_has_the_contracts_type_label_and_owner() -> None:
    """C11: Cluster API selects the Secret by type and label; it goes with its control plane."""
    plan = plan_secret(WANTED, None, CONTROL_PLANE, "blue")

    assert isinstance(plan, CreateSecret)
    assert plan.body == {
        "metadata": {
            "name": "blue-kubeconfig",
            "namespace": "ns",
            "labels": LABEL,
            "ownerReferences": [OURS],
        },
        "type": "cluster.x-k8s.io/secret",
        "data": {"value": base64.b64encode(b"new").decode()},
    }


def test_a_secret_as_wanted_is_left_alone() -> None:
    """No write when nothing differs."""
    assert isinstance(plan_secret(WANTED, found("new", OURS), CONTROL_PLANE, "blue"), KeepSecret)


def test_only_what_differs_is_written() -> None:
    """C12: a renewed credential is one field of a patch; a label that was taken off comes back."""
    plan = plan_secret(WANTED, found("old", OURS), CONTROL_PLANE, "blue")
    assert isinstance(plan, UpdateSecret)
    assert plan.patch == {"data": {"value": base64.b64encode(b"new").decode()}}

    plan = plan_secret(WANTED, found("new", OURS, labels={}), CONTROL_PLANE, "blue")
    assert isinstance(plan, UpdateSecret)
    assert plan.patch == {"metadata": {"labels": LABEL}}


def test_an_orphan_of_the_cluster_is_taken_over() -> None:
    """A Secret with the cluster's label that nobody controls was restored or moved; other owners stay."""
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}

    plan = plan_secret(WANTED, found("new", other), CONTROL_PLANE, "blue")

    assert isinstance(plan, UpdateSecret)
    assert [each["uid"] for each in plan.patch["metadata"]["ownerReferences"]] == ["x", "cp-uid"]


@pytest.mark.parametrize(
    "secret",
    [
        found("new", THEIRS),
        found("new", labels={}),
        found("new", labels={"cluster.x-k8s.io/cluster-name": "red"}),
    ],
    ids=["another-controller", "no-label", "another-cluster"],
)
def test_a_secret_of_somebody_else_is_left_alone(secret: Secret) -> None:
    """B-P21: neither overwritten nor taken over, and named."""
    plan = plan_secret(WANTED, secret, CONTROL_PLANE, "blue")

    assert isinstance(plan, ForeignSecret)
    assert "blue-kubeconfig" in plan.problem


def test_a_secret_of_another_type_is_made_anew() -> None:
    """B-P22: the type of a Secret cannot be changed, so one of the wrong type is replaced."""
    plan = plan_secret(WANTED, found("new", OURS, kind="Opaque"), CONTROL_PLANE, "blue")

    assert isinstance(plan, ReplaceSecret)
    assert plan.body["type"] == "cluster.x-k8s.io/secret"


def test_which_secrets_a_cluster_has() -> None:
    """Authority, kubeconfig for people, kubeconfig for Cluster API; what cannot be made is left out."""

    def names(kubeconfig: Kubeconfig | None, authority: str) -> dict[str, Any]:
        wanted = wanted_secrets(
            "blue", ENDPOINT, kubeconfig, authority, eks_name="eks-blue", region="us-west-2"
        )
        return {each.name: each.data for each in wanted}

    everything = names(Kubeconfig(text="k", expires=True), PEM)
    assert everything["blue-ca"] == {"tls.crt": PEM, "ca.crt": PEM}
    assert everything["blue-kubeconfig"] == {"value": "k"}
    user = yaml.safe_load(everything["blue-user-kubeconfig"]["value"])["users"][0]["user"]
    assert user["exec"]["args"] == [
        *("eks", "get-token", "--cluster-name", "eks-blue", "--region", "us-west-2")
    ]
    assert set(names(None, PEM)) == {"blue-ca", "blue-user-kubeconfig"}
    assert set(names(Kubeconfig(text="k", expires=False), "")) == {"blue-kubeconfig"}


def test_contents_are_never_shown() -> None:
    """A Secret's text is in no log: what holds it does not print it."""
    plans = [
        Wanted(name="a", data={"value": "hidden"}),
        Kubeconfig(text="hidden", expires=True),
        plan_secret(Wanted(name="a", data={"value": "hidden"}), None, CONTROL_PLANE, "blue"),
    ]
    for each in plans:
        assert "hidden" not in repr(each)
        assert base64.b64encode(b"hidden").decode() not in repr(each)
