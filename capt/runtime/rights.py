"""What a part of the manager may do at the API server, as RBAC says it.

Each controller declares its rights beside its watches; the roles in `manifests` are generated from these declarations,
so that a role grants what the code uses and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from capt.runtime.resource import Kind, Resource

VERBS = frozenset({"get", "list", "watch", "create", "patch", "update", "delete"})
"""What may be declared. `deletecollection` is left out on purpose: nothing here deletes what it has not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """Some verbs on one resource.

    Build it with :func:`may`.

    Attributes:
        resource: on what.
        verbs: RBAC verbs, of :data:`VERBS`.
        subresource: ``status``, ``finalizers``; "" for the objects themselves.
        names: only objects with these names; empty for all. RBAC cannot compare names for `create`.

    Raises:
        ValueError: a verb is none, or there is none.
    """

    resource: Resource
    verbs: frozenset[str]
    subresource: str = ""
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.verbs or not self.verbs <= VERBS:
            raise ValueError(f"{self.resource}: {sorted(self.verbs)} are not among the verbs {sorted(VERBS)}")

    @property
    def rbac_resource(self) -> str:
        """The resource as a rule of a role names it: ``captmachines/status``."""
        return "/".join(filter(None, (self.resource.plural, self.subresource)))


def may(
    target: Kind[Any] | Resource, *verbs: str, subresource: str = "", names: tuple[str, ...] = ()
) -> Right:
    """Return the right to do `verbs` with a resource.

    Args:
        target: the resource, or a kind, which has one.
        verbs: RBAC verbs, of :data:`VERBS`.
        subresource: ``status`` for instance.
        names: only objects with these names; empty for all.

    Raises:
        ValueError: a verb is none, or there is none.
    """
    resource = target if isinstance(target, Resource) else target.resource
    return Right(resource=resource, verbs=frozenset(verbs), subresource=subresource, names=names)
