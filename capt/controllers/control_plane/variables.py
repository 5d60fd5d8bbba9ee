"""The Terraform variables of a control plane.

Names are those of the Go original where it had them, so that its templates keep working. What has a type keeps
it: a flag is a boolean, networks are a list, tags and add-ons are maps. The two flags are strings as well, since
older templates have `${endpoint_public_access}` in their text, and a placeholder takes strings only; where
Terraform has a variable of that name, the boolean wins.

What wins, if several set one variable: the control plane's own `values`, its `variables`, its fields, the outputs
of the VPC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from capt.api import CAPTCluster, CAPTControlPlane
from capt.controllers.control_plane.version import minor_version
from capt.controllers.manifest import to_manifest

# fields that nothing but a variable of this name can honour
_ASKED: Final = ("addons", "endpoint_public_access_cidrs", "tags")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """What the template of a control plane gets.

    Attributes:
        variables: Strings.
        values: Anything else.
        optional: Names that a module need not declare. All others were asked for, and a module that cannot take
            them is refused: add-ons or tags that reach nothing would be a lie.
    """

    variables: Mapping[str, str]
    values: Mapping[str, Any]
    optional: tuple[str, ...] = ()


def control_plane_variables(
    control_plane: CAPTControlPlane, cluster: str, network: CAPTCluster | None
) -> Variables:
    """Return the variables of a control plane.

    Args:
        control_plane: The control plane.
        cluster: Name of its Cluster, which is the name of the EKS cluster as well.
        network: The CAPTCluster with the VPC; None when the Cluster's infrastructure is somebody else's.
    """
    spec = control_plane.spec
    strings = {
        "cluster_name": cluster,
        "kubernetes_version": minor_version(spec.version) or spec.version,
    }
    if (region := region_of(control_plane, network)) is not None:
        strings["region"] = region
    values: dict[str, Any] = {"tags": dict(spec.additional_tags)}
    config = spec.control_plane_config
    if config is not None and config.endpoint_access is not None:
        access = config.endpoint_access
        flags = {"endpoint_public_access": access.public, "endpoint_private_access": access.private}
        strings |= {name: str(flag).lower() for name, flag in flags.items()}
        values |= flags
        if access.public_cidrs:
            values["endpoint_public_access_cidrs"] = list(access.public_cidrs)
    if config is not None and config.addons:
        values["addons"] = {
            addon.name: {
                name: value
                for name, value in (
                    ("addon_version", addon.version),
                    ("configuration_values", addon.configuration_values),
                )
                if value
            }
            for addon in config.addons
        }
    return _layered(_network_values(network), strings, values, control_plane)


def region_of(control_plane: CAPTControlPlane, network: CAPTCluster | None) -> str | None:
    """Return the AWS region: the control plane's own, else that of its VPC."""
    config = control_plane.spec.control_plane_config
    if config is not None:
        return config.region
    return network.spec.region if network is not None else None


def _network_values(network: CAPTCluster | None) -> dict[str, Any]:
    if network is None:
        return {}
    values: dict[str, Any] = to_manifest(network.status).get("outputs", {})
    # another cluster's name, or none, is no business of this one
    values.pop("cluster_name", None)
    return values | ({"vpc_id": network.status.vpc_id} if network.status.vpc_id else {})


def _layered(
    network: Mapping[str, Any],
    strings: Mapping[str, str],
    values: Mapping[str, Any],
    control_plane: CAPTControlPlane,
) -> Variables:
    spec = control_plane.spec
    own: set[str] = {*spec.variables, *spec.values}
    variables = {**{name: text for name, text in strings.items() if name not in own}, **spec.variables}
    merged = {name: value for name, value in network.items() if name not in variables}
    merged |= {name: value for name, value in values.items() if name not in own}
    final = {**merged, **spec.values}
    asked = own | {name for name in _ASKED if final.get(name)}
    return Variables(
        variables={name: text for name, text in variables.items() if name not in spec.values},
        values=final,
        optional=tuple(sorted((variables.keys() | final.keys()) - asked)),
    )
