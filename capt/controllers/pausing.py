"""The pause of the Cluster API contract."""

from __future__ import annotations

from capt.api import ApiObject
from capt.controllers.names import DELETE_FOR_MOVE_ANNOTATION, PAUSED_ANNOTATION
from capt.controllers.parent_cluster import Parent


def is_paused(obj: ApiObject, parent: Parent | None = None) -> bool:
    """Tell whether nothing at all may be done about `obj` (contract rule A9).

    The annotation `cluster.x-k8s.io/paused` counts by its presence, whatever its value.

    Args:
        obj: The object.
        parent: The Cluster that it belongs to, if there is one; its pause holds for everything that belongs to it.
    """
    return PAUSED_ANNOTATION in obj.metadata.annotations or (parent is not None and parent.paused)


def is_leaving(obj: ApiObject) -> bool:
    """Tell whether `clusterctl move` has taken `obj` to another management cluster and deletes it here.

    What it stands for lives on there, so nothing of it may be destroyed (contract rule F13).
    """
    return DELETE_FOR_MOVE_ANNOTATION in obj.metadata.annotations
