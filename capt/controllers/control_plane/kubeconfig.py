"""The kubeconfigs of a cluster: one for Cluster API, one for people.

Cluster API's controllers read theirs inside their own containers. So it holds everything inline: a program to
run (`exec`) is not there, and a path would be read from the controller's own disk, which is nobody's to ask
for. People have the AWS CLI and their own rights; theirs runs it, and holds no credential at all.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from capt.api import APIEndpoint
from capt.controllers.control_plane.outputs import (
    CERTIFICATE_AUTHORITY,
    KUBECONFIG,
    TOKEN,
    Outputs,
    certificate_authority,
)

_SIZE_LIMIT: Final = 256 * 1024
_EXEC_VERSION: Final = "client.authentication.k8s.io/v1beta1"
_OF_CLUSTER_REFUSED: Final = ("certificate-authority",)
_OF_USER_REFUSED: Final = ("exec", "auth-provider", "tokenFile", "client-certificate", "client-key")
_CREDENTIALS: Final = ("token", "client-certificate-data", "password")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubeconfig:
    """A kubeconfig that Cluster API's controllers can use.

    Attributes:
        text: YAML.
        expires: Whether its credential is a token, which is renewed in the connection Secret.
    """

    text: str = field(repr=False)
    expires: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NoKubeconfig:
    """Why there is none.

    Attributes:
        problem: What is missing or wrong, for people.
    """

    problem: str


def contract_kubeconfig(cluster: str, endpoint: APIEndpoint, outputs: Outputs) -> Kubeconfig | NoKubeconfig:
    """Return the kubeconfig for Cluster API: the one that Terraform put out, else one of endpoint, CA and token.

    Args:
        cluster: Name of the Cluster.
        endpoint: Where its API server is reached.
        outputs: Outputs of the control plane, or of the template for its kubeconfig.
    """
    problem = ""
    if text := outputs.get(KUBECONFIG):
        found = _checked(text)
        if isinstance(found, Kubeconfig):
            return found
        problem = f"output {KUBECONFIG}: {found.problem}; "
    authority, token = certificate_authority(outputs), outputs.get(TOKEN)
    missing = [name for name, value in ((CERTIFICATE_AUTHORITY, authority), (TOKEN, token)) if not value]
    if not missing:
        return Kubeconfig(text=_dump(cluster, endpoint, authority, {"token": token}), expires=True)
    unusable = [name for name in missing if outputs.get(name)]
    words = f"the template has no usable output {KUBECONFIG}, and to make one of its other outputs "
    words += f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
    if unusable:
        words += f" ({' and '.join(unusable)}: neither PEM nor base64 of it)"
    return NoKubeconfig(problem=problem + words)


def user_kubeconfig(
    cluster: str, endpoint: APIEndpoint, authority: str, *, eks_name: str, region: str | None
) -> str:
    """Return the kubeconfig for people, who log in with the AWS CLI.

    Args:
        cluster: Name of the Cluster.
        endpoint: Where its API server is reached.
        authority: Its certificate authority, PEM.
        eks_name: What EKS calls the cluster.
        region: AWS region; None for the one that the CLI is configured for.
    """
    arguments = ["eks", "get-token", "--cluster-name", eks_name]
    if region is not None:
        arguments += ["--region", region]
    execute = {
        "apiVersion": _EXEC_VERSION,
        "command": "aws",
        "args": arguments,
        "interactiveMode": "IfAvailable",
        "installHint": "install the AWS CLI, version 2: https://aws.amazon.com/cli/",
    }
    return _dump(cluster, endpoint, authority, {"exec": execute})


def _dump(cluster: str, endpoint: APIEndpoint, authority: str, user: Mapping[str, Any]) -> str:
    name = f"{cluster}-admin" if "token" in user else f"{cluster}-user"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": cluster,
                "cluster": {
                    "server": f"https://{endpoint}",
                    "certificate-authority-data": base64.b64encode(authority.encode()).decode(),
                },
            }
        ],
        "users": [{"name": name, "user": dict(user)}],
        "contexts": [{"name": f"{name}@{cluster}", "context": {"cluster": cluster, "user": name}}],
        "current-context": f"{name}@{cluster}",
    }
    return yaml.safe_dump(content, sort_keys=False)


def _checked(text: str) -> Kubeconfig | NoKubeconfig:
    """Return a kubeconfig that came from Terraform, if its current context is complete and holds all inline."""
    if len(text) > _SIZE_LIMIT:
        return NoKubeconfig(problem=f"it has more than {_SIZE_LIMIT} characters")
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        # the parser quotes what it cannot read
        return NoKubeconfig(problem="it is no YAML")
    context = _named(content, "contexts", "context", _text(content, "current-context"))
    cluster = _named(content, "clusters", "cluster", _text(context, "cluster"))
    user = _named(content, "users", "user", _text(context, "user"))
    if cluster is None or user is None:
        return NoKubeconfig(problem="its current context does not name a cluster and a user that it has")
    if not _text(cluster, "server").startswith("https://"):
        return NoKubeconfig(problem="its server is no https URL")
    refused = [name for name in _OF_CLUSTER_REFUSED if cluster.get(name)]
    refused += [name for name in _OF_USER_REFUSED if user.get(name)]
    if refused:
        return NoKubeconfig(
            problem=f"it uses {', '.join(refused)}, which Cluster API's controllers cannot run or read"
        )
    if not any(_text(user, name) for name in _CREDENTIALS):
        return NoKubeconfig(problem="its user has no credential")
    return Kubeconfig(text=text + "\n", expires=bool(_text(user, "token")))


def _named(content: Any, listed: str, inner: str, name: str) -> Mapping[str, Any] | None:
    items = content.get(listed) if isinstance(content, Mapping) else None
    for item in items if isinstance(items, list) else ():
        if isinstance(item, Mapping) and name and item.get("name") == name:
            found = item.get(inner)
            return found if isinstance(found, Mapping) else None
    return None


def _text(content: Any, name: str) -> str:
    value = content.get(name) if isinstance(content, Mapping) else None
    return value if isinstance(value, str) else ""
