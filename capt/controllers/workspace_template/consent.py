"""Who may use a template of another namespace.

A template runs Terraform with its provider's credentials, so a reference to one is a way to somebody's cloud
account. Within a namespace RBAC decides; across namespaces the template must name who it serves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ALLOWED_NAMESPACES_ANNOTATION: Final = "capt.infrastructure.cluster.x-k8s.io/allowed-namespaces"
"""On a WorkspaceTemplate: namespaces that may use it besides its own, separated by commas, or `*` for all."""


def allows(annotations: Mapping[str, str], namespace: str) -> bool:
    """Return whether a template with these annotations consents to be used from `namespace`."""
    allowed = {name.strip() for name in annotations.get(ALLOWED_NAMESPACES_ANNOTATION, "").split(",")}
    return "*" in allowed or namespace in allowed
