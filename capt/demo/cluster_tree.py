"""A whole cluster at one moment: Cluster, VPC, control plane, node groups, machines, and the Workspaces behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from capt.api import CAPTCluster, CAPTControlPlane, CaptMachine, Workspace, WorkspaceTemplateApply
from capt.demo.core.unstructured import Unstructured, at
from capt.demo.tree import Row, Tree, is_available, rows, state_of
from capt.runtime import find_condition, is_true


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterTree:
    """Everything that the demo of a cluster looks at, as the API server told it last."""

    clusters: Sequence[Unstructured] = ()
    networks: Sequence[CAPTCluster] = ()
    control_planes: Sequence[CAPTControlPlane] = ()
    applies: Sequence[WorkspaceTemplateApply] = ()
    machines: Tree = field(default_factory=Tree)

    @property
    def empty(self) -> bool:
        """Whether nothing is left."""
        owned = self.clusters or self.networks or self.control_planes or self.applies
        return not owned and self.machines.empty

    @property
    def node_groups(self) -> list[CaptMachine]:
        """The machines that are whole node groups."""
        return [each for each in self.machines.machines if each.spec.node_group_config is not None]

    @property
    def ready(self) -> bool:
        """Whether the Cluster has its endpoint, and VPC and control plane are Ready."""
        return (
            bool(self.clusters and self.networks and self.control_planes)
            and all(at(each.status, "phase") == "Provisioned" for each in self.clusters)
            and all(is_true(each.status.conditions, "Ready") for each in self.networks)
            and all(is_true(each.status.conditions, "Ready") for each in self.control_planes)
        )

    @property
    def workers_ready(self) -> bool:
        """Whether the node groups are Ready, and as many machines beside them as are asked for."""
        groups = self.node_groups
        return (
            bool(groups)
            and all(map(is_available, groups))
            and all(
                each.status.observed_generation == each.metadata.generation
                and each.status.available_replicas == each.spec.replicas
                for each in self.machines.deployments
            )
            and len(self.machines.machines)
            == len(groups) + sum(each.spec.replicas for each in self.machines.deployments)
        )


def cluster_rows(tree: ClusterTree) -> list[Row]:
    """Lay the tree out in reading order: the Cluster, and under it what it is made of."""
    lines = [_cluster_row(each) for each in tree.clusters]
    for network in tree.networks:
        status = network.status
        lines.append(_row(1, "vpc", network, status.vpc_id or ""))
        lines += _workspace_rows(tree, network)
    for control_plane in tree.control_planes:
        detail = f"{control_plane.spec.version}, {control_plane.status.endpoint}"
        lines.append(_row(1, "control plane", control_plane, detail))
        lines += _workspace_rows(tree, control_plane)
    lines += [
        replace(_row(1, "node group", group, group.spec.instance_type or ""), detail=_group(group))
        for group in tree.node_groups
    ]
    lines += [replace(row, depth=row.depth + 1) for row in rows(tree.machines)]
    return lines


def _cluster_row(cluster: Unstructured) -> Row:
    host, port = (at(cluster.spec, "controlPlaneEndpoint", field) for field in ("host", "port"))
    phase = at(cluster.status, "phase") or "New"
    return Row(0, "cluster", cluster.metadata.name, phase, f"{host}:{port}" if host else "no endpoint yet")


def _group(group: CaptMachine) -> str:
    config = group.spec.node_group_config
    if not is_available(group) or config is None or config.scaling is None:
        condition = find_condition(group.status.conditions, "Ready")
        return condition.message if condition else ""
    return f"{config.scaling.desired_size} nodes of {config.instance_type}"


def _row(depth: int, kind: str, obj: Any, detail: str) -> Row:
    state = state_of(obj.metadata, obj.status.conditions)
    condition = find_condition(obj.status.conditions, "Ready")
    if state != "Ready":
        detail = condition.message.splitlines()[0] if condition and condition.message else ""
    return Row(depth, kind, obj.metadata.name, state, detail)


def _workspace_rows(tree: ClusterTree, owner: Any) -> list[Row]:
    names = {
        each.status.workspace_name
        for each in tree.applies
        if (controller := each.metadata.controller) is not None and controller.uid == owner.metadata.uid
    }
    return [_workspace_row(each) for each in tree.machines.workspaces if each.metadata.name in names]


def _workspace_row(workspace: Workspace) -> Row:
    state = state_of(workspace.metadata, workspace.status.conditions)
    return Row(2, "workspace", workspace.metadata.name, state, "")
