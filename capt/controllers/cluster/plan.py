"""What a CAPTCluster does about the WorkspaceTemplateApply of its VPC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from capt.api import CAPTCluster, WorkspaceTemplateApply
from capt.controllers import names
from capt.controllers.child_apply import Create, Keep, Update, bring_up_to_date
from capt.controllers.kinds import CAPT_CLUSTER
from capt.controllers.manifest import to_manifest
from capt.controllers.parent_cluster import Parent
from capt.runtime.owners import controller_reference, is_controlled_by

_OWNED_FIELDS = (
    "templateRef",
    "variables",
    "values",
    "writeConnectionSecretToRef",
    "retainWorkspaceOnDelete",
    "optionalVariables",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A CAPTCluster and what it depends on, at one moment.

    Attributes:
        cluster: The CAPTCluster; not being deleted.
        parent: The Cluster that owns it.
        apply: The WorkspaceTemplateApply under the name that its own has; None when there is none.
        secret: What the connection secret of the VPC says, as text; empty where nobody has looked.
        now: The time.
    """

    cluster: CAPTCluster
    parent: Parent
    apply: WorkspaceTemplateApply | None
    secret: Mapping[str, str]
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Why nothing can be written.

    Attributes:
        reason: One CamelCase word for programs.
        message: The same for people, with what to do.
        terminal: Whether somebody has to do something about it.
    """

    reason: str
    message: str
    terminal: bool


Plan = Create | Update | Keep | Blocked


def plan_vpc(seen: Observation) -> Plan:
    """Decide what to do about the WorkspaceTemplateApply; an existing VPC that is not looked up needs none."""
    cluster, apply = seen.cluster, seen.apply
    if cluster.spec.template_ref is None:
        return Keep()
    if apply is None:
        return Create(body=_new_apply(cluster, seen.parent))
    if not is_controlled_by(apply, cluster):
        return Blocked(
            reason="ApplyConflict",
            message=f"WorkspaceTemplateApply {apply.metadata.name} exists and does not belong to this CAPTCluster: "
            "delete it, or give the CAPTCluster another name",
            terminal=True,
        )
    if apply.metadata.deletion_timestamp is not None:
        return Blocked(
            reason="VPCDeleting",
            message=f"WorkspaceTemplateApply {apply.metadata.name} is being deleted; it is made again when it is gone",
            terminal=False,
        )
    return bring_up_to_date(
        apply, labels=_labels(seen.parent), spec=_wanted_spec(cluster, seen.parent), owned=_OWNED_FIELDS
    )


def retention(cluster: CAPTCluster, apply: WorkspaceTemplateApply) -> dict[str, Any]:
    """Return the patch that makes the apply keep or destroy the VPC as the CAPTCluster says; empty when it does.

    It has to be there before the CAPTCluster goes: the garbage collector deletes the apply as soon as its owner is gone
    (B-C01 of the Go original, which destroyed what it was told to keep).
    """
    wanted = cluster.spec.retain_vpc_on_delete
    if apply.spec.retain_workspace_on_delete == wanted:
        return {}
    return {"spec": {"retainWorkspaceOnDelete": wanted}}


def vpc_name(cluster: CAPTCluster) -> str:
    """Return the name of the VPC."""
    config = cluster.spec.vpc_config
    return (config.name if config is not None else None) or f"{cluster.metadata.name}-vpc"


def _new_apply(cluster: CAPTCluster, parent: Parent) -> dict[str, Any]:
    return {
        "metadata": {
            "name": names.vpc_apply_name(cluster.metadata.name),
            "namespace": cluster.metadata.namespace,
            "finalizers": [names.APPLY_FINALIZER],
            "labels": _labels(parent),
            "ownerReferences": [controller_reference(CAPT_CLUSTER, cluster)],
        },
        "spec": _wanted_spec(cluster, parent),
    }


def _wanted_spec(cluster: CAPTCluster, parent: Parent) -> dict[str, Any]:
    spec = cluster.spec
    own = {"cluster_name": parent.name, "region": spec.region}
    if spec.existing_vpc_id is None:
        own["vpc_name"] = vpc_name(cluster)
    # which VPC is looked up is no choice of the variables: a module that does not take it looks up another
    asked = {"vpc_id": spec.existing_vpc_id} if spec.existing_vpc_id is not None else {}
    variables = {**own, **spec.variables, **asked}
    values = {name: value for name, value in spec.values.items() if name not in asked}
    wanted: dict[str, Any] = {
        "templateRef": to_manifest(spec.template_ref) if spec.template_ref else {},
        "variables": {name: value for name, value in variables.items() if name not in values},
        "writeConnectionSecretToRef": {"name": names.vpc_secret_name(cluster.metadata.name)},
        "retainWorkspaceOnDelete": spec.retain_vpc_on_delete,
        # a module need not declare what nobody asked for
        "optionalVariables": sorted(own.keys() - spec.variables.keys() - values.keys()),
    }
    if values:
        wanted["values"] = values
    return wanted


def _labels(parent: Parent) -> dict[str, str]:
    return {names.CLUSTER_NAME_LABEL: names.label_value(parent.name)}
