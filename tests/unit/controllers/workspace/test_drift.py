"""What CAPT owns of a Workspace is as rendered; what the server or others add is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from capt.controllers.workspace import FLAVOURS, Flavour, spec_difference
from tests.support.chain import MODULE, TERRAFORM, TERRAFORM_NAMESPACED, workspace

BASE: dict[str, Any] = {"forProvider": {"source": "Inline", "module": MODULE, "varmap": {"a": "1"}}}


def provider(**fields: Any) -> dict[str, Any]:
    return {"forProvider": {**BASE["forProvider"], **fields}}


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda flavour: flavour.group)
def test_equal(flavour: Flavour) -> None:
    """A spec does not differ from itself, in any flavour."""
    assert spec_difference(workspace(BASE).spec, BASE, flavour) == {}


@pytest.mark.parametrize(
    "actual",
    [
        provider(inlineFormat="HCL", entrypoint="", enableTerraformCLILogging=False),
        {
            **BASE,
            "deletionPolicy": "Delete",
            "managementPolicies": ["*"],
            "providerConfigRef": {"name": "default"},
        },
        {**BASE, "initProvider": {}, "resourceRef": {"name": "x"}},
        provider(newField="x"),
    ],
)
def test_defaults_and_strangers(actual: dict[str, Any]) -> None:
    """Defaults of the provider's CRD, and fields that CAPT does not know, are no difference."""
    assert spec_difference(workspace(actual).spec, BASE, TERRAFORM) == {}


def test_defaults_in_lists() -> None:
    """A default that the server fills into the item of a list is no difference."""
    reference = {"source": "SecretKey", "secretKeyRef": {"namespace": "a", "name": "b", "key": "c"}}
    desired = provider(varFiles=[reference])
    actual = provider(varFiles=[{**reference, "format": "HCL"}])
    assert spec_difference(workspace(actual).spec, desired, TERRAFORM) == {}


def test_defaults_of_the_namespaced_flavours() -> None:
    """The namespaced flavours fill in the kind of the provider's configuration and have no deletion policy."""
    actual = {**BASE, "providerConfigRef": {"name": "default", "kind": "ClusterProviderConfig"}}
    desired = {**BASE, "providerConfigRef": {"name": "default"}}
    assert spec_difference(workspace(actual).spec, desired, TERRAFORM_NAMESPACED) == {}


@pytest.mark.parametrize(
    ("actual", "desired", "patch"),
    [
        (BASE, provider(module="x"), {"forProvider": {"module": "x"}}),
        (BASE, provider(varmap={"a": "2"}), {"forProvider": {"varmap": {"a": "2"}}}),
        (BASE, provider(varmap={"b": "1"}), {"forProvider": {"varmap": {"a": None, "b": "1"}}}),
        (BASE, provider(varmap={"a": 1}), {"forProvider": {"varmap": {"a": 1}}}),
        (provider(entrypoint="x"), BASE, {"forProvider": {"entrypoint": None}}),
        (provider(planArgs=["-x"]), BASE, {"forProvider": {"planArgs": None}}),
        ({**BASE, "deletionPolicy": "Orphan"}, BASE, {"deletionPolicy": "Delete"}),
        (
            {**BASE, "writeConnectionSecretToRef": {"name": "a", "namespace": "b"}},
            BASE,
            {"writeConnectionSecretToRef": None},
        ),
    ],
)
def test_differences(actual: dict[str, Any], desired: dict[str, Any], patch: dict[str, Any]) -> None:
    """Changed fields are set, fields that are no longer asked for are removed, the rest is not mentioned."""
    assert spec_difference(workspace(actual).spec, desired, TERRAFORM) == patch
