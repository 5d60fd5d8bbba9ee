"""Which fields of a machine's spec change in place, and which need a new machine.

A Terraform apply *is* an in-place update where the provider can make one: labels, tags, scaling, taints and
versions of an EKS node group change without replacing it. All other fields, those that do not exist yet
included, count as needing a new machine: a needless replacement is a nuisance, a change that silently
reaches nothing is a lie.
"""

from __future__ import annotations

from typing import Any, Final

from capt.api import CaptMachineSpec
from capt.controllers.manifest import to_manifest

_SPEC_FIELDS: Final = frozenset({"labels", "tags"})
_GROUP_FIELDS: Final = frozenset(
    {"scaling", "labels", "taints", "tags", "updateConfig", "version", "releaseVersion"}
)
_GROUP: Final = "nodeGroupConfig"


def instance_types(spec: CaptMachineSpec) -> tuple[str, ...]:
    """Return the instance types that a spec asks for, whichever of the three fields names them."""
    group = spec.node_group_config
    if group is not None and group.instance_types:
        return group.instance_types
    single = (group.instance_type if group is not None else None) or spec.instance_type
    return (single,) if single else ()


def replacing_fields(spec: CaptMachineSpec, namespace: str) -> dict[str, Any]:
    """Return what two specs must agree in for a machine of the one to serve the other.

    Spellings that mean the same come out the same: a reference with the namespace that is its default, an
    `instanceType` and `instanceTypes` with that one entry.

    Args:
        spec: Spec of a machine, or of a template of machines.
        namespace: Where the object with that spec lives.
    """
    fields = {name: value for name, value in to_manifest(spec).items() if name not in _SPEC_FIELDS}
    fields.pop("instanceType", None)
    fields["instanceTypes"] = list(instance_types(spec))
    for reference in ("workspaceTemplateRef", "nodeGroupRef"):
        if reference in fields:
            fields[reference] = {"namespace": namespace} | fields[reference]
    if _GROUP in fields:
        left_out = _GROUP_FIELDS | {"instanceType", "instanceTypes"}
        fields[_GROUP] = {name: value for name, value in fields[_GROUP].items() if name not in left_out}
    return fields


def with_in_place_fields(current: CaptMachineSpec, wanted: CaptMachineSpec) -> dict[str, Any]:
    """Return `current` as a manifest, with the in-place fields of `wanted`."""
    result, source = to_manifest(current), to_manifest(wanted)
    _copy(_SPEC_FIELDS, source, result)
    if _GROUP in result and _GROUP in source:
        _copy(_GROUP_FIELDS, source[_GROUP], result[_GROUP])
    return result


def _copy(fields: frozenset[str], source: dict[str, Any], target: dict[str, Any]) -> None:
    for name in fields:
        if name in source:
            target[name] = source[name]
        else:
            target.pop(name, None)
