"""Where machines can be placed, from the outputs of the VPC's template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from capt.api import FailureDomain

_OUTPUTS: Final = ("failure_domains", "availability_zones", "azs")
"""Outputs that say it, the first that there is counts; `azs` is that of terraform-aws-modules/vpc."""


def failure_domains(outputs: Mapping[str, Any]) -> tuple[FailureDomain, ...]:
    """Return the failure domains, each once, in the order of their names.

    An output is a list of names, a list of objects with `name`, `control_plane` and `attributes`, or a map of names to
    such objects. What is none of these is passed over.
    """
    said = next((outputs[name] for name in _OUTPUTS if outputs.get(name)), None)
    domains: dict[str, FailureDomain] = {}
    if isinstance(said, Mapping):
        for name, value in said.items():
            domains[name] = _domain(name, value)
    elif isinstance(said, Sequence) and not isinstance(said, str):
        for value in said:
            name = value.get("name") if isinstance(value, Mapping) else value
            if isinstance(name, str) and name:
                domains[name] = _domain(name, value)
    return tuple(domains[name] for name in sorted(domains))


def _domain(name: str, value: Any) -> FailureDomain:
    details: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
    attributes = details.get("attributes")
    return FailureDomain(
        name=name,
        control_plane=bool(details.get("control_plane", details.get("controlPlane", True))),
        attributes={key: str(item) for key, item in attributes.items()}
        if isinstance(attributes, Mapping)
        else {},
    )
