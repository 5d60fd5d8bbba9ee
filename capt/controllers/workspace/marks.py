"""Marks that say whose a Workspace is.

A namespaced object cannot own a cluster-scoped one: the garbage collector ignores such a reference. So each
Workspace carries the identity of its WorkspaceTemplateApply as labels (for selectors) and, since a label
holds 63 characters only, as an annotation. The name alone proves nothing: anybody can make a Workspace of
that name.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from capt.api import ObjectMeta, Workspace, WorkspaceTemplateApply
from capt.controllers import names
from capt.runtime import Key, Object

RETAINED_ANNOTATION: Final = "capt.infrastructure.cluster.x-k8s.io/retained"
"""On a Workspace whose WorkspaceTemplateApply was deleted and asked for it to be kept: since when, RFC 3339."""

EXTERNAL_NAME_ANNOTATION: Final = "crossplane.io/external-name"
"""Crossplane's: the name of the Terraform workspace, hence of its state."""


class Ownership(StrEnum):
    """How a Workspace stands to an apply."""

    OURS = "ours"
    """It carries the uid of the apply."""
    NAMED = "named"
    """It has no owner's marks and the apply's own status names it, as the Go original left things."""
    FORMER = "former"
    """It was made for an earlier apply of the same namespace and name, which is gone, since names are unique."""
    FOREIGN = "foreign"
    """It is somebody else's."""


def ownership(workspace: Workspace, apply: WorkspaceTemplateApply) -> Ownership:
    """Return how `workspace` stands to `apply`.

    A former one may be taken over (it was retained, restored from a backup, or left by an apply whose
    finalizer was removed by hand), but until that is done it is not deleted with the new apply.
    """
    metadata = workspace.metadata
    owner_uid = metadata.labels.get(names.WORKSPACE_APPLY_UID_LABEL)
    owner_key = metadata.annotations.get(names.WORKSPACE_APPLY_ANNOTATION)
    if owner_uid and owner_uid == apply.metadata.uid:
        return Ownership.OURS
    if owner_key == key_text(apply.metadata):
        return Ownership.FORMER
    if not owner_uid and not owner_key and metadata.name == apply.status.workspace_name:
        return Ownership.NAMED
    return Ownership.FOREIGN


def owner_labels(apply: ObjectMeta) -> dict[str, str]:
    """Return the labels of the Workspace of `apply`: its identity and, where it has one, its cluster's name."""
    labels = {
        names.WORKSPACE_APPLY_NAMESPACE_LABEL: apply.namespace or "",
        names.WORKSPACE_APPLY_NAME_LABEL: names.label_value(apply.name),
        names.WORKSPACE_APPLY_UID_LABEL: apply.uid,
    }
    if cluster := apply.labels.get(names.CLUSTER_NAME_LABEL):
        labels[names.CLUSTER_NAME_LABEL] = cluster
    return labels


def key_text(metadata: ObjectMeta) -> str:
    """Return `namespace/name`, as in the owner annotation and in references between applies."""
    return f"{metadata.namespace}/{metadata.name}"


def owner_of(workspace: Object) -> Key | None:
    """Return the key of the apply that a cached Workspace was made for."""
    owner = (workspace.decode().get("metadata", {}).get("annotations") or {}).get(
        names.WORKSPACE_APPLY_ANNOTATION, ""
    )
    namespace, slash, name = owner.partition("/")
    return Key(namespace, name) if slash and namespace and name else None
