"""The WorkspaceTemplateApply that belongs to something else: made, kept as its owner wants it, or left alone.

An owner decides about the fields that it sets, and about no others: what a user adds to the apply stays.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from capt.api import WorkspaceTemplateApply
from capt.controllers.exact_patch import patch_exactly
from capt.controllers.kinds import APPLY
from capt.controllers.manifest import to_manifest
from capt.runtime import json_patch
from capt.runtime.client import Client
from capt.runtime.merge_patch import difference

BAD_CONFIGURATION: Final = frozenset(
    {"ReferenceNotAllowed", "TemplateInvalid", "TemplateNotAllowed", "UnsafeVariable", "VariablesInvalid"}
)
"""Reasons of an apply's condition Ready by which it cannot even be tried."""

NEEDS_PERSON: Final = BAD_CONFIGURATION | {
    "CreatePending",
    "WorkspaceConflict",
    "WorkspaceError",
    "WorkspaceRefused",
}
"""Reasons of an apply's condition Ready that end only when somebody changes something."""

_VALUES = "values"


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Make the WorkspaceTemplateApply."""

    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Change the WorkspaceTemplateApply.

    Attributes:
        patch: Merge patch of what differs.
        values: `spec.values` as a whole, where nulls differ, which the patch cannot say and leaves out; else None.
    """

    patch: Mapping[str, Any]
    values: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """The WorkspaceTemplateApply is as it should be, or none is needed."""


def bring_up_to_date(
    apply: WorkspaceTemplateApply,
    *,
    labels: Mapping[str, str],
    spec: Mapping[str, Any],
    owned: Collection[str],
) -> Update | Keep:
    """Return what makes an apply as its owner wants it.

    Args:
        apply: The apply as it is.
        labels: Labels that it has to have, besides any others.
        spec: The fields of its spec that are wanted.
        owned: Names of all fields that its owner decides about; what `spec` lacks of them goes away.
    """
    present, current = dict(apply.metadata.labels), to_manifest(apply.spec)
    patch = difference(
        {"metadata": {"labels": present}, "spec": {name: current[name] for name in owned if name in current}},
        {"metadata": {"labels": {**present, **labels}}, "spec": spec},
    )
    values = spec.get(_VALUES, {})
    if json_patch.needed(current.get(_VALUES, {}), values):
        rest = {name: item for name, item in patch.get("spec", {}).items() if name != _VALUES}
        return Update(patch={**patch, "spec": rest}, values=values)
    return Update(patch=patch) if patch else Keep()


async def change(client: Client, apply: WorkspaceTemplateApply, update: Update) -> WorkspaceTemplateApply:
    """Carry out an update, and return the apply as it was stored.

    Raises:
        ApiError: The write failed.
    """
    if update.values is not None:
        return await patch_exactly(
            client, APPLY, apply, patch=update.patch, path=("spec", _VALUES), value=update.values
        )
    metadata = apply.metadata
    return await client.patch(APPLY, metadata.namespace or "", metadata.name, update.patch, uid=metadata.uid)
