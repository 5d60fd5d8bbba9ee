"""Who may use what lies in another namespace.

A template runs Terraform with its provider's credentials, so a reference to one is a way to somebody's cloud account.
Even a wait tells who is there: which Secrets a namespace has, how its infrastructure fares; and what is waited for cannot
be deleted at will. Within a namespace RBAC decides; across namespaces the target must name who it serves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ALLOWED_NAMESPACES_ANNOTATION: Final = "capt.infrastructure.cluster.x-k8s.io/allowed-namespaces"
"""On what is referred to: namespaces that may use it besides its own, separated by commas, or `*` for all."""


def allows(annotations: Mapping[str, str], namespace: str) -> bool:
    """Return whether an object with these annotations consents to be used from `namespace`."""
    allowed = {name.strip() for name in annotations.get(ALLOWED_NAMESPACES_ANNOTATION, "").split(",")}
    return "*" in allowed or namespace in allowed
