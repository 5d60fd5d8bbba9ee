"""Objects of the Workspace chain, short of everything that a test does not care about."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from capt.api import Workspace, WorkspaceTemplate, WorkspaceTemplateApply
from capt.controllers import names
from capt.controllers.workspace import FLAVOURS, Flavour
from capt.controllers.workspace_template_apply.variable_check import Unread

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
MODULE = 'variable "size" { type = string }\noutput "size" { value = var.size }\n'
UNREAD = Unread(reason="ModuleNotInline", message="not read")
TERRAFORM, TERRAFORM_NAMESPACED, TOFU, TOFU_NAMESPACED = FLAVOURS


def template(
    module: str = MODULE,
    *,
    spec: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    **for_provider: Any,
) -> WorkspaceTemplate:
    """Return a template with an inline module."""
    inner = {"forProvider": {"source": "Inline", "module": module, **for_provider}, **(spec or {})}
    return WorkspaceTemplate.model_validate(
        {
            "metadata": {"namespace": "default", "name": "small", "uid": "t1", **(metadata or {})},
            "spec": {"template": {"spec": inner}},
        }
    )


def apply_of(
    name: str = "one",
    *,
    namespace: str = "default",
    metadata: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
    **spec: Any,
) -> WorkspaceTemplateApply:
    """Return an apply of the template `small`; its uid is `uid-<name>`."""
    return WorkspaceTemplateApply.model_validate(
        {
            "metadata": {
                "namespace": namespace,
                "name": name,
                "uid": f"uid-{name}",
                "generation": 1,
                "finalizers": [names.APPLY_FINALIZER],
                **(metadata or {}),
            },
            "spec": {"templateRef": {"name": "small"}, **spec},
            "status": status or {},
        }
    )


def condition(kind: str, status: str, **fields: Any) -> dict[str, Any]:
    """Return a condition as JSON."""
    return {
        "type": kind,
        "status": status,
        "reason": fields.pop("reason", "Reason"),
        "lastTransitionTime": "2026-01-01T11:00:00Z",
        **fields,
    }


def conditions(ready: str | None, synced: str | None, *, generation: int | None = None) -> dict[str, Any]:
    """Return a status with these conditions, as a provider writes them; without observedGeneration if that is None."""
    age = {} if generation is None else {"observedGeneration": generation}
    found = []
    if ready is not None:
        found.append(condition("Ready", ready, reason="Available" if ready == "True" else "Creating", **age))
    if synced is not None:
        reason = "ReconcileSuccess" if synced == "True" else "ReconcileError"
        found.append(condition("Synced", synced, reason=reason, **age))
    return {"conditions": found}


def workspace(
    spec: Mapping[str, Any] | None = None,
    *,
    metadata: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
    flavour: Flavour = TERRAFORM,
) -> Workspace:
    """Return a Workspace of generation 1."""
    return Workspace.model_validate(
        {
            "apiVersion": flavour.kind.resource.api_version,
            "metadata": {
                "name": "w",
                "uid": "w1",
                "resourceVersion": "7",
                "generation": 1,
                **(metadata or {}),
            },
            "spec": spec or {"forProvider": {"source": "Inline", "module": MODULE}},
            "status": status or {},
        }
    )


def envelope(stderr: str, *, prefix: str = "create failed: cannot apply Terraform configuration: ") -> str:
    """Return an error message as provider-terraform writes it."""
    packed = base64.b64encode(gzip.compress(stderr.encode())).decode()
    summary = next((line for line in stderr.splitlines() if "Error: " in line), "")
    return (
        f"{prefix}Terraform encountered an error. Summary: {summary}. To see the full error run: "
        f'echo "{packed}" | base64 -d | gunzip'
    )
