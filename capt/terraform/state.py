"""What a local state file says: pure functions over its text (state format 4).

Terraform has a command for it, ``state list``, but that needs an initialised directory with a valid module. Whether a
directory may be thrown away has to be known without either.
"""

from __future__ import annotations

import json
from typing import Any


def holds_resources(state: str) -> bool:
    """Tell whether resources stand that this state knows; data sources do not count.

    A state that cannot be read counts as holding resources: nobody may throw it away.
    """
    content = _parse(state)
    if content is None:
        return bool(state.strip())
    return any(
        resource.get("mode") == "managed" and resource.get("instances")
        for resource in content.get("resources") or ()
    )


def is_empty(state: str) -> bool:
    """Tell whether the state holds neither resources nor outputs."""
    content = _parse(state)
    if content is None:
        return not state.strip()
    return not content.get("resources") and not content.get("outputs")


def _parse(state: str) -> dict[str, Any] | None:
    try:
        content = json.loads(state)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
