"""What a control plane calls its optional children, and the secrets of its cluster."""

from __future__ import annotations

from typing import Final

from capt.controllers.names import shorten

_NAME_LIMIT: Final = 253


def kubeconfig_apply_name(control_plane: str) -> str:
    """Return the name of the WorkspaceTemplateApply that makes the kubeconfig (the Go original's)."""
    return _with_suffix(control_plane, "-kubeconfig-apply")


def fargate_apply_name(control_plane: str) -> str:
    """Return the name of the WorkspaceTemplateApply of the Fargate profiles."""
    return _with_suffix(control_plane, "-fargate-apply")


def spot_role_apply_name(template: str) -> str:
    """Return the name of the WorkspaceTemplateApply of the role for EC2 Spot.

    It is a function of the template alone: the role is the account's, so all control planes that name one
    template share one.
    """
    return _with_suffix(template, "-account-apply")


def kubeconfig_connection_secret_name(control_plane: str) -> str:
    """Return the name of the Secret that receives the outputs of the kubeconfig's template."""
    return _with_suffix(control_plane, "-kubeconfig-connection")


def kubeconfig_secret_name(cluster: str) -> str:
    """Return the name of the kubeconfig Secret of a Cluster (Cluster API contract)."""
    return f"{cluster}-kubeconfig"


def user_kubeconfig_secret_name(cluster: str) -> str:
    """Return the name of the kubeconfig Secret for people (as Cluster API's AWS provider calls it)."""
    return f"{cluster}-user-kubeconfig"


def certificate_secret_name(cluster: str) -> str:
    """Return the name of the Secret of a Cluster's certificate authority (Cluster API contract)."""
    return f"{cluster}-ca"


def _with_suffix(name: str, suffix: str) -> str:
    return shorten(name, _NAME_LIMIT - len(suffix)) + suffix
