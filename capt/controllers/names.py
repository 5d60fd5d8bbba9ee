"""What the controllers call things: finalizers, labels, annotations and the names of children.

Every name of a child is a function of its parent. A controller that has forgotten everything, or looks at a
stale cache, asks for the same name again and is told AlreadyExists: it cannot make a twin. Where a name had
to be cut to fit, a hash of the whole name is part of it, so two long parents never meet in one child.
"""

from __future__ import annotations

import hashlib
from typing import Final

# the finalizer strings of the Go original: objects written by it are cleaned up by us and the other way round
MACHINE_FINALIZER: Final = "captmachine.infrastructure.cluster.x-k8s.io"
MACHINE_SET_FINALIZER: Final = "captmachineset.infrastructure.cluster.x-k8s.io"
MACHINE_DEPLOYMENT_FINALIZER: Final = "captmachinedeployment.infrastructure.cluster.x-k8s.io"
APPLY_FINALIZER: Final = "infrastructure.cluster.x-k8s.io/finalizer"
TEMPLATE_FINALIZER: Final = "workspacetemplate.v2.infrastructure.cluster.x-k8s.io"
CLUSTER_FINALIZER: Final = "infrastructure.cluster.x-k8s.io/captcluster"
CONTROL_PLANE_FINALIZER: Final = "controlplane.cluster.x-k8s.io/captcontrolplane"

# Cluster API's own labels and annotations
CLUSTER_NAME_LABEL: Final = "cluster.x-k8s.io/cluster-name"
DEPLOYMENT_NAME_LABEL: Final = "cluster.x-k8s.io/deployment-name"
SET_NAME_LABEL: Final = "cluster.x-k8s.io/set-name"
PAUSED_ANNOTATION: Final = "cluster.x-k8s.io/paused"
MANAGED_BY_ANNOTATION: Final = "cluster.x-k8s.io/managed-by"
DELETE_FOR_MOVE_ANNOTATION: Final = "clusterctl.cluster.x-k8s.io/delete-for-move"
WATCH_FILTER_LABEL: Final = "cluster.x-k8s.io/watch-filter"
DELETE_MACHINE_ANNOTATION: Final = "cluster.x-k8s.io/delete-machine"
DISABLE_MACHINE_CREATE_ANNOTATION: Final = "cluster.x-k8s.io/disable-machine-create"

# ours
DEPLOYMENT_HASH_LABEL: Final = "capt-deployment-hash"
DEPLOYMENT_REVISION_ANNOTATION: Final = "captmachinedeployment.infrastructure.cluster.x-k8s.io/revision"
WORKSPACE_APPLY_NAMESPACE_LABEL: Final = "capt.infrastructure.cluster.x-k8s.io/apply-namespace"
WORKSPACE_APPLY_NAME_LABEL: Final = "capt.infrastructure.cluster.x-k8s.io/apply-name"
WORKSPACE_APPLY_UID_LABEL: Final = "capt.infrastructure.cluster.x-k8s.io/apply-uid"
WORKSPACE_APPLY_ANNOTATION: Final = "capt.infrastructure.cluster.x-k8s.io/apply"
WORKSPACE_REVISION_ANNOTATION: Final = "capt.infrastructure.cluster.x-k8s.io/revision"

LABEL_VALUE_LIMIT: Final = 63
_NAME_LIMIT: Final = 253
_HASH_LENGTH: Final = 8
# lower-case letters and digits without vowels and look-alikes, as in generated Kubernetes names
_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_ORDINAL_SUFFIX_LENGTH: Final = 5


def short_hash(text: str) -> str:
    """Return 8 hexadecimal digits of the SHA-256 of `text`."""
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]


def shorten(text: str, limit: int) -> str:
    """Return `text`, or its beginning and a hash of the whole when it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    return f"{text[: limit - _HASH_LENGTH - 1].rstrip('-.')}-{short_hash(text)}"


def label_value(name: str) -> str:
    """Return `name` as a label value: unchanged up to 63 characters, hash-shortened above."""
    return shorten(name, LABEL_VALUE_LIMIT)


def machine_set_name(deployment: str, template_hash: str) -> str:
    """Return the name of the set that a deployment makes for the template with this hash.

    At most 63 characters, so that it is its own label value.
    """
    return f"{shorten(deployment, LABEL_VALUE_LIMIT - len(template_hash) - 1)}-{template_hash}"


def machine_name(machine_set: str, set_uid: str, ordinal: int) -> str:
    """Return the name of the machine at `ordinal` (0, 1, ...) of a set.

    The set's uid is part of it: a set that was deleted and made again under its old name does not meet the
    machines of its former self, which may still be on their way out. At most 63 characters.
    """
    digest = int.from_bytes(hashlib.sha256(f"{set_uid}/{ordinal}".encode()).digest()[:8], "big")
    suffix = ""
    for _ in range(_ORDINAL_SUFFIX_LENGTH):
        digest, index = divmod(digest, len(_ALPHABET))
        suffix += _ALPHABET[index]
    return f"{shorten(machine_set, LABEL_VALUE_LIMIT - _ORDINAL_SUFFIX_LENGTH - 1)}-{suffix}"


def apply_name(machine: str) -> str:
    """Return the name of the WorkspaceTemplateApply of a CaptMachine (the Go original's)."""
    return shorten(machine, _NAME_LIMIT - len("-machine")) + "-machine"


def vpc_apply_name(cluster: str) -> str:
    """Return the name of the WorkspaceTemplateApply of a CAPTCluster (the Go original's)."""
    return shorten(cluster, _NAME_LIMIT - len("-vpc")) + "-vpc"


def vpc_secret_name(cluster: str) -> str:
    """Return the name of the Secret that receives the outputs of a CAPTCluster's VPC."""
    return shorten(cluster, _NAME_LIMIT - len("-vpc-connection")) + "-vpc-connection"


def control_plane_apply_name(control_plane: str) -> str:
    """Return the name of the WorkspaceTemplateApply of a CAPTControlPlane (the Go original's)."""
    return shorten(control_plane, _NAME_LIMIT - len("-eks-controlplane-apply")) + "-eks-controlplane-apply"


def control_plane_secret_name(control_plane: str) -> str:
    """Return the name of the Secret that receives the outputs of a CAPTControlPlane (the Go original's)."""
    return shorten(control_plane, _NAME_LIMIT - len("-eks-connection")) + "-eks-connection"


def workspace_name(namespace: str, apply: str) -> str:
    """Return the name of the Workspace of a WorkspaceTemplateApply, the same for every flavour of Workspace.

    It starts with the namespace, because Workspaces may be cluster-scoped, and ends with a hash of
    "namespace/apply", because "a-b/c" and "a/b-c" would otherwise be one. At most 63 characters: Terraform's
    Kubernetes backend puts it into a label.
    """
    head = f"{namespace}-{apply}".replace(".", "-")[: LABEL_VALUE_LIMIT - _HASH_LENGTH - 1].rstrip("-")
    return f"{head}-{short_hash(f'{namespace}/{apply}')}"
