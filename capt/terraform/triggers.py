"""Which changes of a Workspace are worth a look: what users and controllers ask for, never what we answer.

Our own status writes must not bring us back: the message of a failing run can differ each time (request ids), and each
difference would start the next run at once instead of after its backoff.
"""

from __future__ import annotations

from typing import Any

from capt.runtime import Event, Object, annotations_changed, any_of, generation_changed, labels_changed


def _deletion_went_on(event: Event) -> bool:
    """Accept the beginning of a deletion, and finalizers that come off: the last of the others is waited for."""
    if event.old is None or event.new is None:
        return True
    if not event.new.deleting:
        return False
    return not event.old.deleting or _finalizers(event.old) != _finalizers(event.new)


def _finalizers(obj: Object) -> Any:
    return obj.decode().get("metadata", {}).get("finalizers")


worth_a_look = any_of(generation_changed, labels_changed, _deletion_went_on, annotations_changed)
"""The provider's choice of events (``DesiredStateChanged``), and finalizers, for which the provider polls."""
