"""What to do about the Workspace of an apply that is not being deleted.

Two decisions, both pure. `aim` says which Workspace there should be, or what stands in the way of knowing; `decide`
compares that with the Workspace that there is. What is compared is what CAPT owns: the fields of the spec that its
model has, its labels and its annotations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from capt.api import Workspace, WorkspaceTemplate, WorkspaceTemplateApply
from capt.controllers import names
from capt.controllers.consent import ALLOWED_NAMESPACES_ANNOTATION, allows
from capt.controllers.workspace import (
    EXTERNAL_NAME_ANNOTATION,
    GO_ORIGINAL,
    RETAINED_ANNOTATION,
    WORKSPACE_GROUP_ANNOTATION,
    Flavour,
    Ownership,
    choose,
    key_text,
    owner_labels,
    ownership,
    spec_difference,
    spec_written,
)
from capt.controllers.workspace_template.validation import problems
from capt.controllers.workspace_template_apply.creation import resumption
from capt.controllers.workspace_template_apply.dependencies import reference_key
from capt.controllers.workspace_template_apply.render import Refused, Rendered, render
from capt.controllers.workspace_template_apply.variable_check import Declarations
from capt.runtime import json_patch, merge_patch


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A Workspace, and the flavour that it has."""

    flavour: Flavour
    workspace: Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What the decisions need.

    Attributes:
        apply: The apply; not being deleted.
        template: The template that it refers to, if that exists.
        declarations: What the template's module declares, if that is known.
        cross_namespace: True when what lies in other namespaces may be used without consent.
        served: API groups that serve Workspaces.
        found: The Workspace that there is.
        unaccepted: What the API server did not keep of the spec when it was last written, as a patch: fields that
            the provider's CRD does not have. Writing them again would never end.
        now: The time.
    """

    apply: WorkspaceTemplateApply
    template: WorkspaceTemplate | None
    declarations: Declarations
    cross_namespace: bool
    served: frozenset[str]
    found: Found | None
    unaccepted: Mapping[str, Any]
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The Workspace that there should be."""

    flavour: Flavour
    name: str
    rendered: Rendered


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Why nothing can be written.

    Attributes:
        reason: One CamelCase word for programs.
        message: For people.
        warn: Whether somebody has to do something about it: it is an event, too.
        retry: Seconds after which to look again; None when a watched change will tell.
        spares_ready: Whether a Workspace that was ready for this generation of the apply still counts as ready.
    """

    reason: str
    message: str
    warn: bool = False
    retry: float | None = None
    spares_ready: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Make the Workspace."""

    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Patch the Workspace.

    Attributes:
        found: The Workspace.
        patch: Merge patch, to be sent under the resourceVersion that it was computed from.
        spec_changes: Whether Terraform will run because of it; otherwise only marks are repaired.
        adopts: Whether the Workspace had another owner, or none, before.
        varmap: The variables as a whole, where nulls differ among them, which the patch cannot say; else None.
        resumes: Whether it lets a provider go on that was interrupted while it created.
    """

    found: Found
    patch: Mapping[str, Any]
    spec_changes: bool
    adopts: bool
    varmap: Mapping[str, Any] | None = None
    resumes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """The Workspace is as it should be, or is on its way out and cannot be written any more."""


Action = Create | Update | Keep

FLAVOUR_RETRY = 15.0
"""Seconds between looks for a flavour of Workspace that nobody serves yet."""

CONFLICT_RETRY = 60.0
"""Seconds between looks at a Workspace that is somebody else's: it is not watched."""


def aim(seen: Observation) -> Target | Blocked:
    """Return the Workspace that there should be, or why that cannot be said."""
    template = _usable_template(seen)
    if isinstance(template, Blocked):
        return template
    flavour = seen.found.flavour if seen.found else _flavour(seen, template)
    if isinstance(flavour, Blocked):
        return flavour
    metadata = seen.apply.metadata
    name = seen.found.workspace.metadata.name if seen.found else _name(seen.apply)
    rendered = render(
        template=template.spec,
        apply=seen.apply.spec,
        namespace=metadata.namespace or "",
        workspace_name=name,
        flavour=flavour,
        declarations=seen.declarations,
        template_namespace=template.metadata.namespace or "",
        cross_namespace=seen.cross_namespace,
    )
    if isinstance(rendered, Refused):
        return Blocked(reason=rendered.reason, message=rendered.message, warn=True)
    return Target(flavour=flavour, name=name, rendered=rendered)


def decide(seen: Observation, target: Target) -> Action | Blocked:
    """Return what turns the Workspace that there is into `target`."""
    if seen.found is None:
        return Create(body=_manifest(seen.apply, target))
    workspace = seen.found.workspace
    relation = ownership(workspace, seen.apply)
    if relation is Ownership.FOREIGN:
        return Blocked(
            reason="WorkspaceConflict",
            message=f"Workspace {target.name} of {target.flavour.group} exists and belongs to somebody else",
            warn=True,
            retry=CONFLICT_RETRY,
        )
    resumed = resumption(workspace, seen.template, seen.declarations, seen.now)
    if workspace.metadata.deletion_timestamp is not None:
        if not resumed:
            return Keep()
        patch: dict[str, Any] = {"metadata": {"annotations": resumed}}
        return Update(found=seen.found, patch=patch, spec_changes=False, adopts=False, resumes=True)
    spec = spec_difference(workspace.spec, target.rendered.spec, target.flavour)
    if spec == seen.unaccepted:
        spec = {}
    annotations = _annotations(seen.apply, target)
    if EXTERNAL_NAME_ANNOTATION in workspace.metadata.annotations:
        # it names the Terraform state; what a former owner called it is still its name
        del annotations[EXTERNAL_NAME_ANNOTATION]
    if spec:
        annotations |= spec_written(workspace.status, seen.now)
    marks = merge_patch.overlay(
        {"labels": workspace.metadata.labels, "annotations": workspace.metadata.annotations},
        {
            "labels": owner_labels(seen.apply.metadata),
            "annotations": {**annotations, **resumed, RETAINED_ANNOTATION: None},
        },
    )
    if not spec and not marks:
        return Keep()
    patch = {**({"metadata": marks} if marks else {}), **({"spec": spec} if spec else {})}
    adopts = relation is not Ownership.OURS
    varmap = target.rendered.spec["forProvider"].get("varmap", {})
    return Update(
        found=seen.found,
        patch=patch,
        spec_changes=bool(spec),
        adopts=adopts,
        varmap=varmap if spec and json_patch.needed(workspace.spec.for_provider.varmap, varmap) else None,
        resumes=bool(resumed),
    )


def recorded_group(apply: WorkspaceTemplateApply) -> str:
    """Return the API group of the Workspace that `apply` has or had; empty when it never had one."""
    status = apply.status
    return status.workspace_group or (GO_ORIGINAL.group if status.workspace_name else "")


def _flavour(seen: Observation, template: WorkspaceTemplate) -> Flavour | Blocked:
    recorded = recorded_group(seen.apply)
    preferred = recorded or template.metadata.annotations.get(WORKSPACE_GROUP_ANNOTATION, "")
    flavour = choose(seen.served, preferred)
    if flavour is not None:
        return flavour
    message = f"the cluster serves no Workspace of {preferred or 'any known group'}: no provider is installed"
    if recorded:
        # a second Workspace elsewhere would make everything twice
        message = f"the Workspace is one of {recorded}, which the cluster does not serve any more"
    return Blocked(reason="WorkspaceKindMissing", message=message, retry=FLAVOUR_RETRY)


def _usable_template(seen: Observation) -> WorkspaceTemplate | Blocked:
    namespace = seen.apply.metadata.namespace or ""
    key = reference_key(seen.apply.spec.template_ref, namespace)
    template = seen.template
    needs_consent = key.namespace != namespace and not seen.cross_namespace
    # absent and forbidden read alike: names in other namespaces are nobody's business
    if needs_consent and (template is None or not allows(template.metadata.annotations, namespace)):
        return Blocked(
            reason="TemplateNotAllowed",
            message=f"WorkspaceTemplate {key} does not exist or does not allow namespace {namespace!r} "
            f"(annotation {ALLOWED_NAMESPACES_ANNOTATION})",
            warn=True,
        )
    if template is None:
        return Blocked(
            reason="TemplateNotFound", message=f"WorkspaceTemplate {key} does not exist", spares_ready=True
        )
    if template.metadata.deletion_timestamp is not None and seen.found is None:
        return Blocked(reason="TemplateDeleting", message=f"WorkspaceTemplate {key} is being deleted")
    if wrong := problems(template):
        return Blocked(
            reason="TemplateInvalid", message=f"WorkspaceTemplate {key}: {'; '.join(wrong)}", warn=True
        )
    return template


def _name(apply: WorkspaceTemplateApply) -> str:
    return names.workspace_name(apply.metadata.namespace or "", apply.metadata.name)


def _annotations(apply: WorkspaceTemplateApply, target: Target) -> dict[str, str]:
    return {
        names.WORKSPACE_APPLY_ANNOTATION: key_text(apply.metadata),
        names.WORKSPACE_REVISION_ANNOTATION: target.rendered.revision,
        EXTERNAL_NAME_ANNOTATION: target.name,
    }


def _manifest(apply: WorkspaceTemplateApply, target: Target) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": target.name,
        "labels": owner_labels(apply.metadata),
        "annotations": _annotations(apply, target),
    }
    if namespace := target.flavour.namespace_for(apply.metadata.namespace or ""):
        metadata["namespace"] = namespace
    return {"metadata": metadata, "spec": target.rendered.spec}
