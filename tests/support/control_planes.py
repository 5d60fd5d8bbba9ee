"""A Cluster with a control plane, the managers that make it, and what tests look at."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from capt import controllers, terraform
from capt.api import CAPTControlPlane, Secret
from capt.controllers.kinds import (
    CAPT_CLUSTER,
    CAPT_CONTROL_PLANE,
    SECRET,
    TEMPLATE,
)
from capt.demo.core import Edition, EditionName
from capt.runtime import Clock, Manager, Transport, find_condition
from tests.support.cluster import NAMESPACE, QUIET, Cluster
from tests.support.core import capt_cluster_body, cluster_body, core

NAME = "prod"
HOST = "0123456789abcdef.gr7.us-west-2.eks.amazonaws.com"
PEM = "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n"
CA = base64.b64encode(PEM.encode()).decode()
ENABLED = frozenset({"captcontrolplane", "workspacetemplate", "workspacetemplateapply"})

INPUTS = "\n".join(
    f'variable "{name}" {{\n  type = any\n  default = null\n}}'
    for name in (
        *("cluster_name", "kubernetes_version", "region", "vpc_id", "private_subnets", "tags", "addons"),
        *("endpoint_public_access", "endpoint_private_access", "endpoint_public_access_cidrs"),
    )
)


def module(*, token: str = "t0ken", endpoint: str = f"https://{HOST}", **outputs: str) -> str:
    """Return a module with the outputs of EKS's; a keyword with an empty text takes the output out."""
    texts = {
        "cluster_endpoint": f'"{endpoint}"' if endpoint else "",
        "cluster_version": "var.kubernetes_version",
        "public": "var.endpoint_public_access",
        "cidrs": "var.endpoint_public_access_cidrs",
        "vpc": "var.vpc_id",
    } | outputs
    secret = {"cluster_certificate_authority_data": f'"{CA}"', "token": f'"{token}"' if token else ""}
    shown = [f'output "{name}" {{\n  value = {text}\n}}' for name, text in texts.items() if text]
    hidden = [
        f'output "{name}" {{\n  value = {text}\n  sensitive = true\n}}'
        for name, text in secret.items()
        if text
    ]
    return "\n".join([INPUTS, 'resource "terraform_data" "eks" {}', *shown, *hidden])


def template_body(text: str, name: str = "eks") -> dict[str, Any]:
    """Return a WorkspaceTemplate."""
    for_provider = {"source": "Inline", "module": text}
    return {
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"template": {"spec": {"forProvider": for_provider}}},
    }


def control_plane_body(**spec: Any) -> dict[str, Any]:
    """Return a CAPTControlPlane."""
    config = {"region": "us-west-2"}
    wanted = {"version": "v1.31.2", "workspaceTemplateRef": {"name": "eks"}, "controlPlaneConfig": config}
    return {"metadata": {"name": NAME, "namespace": NAMESPACE}, "spec": wanted | spec}


@dataclass(slots=True)
class World:
    """A cluster with the stand-in for Cluster API core.

    Attributes:
        cluster: The API server and its clients.
        edition: The version of Cluster API.
    """

    cluster: Cluster
    edition: Edition

    async def create(self, *, text: str | None = None, vpc_ready: bool = True, **spec: Any) -> None:
        """Create a template, a CAPTCluster, a control plane and their Cluster."""
        client = self.cluster.client
        if text != "":
            await client.create(TEMPLATE, template_body(text or module()))
        await client.create(CAPT_CLUSTER, capt_cluster_body(NAME))
        if vpc_ready:
            await self.make_vpc_ready()
        await client.create(CAPT_CONTROL_PLANE, control_plane_body(**spec))
        await client.create(self.edition.cluster, cluster_body(self.edition, NAME))

    async def make_vpc_ready(self, **status: Any) -> None:
        """Write the status of a CAPTCluster whose VPC is there."""
        wanted = {
            "ready": True,
            "vpcId": "vpc-0123",
            "outputs": {"private_subnets": ["subnet-1", "subnet-2"]},
        }
        await self.cluster.client.patch(
            CAPT_CLUSTER, NAMESPACE, NAME, {"status": wanted | status}, subresource="status"
        )

    @contextlib.asynccontextmanager
    async def manager(
        self,
        *,
        clock: Clock | None = None,
        transport: Transport | None = None,
        simulation: terraform.Simulation | None = None,
        engine: bool = True,
    ) -> AsyncIterator[Manager]:
        """Run the control plane's controller and what it stands on until the block ends."""
        manager = Manager(self.cluster.manager_config, QUIET, transport=transport, clock=clock)
        controllers.add_to(manager, enabled=ENABLED)
        if engine:
            terraform.add_to(
                manager, engine="simulated", data_dir=self.cluster.data_dir, simulation=simulation
            )
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(manager.run(stop), name="manager")
            try:
                yield manager
            finally:
                stop.set()

    async def until(self, reached: Callable[[CAPTControlPlane], bool]) -> CAPTControlPlane:
        """Wait until the control plane is as wanted, be it for an instant, and return it as it was then.

        Raises:
            TimeoutError: It did not come to that; the message shows its status.
        """
        try:
            return await self.cluster.observer.met(CAPT_CONTROL_PLANE, NAME, reached)
        except TimeoutError as error:
            found = await self.cluster.client.get_live(CAPT_CONTROL_PLANE, NAMESPACE, NAME)
            status = found.status.model_dump(mode="json", exclude_none=True) if found is not None else None
            raise TimeoutError(f"{error}\nCAPTControlPlane: {status}") from None

    async def phase(self, phase: str, reason: str = "") -> CAPTControlPlane:
        """Wait for a phase, and the reason of the condition Ready, of the current generation."""
        return await self.until(
            lambda each: (
                each.status.phase == phase
                and (not reason or reason_of(each) == reason)
                and each.status.observed_generation == each.metadata.generation
            )
        )

    async def parent(self) -> dict[str, Any]:
        """Return the Cluster as JSON."""
        cluster = await self.cluster.client.get_live(self.edition.cluster, NAMESPACE, NAME)
        assert cluster is not None
        return cluster.model_dump(mode="json", by_alias=True, exclude_none=True)

    async def parent_until(self, reached: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until the Cluster, which hears of everything a moment later, is as wanted.

        Raises:
            TimeoutError: It did not come to that; the message shows its status.
        """

        async def look() -> bool:
            return reached(await self.parent())

        try:
            await self.cluster.observer.until(look)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\nCluster: {(await self.parent()).get('status')}") from None

    async def secret(self, name: str) -> Secret | None:
        """Return a Secret."""
        return await self.cluster.client.get_live(SECRET, NAMESPACE, name)


def condition_of(control_plane: CAPTControlPlane, kind: str) -> str:
    """Return the status of a condition; "" when there is none."""
    condition = find_condition(control_plane.status.conditions, kind)
    return condition.status if condition is not None else ""


def reason_of(control_plane: CAPTControlPlane, kind: str = "Ready") -> str:
    """Return the reason of a condition; "" when there is none."""
    condition = find_condition(control_plane.status.conditions, kind)
    return condition.reason if condition is not None else ""


def message_of(control_plane: CAPTControlPlane, kind: str = "Ready") -> str:
    """Return the message of a condition; "" when there is none."""
    condition = find_condition(control_plane.status.conditions, kind)
    return condition.message if condition is not None else ""


@contextlib.asynccontextmanager
async def world(
    cluster: Cluster, edition: EditionName, *, clock: Clock | None = None
) -> AsyncIterator[World]:
    """Run the stand-in for Cluster API core until the block ends."""
    async with core(cluster, edition, clock=clock) as found:
        yield World(cluster, found)
