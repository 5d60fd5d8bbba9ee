"""A template, its applies and their Workspaces on an API server: what is made, and what a user waits for."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from capt import controllers
from capt.api import Workspace, WorkspaceTemplateApply
from capt.controllers import names
from capt.controllers.kinds import APPLY
from capt.runtime import Clock, Manager
from capt.runtime.conditions import find_condition
from tests.support.cluster import NAMESPACE, Cluster
from tests.support.neutral_provider import WORKSPACE
from tests.support.running import QUIET, running

CHAIN = frozenset({"workspacetemplate", "workspacetemplateapply"})
MODULE = """
variable "size" { default = "" }
variable "list" { default = [] }
variable "extra" { default = "" }
output "size" { value = var.size }
"""


@contextlib.asynccontextmanager
async def chain(cluster: Cluster, *, clock: Clock | None = None) -> AsyncIterator[Manager]:
    manager = Manager(cluster.manager_config, QUIET, clock=clock)
    controllers.add_to(manager, enabled=CHAIN, cross_namespace=False)
    async with running(manager):
        yield manager


def template(module: str = MODULE, name: str = "small") -> dict[str, Any]:
    return {
        "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1",
        "kind": "WorkspaceTemplate",
        "metadata": {"name": name},
        "spec": {"template": {"spec": {"forProvider": {"source": "Inline", "module": module}}}},
    }


def apply_of(name: str = "one", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1",
        "kind": "WorkspaceTemplateApply",
        "metadata": {"name": name},
        "spec": {"templateRef": {"name": "small"}, **spec},
    }


def workspace_of(name: str = "one") -> str:
    return names.workspace_name(NAMESPACE, name)


async def get(cluster: Cluster, name: str = "one") -> WorkspaceTemplateApply | None:
    return await cluster.observer.client.get(APPLY, NAMESPACE, name)


async def get_workspace(cluster: Cluster, name: str = "one") -> Workspace | None:
    return await cluster.observer.client.get(WORKSPACE, "", workspace_of(name))


def reason(apply: WorkspaceTemplateApply) -> str:
    """Return the reason of Ready, for the generation that there is; empty while that is not known."""
    ready = find_condition(apply.status.conditions, "Ready")
    if ready is None or apply.status.observed_generation != apply.metadata.generation:
        return ""
    return ready.reason


async def until_reason(cluster: Cluster, expected: str, name: str = "one") -> WorkspaceTemplateApply:
    found: WorkspaceTemplateApply = await cluster.observer.met(
        APPLY, name, lambda apply: reason(apply) == expected
    )
    return found


async def until_output(cluster: Cluster, value: Any) -> WorkspaceTemplateApply:
    found: WorkspaceTemplateApply = await cluster.observer.met(
        APPLY,
        "one",
        lambda apply: apply.status.outputs.get("size") == value and reason(apply) == "Available",
    )
    return found


async def until_gone(cluster: Cluster, name: str = "one") -> None:
    async def gone() -> bool:
        return await get(cluster, name) is None

    await cluster.observer.until(gone)


async def patch(cluster: Cluster, spec: dict[str, Any], name: str = "one") -> None:
    await cluster.client.patch(APPLY, NAMESPACE, name, {"spec": spec})


async def message(cluster: Cluster, name: str = "one") -> str:
    apply = await get(cluster, name)
    ready = find_condition(apply.status.conditions, "Ready") if apply else None
    return ready.message if ready else ""
