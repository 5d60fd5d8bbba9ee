"""The demo of a whole cluster, played against a manager with a simulated engine."""

from __future__ import annotations

from pathlib import Path

from capt.demo.child import Child
from capt.demo.cluster_story import tell_cluster
from capt.demo.core import EDITIONS
from capt.demo.tree import Row
from tests.support.cluster import Cluster
from tests.support.core import sweep


class _Record:
    """Keeps what a story says and shows."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.states: dict[str, list[str]] = {}
        self.shown: list[Row] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def show(self, lines: list[Row]) -> None:
        self.shown = lines
        for row in lines:
            states = self.states.setdefault(row.kind, [])
            if not states or states[-1] != row.state:
                states.append(row.state)


async def test_the_demo_brings_a_cluster_up_and_leaves_nothing(cluster: Cluster, tmp_path: Path) -> None:
    """From nothing to a control plane that is Ready, an endpoint and machines; then the Cluster is deleted, and
    machines, control plane and VPC go in this order."""
    cluster.write_kubeconfig(tmp_path / "kubeconfig")
    record = _Record()
    try:
        async with cluster.manager():
            await tell_cluster(Child(tmp_path / "kubeconfig", "simulated"), record)
    except BaseExceptionGroup as error:
        error.add_note("\n".join(map(str, record.shown)))
        raise
    finally:
        await sweep(cluster, EDITIONS["v1beta2"])
    assert {"Provisioning", "Provisioned", "Deleting"} <= set(record.states["cluster"])
    for kind in ("vpc", "control plane", "node group"):
        assert "Ready" in record.states[kind]
        assert record.states[kind][-1] == "Deleting"
    assert any("the control plane is Ready at" in sentence for sentence in record.said)
    assert record.said[-1].startswith("left: 0 clusters, 0 captclusters, 0 captcontrolplanes")
