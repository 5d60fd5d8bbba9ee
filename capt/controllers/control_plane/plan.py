"""What a control plane does about its WorkspaceTemplateApplies, and how far they are.

One makes the control plane. Up to three more are optional: a kubeconfig, Fargate profiles, and the role for
EC2 Spot, which belongs to the account: it has no owner, is made once and is never destroyed with a cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from capt.api import CAPTControlPlane, ObjectReference, WorkspaceTemplateApply
from capt.controllers import names
from capt.controllers.child_apply import NEEDS_PERSON, Create, Keep, Update, bring_up_to_date
from capt.controllers.control_plane import naming
from capt.controllers.control_plane.phases import Obstacle, Progress, Work
from capt.controllers.control_plane.variables import Variables
from capt.controllers.kinds import CAPT_CONTROL_PLANE
from capt.controllers.manifest import to_manifest
from capt.runtime.conditions import find_condition
from capt.runtime.owners import controller_reference, is_controlled_by

_OWNED_FIELDS: Final = (
    *("templateRef", "variables", "values", "optionalVariables"),
    "writeConnectionSecretToRef",
)

_UNDER_WAY: Final = "Applying"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A WorkspaceTemplateApply that a control plane wants.

    Attributes:
        name: Its name.
        template: The WorkspaceTemplate.
        inputs: Terraform variables.
        secret: Name of the Secret for its outputs; empty for none.
        shared: Whether it belongs to nobody in particular, and outlives every cluster.
    """

    name: str
    template: ObjectReference
    inputs: Variables
    secret: str = ""
    shared: bool = False


Plan = Create | Update | Keep | Obstacle


def plan_apply(wish: Wish, found: WorkspaceTemplateApply | None, control_plane: CAPTControlPlane) -> Plan:
    """Decide what to do about a WorkspaceTemplateApply.

    Args:
        wish: What is wanted.
        found: What there is under its name.
        control_plane: Who wants it.
    """
    if found is None:
        return Create(body=_new_apply(wish, control_plane))
    if wish.shared:
        # the first to come has made it; to change it would be to fight with the next
        return Keep()
    if not is_controlled_by(found, control_plane):
        message = f"WorkspaceTemplateApply {wish.name} exists and does not belong to this control plane"
        return Obstacle(reason="ApplyConflict", message=message, needs_person=True)
    if found.metadata.deletion_timestamp is not None:
        message = f"WorkspaceTemplateApply {wish.name} is being deleted; it is made again when it is gone"
        return Obstacle(reason="WorkspaceDeleting", message=message)
    return bring_up_to_date(
        found, labels=_labels(control_plane), spec=_spec(wish, control_plane), owned=_OWNED_FIELDS
    )


def progress(apply: WorkspaceTemplateApply, held: str) -> Progress:
    """Return how far an apply is with what is wanted of it.

    Args:
        apply: The apply, after it was changed.
        held: What keeps it from being changed for the time being, for people; empty when it is as wanted.
    """
    since = apply.metadata.creation_timestamp
    if since is None:
        raise ValueError("an apply that was stored has a creation time")
    workspace = names.workspace_name(apply.metadata.namespace or "", apply.metadata.name)
    conditions = apply.status.conditions
    ready, synced = find_condition(conditions, "Ready"), find_condition(conditions, "Synced")
    under_way = Progress(
        work=Work.APPLYING,
        reason="WaitingForWorkspace",
        message=held or f"waits for Terraform to apply Workspace {workspace}",
        since=since,
    )
    seen = apply.status.observed_generation == apply.metadata.generation
    if held or not seen or ready is None or ready.reason == _UNDER_WAY:
        return under_way
    if ready.status == "True":
        # Unknown: its template cannot be read now, so nothing says that what stands is not what is wanted
        if synced is None or synced.status == "False":
            return under_way
        return Progress(
            work=Work.DONE,
            reason="Ready",
            message=f"Workspace {workspace} is ready",
            since=since,
            done_since=ready.last_transition_time,
        )
    # the Go original's word for it
    reason = "WorkspaceTemplateNotFound" if ready.reason == "TemplateNotFound" else ready.reason
    work = Work.FAILED if ready.reason in NEEDS_PERSON else Work.WAITING
    return Progress(work=work, reason=reason, message=ready.message, since=since)


def control_plane_wish(control_plane: CAPTControlPlane, inputs: Variables) -> Wish:
    """Return the apply that makes the control plane itself."""
    name = control_plane.metadata.name
    return Wish(
        name=names.control_plane_apply_name(name),
        template=control_plane.spec.workspace_template_ref,
        inputs=inputs,
        secret=names.control_plane_secret_name(name),
    )


def kubeconfig_wish(
    control_plane: CAPTControlPlane, inputs: Variables, outputs: Mapping[str, Any]
) -> Wish | None:
    """Return the apply that makes the kubeconfig of a control plane that stands; None when none is asked for."""
    template, name = control_plane.spec.kubeconfig_template_ref, control_plane.metadata.name
    if template is None:
        return None
    return Wish(
        name=naming.kubeconfig_apply_name(name),
        template=template,
        inputs=_with_outputs(inputs, outputs),
        secret=naming.kubeconfig_connection_secret_name(name),
    )


def fargate_wish(
    control_plane: CAPTControlPlane, inputs: Variables, outputs: Mapping[str, Any]
) -> Wish | None:
    """Return the apply that makes Fargate profiles on a control plane that stands; None when none is asked for."""
    template = control_plane.spec.fargate_template_ref
    if template is None:
        return None
    name = naming.fargate_apply_name(control_plane.metadata.name)
    return Wish(name=name, template=template, inputs=_with_outputs(inputs, outputs))


def spot_role_wish(control_plane: CAPTControlPlane) -> Wish | None:
    """Return the apply that makes the account's role for EC2 Spot; None when none is asked for.

    It gets nothing that differs from cluster to cluster.
    """
    template = control_plane.spec.spot_role_template_ref
    if template is None:
        return None
    return Wish(
        name=naming.spot_role_apply_name(template.name),
        template=template,
        inputs=Variables(variables={}, values={}),
        shared=True,
    )


def _with_outputs(inputs: Variables, outputs: Mapping[str, Any]) -> Variables:
    further = {name: value for name, value in outputs.items() if name not in inputs.variables}
    # it is not known which of them a template for something else has a use for
    values = {**further, **inputs.values}
    names_of_all = tuple(sorted(inputs.variables.keys() | values.keys()))
    return Variables(variables=inputs.variables, values=values, optional=names_of_all)


def _new_apply(wish: Wish, control_plane: CAPTControlPlane) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": wish.name,
        "namespace": control_plane.metadata.namespace,
        "finalizers": [names.APPLY_FINALIZER],
    }
    if not wish.shared:
        metadata["ownerReferences"] = [controller_reference(CAPT_CONTROL_PLANE, control_plane)]
        if labels := _labels(control_plane):
            metadata["labels"] = labels
    return {"metadata": metadata, "spec": _spec(wish, control_plane)}


def _spec(wish: Wish, control_plane: CAPTControlPlane) -> dict[str, Any]:
    spec: dict[str, Any] = {"templateRef": to_manifest(wish.template)}
    if wish.inputs.variables:
        spec["variables"] = dict(wish.inputs.variables)
    if wish.inputs.values:
        spec["values"] = dict(wish.inputs.values)
    if wish.inputs.optional:
        spec["optionalVariables"] = list(wish.inputs.optional)
    if wish.secret:
        reference = {"name": wish.secret, "namespace": control_plane.metadata.namespace}
        spec["writeConnectionSecretToRef"] = reference
    if wish.shared:
        spec["retainWorkspaceOnDelete"] = True
    return spec


def _labels(control_plane: CAPTControlPlane) -> dict[str, str]:
    cluster = control_plane.metadata.labels.get(names.CLUSTER_NAME_LABEL)
    return {names.CLUSTER_NAME_LABEL: cluster} if cluster is not None else {}
