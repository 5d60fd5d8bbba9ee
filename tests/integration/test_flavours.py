"""Every flavour of Workspace, from the template that asks for it to Terraform and back, as a manager with its rights."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from capt.api import Workspace
from capt.assets import manifests
from capt.controllers.kinds import APPLY, WORKSPACE_FLAVOURS
from capt.controllers.workspace import WORKSPACE_GROUP_ANNOTATION
from capt.install import definitions, install_definitions
from capt.runtime import Kind, SystemClock
from capt.terraform.kinds import CONFIG_MAP
from tests.support.cluster import NAMESPACE, Cluster
from tests.support.workspace_chain import apply_of, patch, template, until_output, workspace_of

MODULE = """
variable "size" { type = string }
variable "region" { type = string }
output "size" { value = "${var.size} in ${var.region}" }
"""
FILE = "tfvars"


@pytest.fixture(params=WORKSPACE_FLAVOURS, ids=[kind.resource.group for kind in WORKSPACE_FLAVOURS])
async def flavour(cluster: Cluster, request: pytest.FixtureRequest) -> AsyncIterator[Kind[Workspace]]:
    """A flavour that is served, and watched by the test's observer; beside it lies a ConfigMap of variables."""
    kind: Kind[Workspace] = request.param
    (definition,) = definitions(manifests() / "workspace")
    definition["metadata"]["name"] = str(kind.resource)
    scope = "Namespaced" if kind.resource.namespaced else "Cluster"
    definition["spec"] |= {"group": kind.resource.group, "scope": scope}
    await install_definitions(cluster.client, [definition], SystemClock())
    heard = partial(cluster.observer.on_event, kind)
    handle = await cluster.observer.informers.watch(kind, heard)
    await handle.wait_synced()
    metadata = {"name": FILE, "namespace": NAMESPACE}
    await cluster.client.create(CONFIG_MAP, {"metadata": metadata, "data": {FILE: 'region = "north"\n'}})
    async with contextlib.AsyncExitStack() as left:
        left.push_async_callback(handle.close)
        left.push_async_callback(cluster.client.delete, CONFIG_MAP, NAMESPACE, FILE)
        yield kind


def asking_for(kind: Kind[Workspace]) -> dict[str, Any]:
    """Return a template that asks for a flavour and takes a variable from the ConfigMap."""
    reference = {"name": FILE, "key": FILE}
    if not kind.resource.namespaced:
        reference["namespace"] = NAMESPACE
    document = template(MODULE)
    document["metadata"]["annotations"] = {WORKSPACE_GROUP_ANNOTATION: kind.resource.group}
    document["spec"]["template"]["spec"]["forProvider"]["varFiles"] = [
        {"source": "ConfigMapKey", "configMapKeyRef": reference}
    ]
    return document


async def test_a_flavour_from_beginning_to_end(cluster: Cluster, flavour: Kind[Workspace]) -> None:
    """Whichever flavour a template asks for: applied, changed in place, and destroyed with its apply."""
    namespace = NAMESPACE if flavour.resource.namespaced else ""
    async with cluster.manager():
        await cluster.apply(asking_for(flavour), apply_of(variables={"size": "small"}))
        await until_output(cluster, "small in north")
        before = await cluster.client.get_live(flavour, namespace, workspace_of())
        assert before is not None
        await patch(cluster, {"variables": {"size": "large"}})
        await until_output(cluster, "large in north")
        after = await cluster.client.get_live(flavour, namespace, workspace_of())
        assert after is not None
        assert after.metadata.uid == before.metadata.uid
        await cluster.client.delete(APPLY, NAMESPACE, "one")
        await cluster.observer.gone(APPLY, flavour)
