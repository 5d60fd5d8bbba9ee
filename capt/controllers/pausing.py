"""The pause of the Cluster API contract."""

from __future__ import annotations

from capt.api import ApiObject
from capt.controllers.names import PAUSED_ANNOTATION


def is_paused(obj: ApiObject) -> bool:
    """Tell whether nothing at all may be done about `obj`.

    The annotation `cluster.x-k8s.io/paused` counts by its presence, whatever its value (the Cluster API
    contract).
    """
    return PAUSED_ANNOTATION in obj.metadata.annotations
