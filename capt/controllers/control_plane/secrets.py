"""The Secrets of a cluster: what they hold, and what to do about those that are there.

Type, label and key are the Cluster API contract's (C11, C13): its caches select Secrets by that label.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from capt.api import APIEndpoint, CAPTControlPlane, Secret
from capt.controllers import names
from capt.controllers.control_plane import naming
from capt.controllers.control_plane.kubeconfig import Kubeconfig, user_kubeconfig
from capt.controllers.kinds import CAPT_CONTROL_PLANE
from capt.runtime.merge_patch import overlay
from capt.runtime.owners import controller_reference, is_controlled_by

CLUSTER_SECRET_TYPE: Final = "cluster.x-k8s.io/secret"  # noqa: S105 - a type


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A Secret as it should be.

    Attributes:
        name: Its name.
        data: Its contents.
    """

    name: str
    data: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSecret:
    """Make the Secret."""

    body: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateSecret:
    """Change the Secret."""

    patch: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceSecret:
    """Delete the Secret, and make it anew: its type cannot be changed."""

    body: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeepSecret:
    """The Secret is as it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignSecret:
    """Somebody else controls the Secret."""

    problem: str


SecretPlan = CreateSecret | UpdateSecret | ReplaceSecret | KeepSecret | ForeignSecret


def wanted_secrets(
    cluster: str,
    endpoint: APIEndpoint,
    kubeconfig: Kubeconfig | None,
    authority: str,
    *,
    eks_name: str,
    region: str | None,
) -> tuple[Wanted, ...]:
    """Return the Secrets that a cluster should have.

    Args:
        cluster: Name of the Cluster.
        endpoint: Where its API server is reached.
        kubeconfig: The one for Cluster API; None when there is no credential for it.
        authority: Certificate authority, PEM; empty when it is not known.
        eks_name: What EKS calls the cluster.
        region: AWS region, if it is known.
    """
    wanted: list[Wanted] = []
    if authority:
        wanted.append(
            Wanted(
                name=naming.certificate_secret_name(cluster), data={"tls.crt": authority, "ca.crt": authority}
            )
        )
        text = user_kubeconfig(cluster, endpoint, authority, eks_name=eks_name, region=region)
        wanted.append(Wanted(name=naming.user_kubeconfig_secret_name(cluster), data={"value": text}))
    if kubeconfig is not None:
        wanted.append(Wanted(name=naming.kubeconfig_secret_name(cluster), data={"value": kubeconfig.text}))
    return tuple(wanted)


def plan_secret(
    wanted: Wanted, found: Secret | None, control_plane: CAPTControlPlane, cluster: str
) -> SecretPlan:
    """Decide what to do about a Secret.

    One that nobody controls is taken over if it carries the cluster's label: it was restored from a backup, or
    moved here.

    Args:
        wanted: As it should be.
        found: What there is under its name.
        control_plane: Who makes it.
        cluster: Name of the Cluster.
    """
    metadata = {
        "labels": {names.CLUSTER_NAME_LABEL: names.label_value(cluster)},
        "ownerReferences": [controller_reference(CAPT_CONTROL_PLANE, control_plane)],
    }
    data = {name: base64.b64encode(text.encode()).decode() for name, text in wanted.data.items()}
    body = {
        "metadata": {"name": wanted.name, "namespace": control_plane.metadata.namespace, **metadata},
        "type": CLUSTER_SECRET_TYPE,
        "data": data,
    }
    if found is None:
        return CreateSecret(body=body)
    ours = is_controlled_by(found, control_plane)
    label = found.metadata.labels.get(names.CLUSTER_NAME_LABEL)
    if not ours and (found.metadata.controller is not None or label != names.label_value(cluster)):
        problem = f"Secret {wanted.name} exists and does not belong to this control plane"
        return ForeignSecret(problem=problem)
    if found.type != CLUSTER_SECRET_TYPE:
        return ReplaceSecret(body=body)
    present = found.model_dump(mode="json", by_alias=True, exclude_none=True)
    wish: dict[str, Any] = {"metadata": {"labels": metadata["labels"]}, "data": data}
    if not ours:
        owners = present["metadata"].get("ownerReferences", [])
        wish["metadata"]["ownerReferences"] = [*owners, *metadata["ownerReferences"]]
    patch = overlay(present, wish)
    return UpdateSecret(patch=patch) if patch else KeepSecret()
