"""What differs between a Workspace's spec and the one that was rendered, as a merge patch.

CAPT owns the fields of a Workspace that its model knows, and only those: a field that a newer provider or
somebody else's controller added is left alone, everything else is as rendered, or goes away. Both sides are
brought into one normal form first, because the API server fills in defaults; a default that is taken for a
difference is a write at every reconcile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from capt.api import WorkspaceSpec
from capt.controllers.manifest import to_manifest
from capt.controllers.workspace.flavours import Flavour
from capt.runtime import json_patch, merge_patch

# in forProvider: what a provider's CRD may fill in, and what Terraform does without it
_SAME_AS_ABSENT: Final[Mapping[str, object]] = {
    "inlineFormat": "HCL",
    "entrypoint": "",
    "enableTerraformCLILogging": False,
}


def spec_difference(actual: WorkspaceSpec, desired: Mapping[str, Any], flavour: Flavour) -> dict[str, Any]:
    """Return the merge patch of `spec` that turns `actual` into `desired`; empty when they mean the same.

    A merge patch cannot say null. Where variables differ in nulls, `varmap` stands in the result as a whole, nulls
    included: see `capt.controllers.exact_patch`.
    """
    patch = merge_patch.difference(
        _normal(actual, flavour), _normal(WorkspaceSpec.model_validate(desired), flavour)
    )
    varmap = desired["forProvider"].get("varmap", {})
    if json_patch.needed(actual.for_provider.varmap, varmap):
        patch.setdefault("forProvider", {})["varmap"] = varmap
    return patch


def _normal(spec: WorkspaceSpec, flavour: Flavour) -> dict[str, Any]:
    plain = to_manifest(spec)
    if not flavour.has_deletion_policy:
        # the model fills in a default that this flavour's server never stores
        plain.pop("deletionPolicy", None)
    parameters = plain["forProvider"]
    for name, default in _SAME_AS_ABSENT.items():
        if parameters.get(name) == default:
            del parameters[name]
    reference = plain.get("providerConfigRef")
    if reference and flavour.provider_config_kind:
        reference.setdefault("kind", flavour.provider_config_kind)
    return plain
