"""The hash that names a set after the template it was made for.

Only fields that need new machines are hashed, so that a change in place leaves the set its name. The hash
makes creation idempotent and selectors disjoint; it does not decide which set is the current one, equality
of templates does.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Final

from capt.api import CaptMachineSpec
from capt.controllers.in_place import replacing_fields

_LENGTH: Final = 8


def template_hash(
    spec: CaptMachineSpec, namespace: str, *, restarted_at: datetime | None, collisions: int
) -> str:
    """Return 8 hexadecimal digits.

    Args:
        spec: Spec of the machines.
        namespace: Namespace of the deployment.
        restarted_at: `rolloutAfter`, once that time has come; the same template then needs a set of another
            name.
        collisions: `status.collisionCount`: how often the name was found taken by something else.
    """
    hashed = {
        "spec": replacing_fields(spec, namespace),
        "restartedAt": restarted_at.isoformat() if restarted_at is not None else None,
        "collisions": collisions,
    }
    text = json.dumps(hashed, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]
