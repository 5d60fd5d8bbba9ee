"""The Terraform variables of a machine.

Plain strings go into `variables`, as in seed 000; everything with a structure goes into `values`, as JSON,
so that a map reaches Terraform as a map. Names are snake_case. `version` is `kubernetes_version` here, for
Terraform keeps the name to itself; enumerations are spelled as AWS and its Terraform provider spell them.

What wins, if several set one variable: the machine's own `values`, its `variables`, its fields, the outputs
of its node group, the cluster of its label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from capt.api import CaptMachine, NodeGroupConfig
from capt.controllers import names
from capt.controllers.in_place import instance_types
from capt.controllers.machine.node_group import NodeGroup, group_name
from capt.controllers.manifest import to_manifest

_CAPACITY_TYPES: Final = {"OnDemand": "ON_DEMAND", "Spot": "SPOT", "CapacityBlock": "CAPACITY_BLOCK"}
_TAINT_EFFECTS: Final = {
    "NoSchedule": "NO_SCHEDULE",
    "PreferNoSchedule": "PREFER_NO_SCHEDULE",
    "NoExecute": "NO_EXECUTE",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """What the template of a machine gets.

    Attributes:
        variables: Strings.
        values: Anything else.
        optional: Names that the machine's own `variables` and `values` do not have: a module need not declare them.
    """

    variables: Mapping[str, str]
    values: Mapping[str, Any]
    optional: tuple[str, ...]


def machine_variables(machine: CaptMachine, group: NodeGroup | None) -> Variables:
    """Return the variables of a node, or of a node group.

    Args:
        machine: The machine.
        group: The managed group that a node joins; its outputs become values under their own names.
    """
    spec = machine.spec
    strings = {"node_group": group_name(machine, group)}
    types = instance_types(spec)
    if types:
        strings["instance_type"] = types[0]
    values: dict[str, Any] = {"labels": dict(spec.labels), "tags": dict(spec.tags)}
    if spec.node_group_config is not None:
        strings["node_group_name"] = strings["node_group"]
        values |= _group_values(spec.node_group_config, values)
        if types:
            values["instance_types"] = list(types)
    outputs = to_manifest(group.machine.status).get("outputs", {}) if group is not None else {}
    cluster = machine.metadata.labels.get(names.CLUSTER_NAME_LABEL)
    layers: tuple[tuple[str, Mapping[str, Any]], ...] = (
        ("variables", {"cluster_name": cluster} if cluster else {}),
        ("values", outputs),
        ("variables", strings),
        ("values", values),
        ("variables", spec.variables),
        ("values", spec.values),
    )
    chosen: dict[str, tuple[str, Any]] = {}
    for place, layer in layers:
        chosen |= {name: (place, value) for name, value in layer.items()}
    return Variables(
        variables={name: value for name, (place, value) in chosen.items() if place == "variables"},
        values={name: value for name, (place, value) in chosen.items() if place == "values"},
        optional=tuple(sorted(chosen.keys() - spec.variables.keys() - spec.values.keys())),
    )


def _group_values(config: NodeGroupConfig, of_machine: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    values: dict[str, Any] = {
        "labels": {**of_machine["labels"], **config.labels},
        "tags": {**of_machine["tags"], **config.tags},
    }
    if config.scaling is not None:
        sizes = {
            "min_size": config.scaling.min_size,
            "max_size": config.scaling.max_size,
            "desired_size": config.scaling.desired_size,
        }
        values |= {**sizes, "scaling": sizes}
    if config.taints:
        values["taints"] = [
            {"key": taint.key, "value": taint.value or "", "effect": _TAINT_EFFECTS[taint.effect]}
            for taint in config.taints
        ]
    if config.update_config is not None:
        limits = {
            "max_unavailable": config.update_config.max_unavailable,
            "max_unavailable_percentage": config.update_config.max_unavailable_percentage,
        }
        values["update_config"] = {name: limit for name, limit in limits.items() if limit is not None}
    capacity_type = _CAPACITY_TYPES[config.capacity_type] if config.capacity_type else None
    plain = {
        "capacity_type": capacity_type,
        "ami_type": config.ami_type,
        "kubernetes_version": config.version,
        "release_version": config.release_version,
        "disk_size": config.disk_size,
        "subnet_ids": list(config.subnet_ids) or None,
    }
    return values | {name: value for name, value in plain.items() if value is not None}
