"""Owner references: whose child an object is."""

from __future__ import annotations

from typing import Any

from capt.runtime.resource import Kind, KubeObject


def controller_reference(kind: Kind[Any], obj: KubeObject) -> dict[str, Any]:
    """Return the owner reference that makes ``obj`` the controller of an object about to be created.

    ``blockOwnerDeletion`` is set, so that a foreground deletion of the owner waits for the child. The owner
    must live in the child's namespace or be cluster-scoped: the garbage collector takes any other reference
    for an owner that is gone, and deletes the child. It goes into ``metadata.ownerReferences`` of the manifest for
    ``Client.create``; controller-runtime's ``SetControllerReference`` changes an object in memory instead.

    Args:
        kind: of the owner; its version is the one that is written.
        obj: the owner as it was read.
    """
    return {
        "apiVersion": kind.resource.api_version,
        "kind": kind.resource.kind,
        "name": obj.metadata.name,
        "uid": obj.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_controlled_by(obj: KubeObject, owner: KubeObject) -> bool:
    """Tell whether ``owner`` is the controller of ``obj``; by uid, so that a namesake made later is not.

    As ``metav1.IsControlledBy``.
    """
    return any(
        reference.controller and reference.uid == owner.metadata.uid
        for reference in obj.metadata.owner_references
    )
