"""A real Kubernetes control plane for tests: etcd, kube-apiserver, kube-controller-manager on loopback."""

from hack.envtest.binaries import Binaries, BinariesMissingError, find, obtain
from hack.envtest.control_plane import ControlPlane, control_plane

__all__ = ["Binaries", "BinariesMissingError", "ControlPlane", "control_plane", "find", "obtain"]
