"""A small stand-in for Cluster API core, for the demo and for tests: where there is a cluster, the real one is used.

It does what the provider contract says that core does, and nothing for CAPT's convenience: it finds kinds by the
contract's labels on their definitions, reads them without their models, becomes their owner, copies what they report
to the Cluster, clones templates for a topology, and deletes the control plane before the infrastructure.

What it leaves out: Machines and everything about them, remote access to the workload cluster, server-side apply
(a field that a ClusterClass no longer sets stays as it was), and conversion between the versions of Cluster.
"""

from __future__ import annotations

from capt.demo.core.controllers import add_to
from capt.demo.core.edition import EDITIONS, Edition, EditionName

__all__ = ["EDITIONS", "Edition", "EditionName", "add_to"]
