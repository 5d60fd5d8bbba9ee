"""The node group that a node names: a CaptMachine of ours, or one that capt does not manage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from capt.api import CaptMachine
from capt.controllers.consent import ALLOWED_NAMESPACES_ANNOTATION, allows
from capt.controllers.machine.availability import is_ready
from capt.runtime import Key, Object

NODE_GROUP_INDEX: Final = "node-group"
"""Index of nodes by the CaptMachine that their `nodeGroupRef` names, as "namespace/name"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGroup:
    """The CaptMachine with `nodeGroupConfig` that a node names.

    Attributes:
        machine: The CaptMachine.
        consents: Whether it may be used from the node's namespace.
    """

    machine: CaptMachine
    consents: bool

    @property
    def obstacle(self) -> str:
        """Why a node cannot join it now; empty when it can."""
        name = f"{self.machine.metadata.namespace}/{self.machine.metadata.name}"
        if not self.consents:
            return (
                f"node group {name} does not allow its use from this namespace: its annotation "
                f"{ALLOWED_NAMESPACES_ANNOTATION} would have to name it"
            )
        if self.machine.metadata.deletion_timestamp is not None:
            return f"node group {name} is being deleted"
        return "" if is_ready(self.machine) else f"waits for node group {name} to be ready"


def named_group(node: CaptMachine) -> Key | None:
    """Return the key of the CaptMachine that a node may mean by its `nodeGroupRef`; None for a node group."""
    reference = node.spec.node_group_ref
    if reference is None:
        return None
    return Key(reference.namespace or node.metadata.namespace or "", reference.name)


def group_keys(machine: Object) -> tuple[Key, ...]:
    """Map a cached CaptMachine to the CaptMachine that its `nodeGroupRef` may mean."""
    reference = (machine.decode().get("spec") or {}).get("nodeGroupRef")
    if not reference:
        return ()
    return (Key(reference.get("namespace") or machine.namespace, reference["name"]),)


def group_names(machine: Object) -> tuple[str, ...]:
    """Map a cached CaptMachine to what its `nodeGroupRef` names: the function of `NODE_GROUP_INDEX`."""
    return tuple(map(str, group_keys(machine)))


def node_group(node: CaptMachine, found: CaptMachine | None, *, cross_namespace: bool) -> NodeGroup | None:
    """Return the group that a node waits for; None when capt does not manage it.

    Args:
        node: The node.
        found: The CaptMachine under the name, if there is one.
        cross_namespace: Whether groups of other namespaces may be used without their consent.
    """
    if found is None or found.spec.node_group_config is None:
        return None
    own = node.metadata.namespace or ""
    consents = cross_namespace or found.metadata.namespace == own or allows(found.metadata.annotations, own)
    return NodeGroup(machine=found, consents=consents)


def group_name(machine: CaptMachine, group: NodeGroup | None) -> str:
    """Return the name, in the cloud, of the group that a machine is or belongs to.

    Args:
        machine: A node, or a node group.
        group: The managed group of a node.
    """
    if group is not None:
        return group_name(group.machine, None)
    if machine.spec.node_group_ref is not None:
        return machine.spec.node_group_ref.name
    config = machine.spec.node_group_config
    return (config.name if config is not None else None) or machine.metadata.name
