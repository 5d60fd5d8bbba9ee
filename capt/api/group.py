"""The API groups of capt's kinds."""

from __future__ import annotations

GROUP = "infrastructure.cluster.x-k8s.io"
CONTROL_PLANE_GROUP = "controlplane.cluster.x-k8s.io"
VERSION = "v1beta1"
CATEGORIES = ("cluster-api", "capt")
"""kubectl categories that list every kind of capt."""

CRD_LABELS = (
    ("cluster.x-k8s.io/v1beta1", "v1beta1"),
    ("cluster.x-k8s.io/v1beta2", "v1beta1"),
)
"""Versions of the Cluster API contract, and the CRD version that fulfils each (contract rule: CRD labels)."""

MOVED = (("clusterctl.cluster.x-k8s.io/move", ""),)
"""Label of kinds that no Cluster owns, and that `clusterctl move` takes along all the same (contract rule F12)."""
