"""The four flavours of Workspace and what differs between them: one table.

provider-terraform and provider-opentofu each serve a cluster-scoped Workspace and, since Crossplane 2, a
namespaced one. Which of them a cluster serves is found by discovery. A template may ask for one by the
annotation `capt.infrastructure.cluster.x-k8s.io/workspace-group`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from capt.api import Workspace
from capt.controllers.kinds import WORKSPACE_FLAVOURS
from capt.runtime import Kind

WORKSPACE_GROUP_ANNOTATION: Final = "capt.infrastructure.cluster.x-k8s.io/workspace-group"
"""On a WorkspaceTemplate: the API group of the Workspaces that it wants, e.g. `tf.m.upbound.io`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavour:
    """One flavour of Workspace.

    Attributes:
        kind: The kind, for the client.
        own_namespace_only: True when references to Secrets and ConfigMaps have no namespace: the Workspace's
            own is meant. False when the namespace is required.
        has_deletion_policy: Whether `spec.deletionPolicy` exists. Where it does not, what may be destroyed is
            a matter of `managementPolicies`.
        provider_config_kind: Default of `spec.providerConfigRef.kind`; empty where the field does not exist.
    """

    kind: Kind[Workspace]
    own_namespace_only: bool
    has_deletion_policy: bool
    provider_config_kind: str

    @property
    def group(self) -> str:
        """The API group, which is what tells the flavours apart."""
        return self.kind.resource.group

    def namespace_for(self, namespace: str) -> str:
        """Return the namespace of the Workspace of an apply in `namespace`; empty for cluster-scoped Workspaces."""
        return namespace if self.kind.resource.namespaced else ""


def _flavour(kind: Kind[Workspace]) -> Flavour:
    namespaced = kind.resource.namespaced
    return Flavour(
        kind=kind,
        own_namespace_only=namespaced,
        has_deletion_policy=not namespaced,
        provider_config_kind="ClusterProviderConfig" if namespaced else "",
    )


_PREFERENCE: Final = ("tf.upbound.io", "tf.m.upbound.io", "opentofu.upbound.io", "opentofu.m.upbound.io")

FLAVOURS: Final[tuple[Flavour, ...]] = tuple(
    sorted(map(_flavour, WORKSPACE_FLAVOURS), key=lambda flavour: _PREFERENCE.index(flavour.group))
)
"""All flavours, in order of preference."""

GO_ORIGINAL: Final = next(flavour for flavour in FLAVOURS if flavour.group == "tf.upbound.io")
"""The only flavour that the Go original knew."""


def choose(served: Collection[str], preferred: str) -> Flavour | None:
    """Return the flavour in which a new Workspace is made.

    Args:
        served: API groups that serve Workspaces now.
        preferred: Group that the template asks for; empty for none. It is never replaced by another one: a
            flavour decides which provider, credentials and state backend are used.

    Returns:
        None when the cluster serves nothing that fits.
    """
    wanted = (flavour for flavour in FLAVOURS if preferred in ("", flavour.group))
    return next((flavour for flavour in wanted if flavour.group in served), None)
