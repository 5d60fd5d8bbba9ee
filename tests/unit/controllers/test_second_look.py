"""What was found past the cache is looked at again: of its end no event may ever tell."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from capt.api import CAPTControlPlane, WorkspaceTemplateApply
from capt.controllers import names
from capt.controllers.cluster.reconciler import CaptClusterReconciler
from capt.controllers.control_plane.reconciler import CaptControlPlaneReconciler
from capt.controllers.kinds import APPLY, CAPT_CLUSTER, MACHINE
from capt.controllers.machine.reconciler import CaptMachineReconciler
from capt.controllers.second_look import LOOK_AGAIN
from capt.controllers.workspace_template_apply.reconciler import WorkspaceTemplateApplyReconciler
from capt.runtime import After, Done, Request
from capt.runtime.testing import FakeClock
from tests.support.capt_clusters import capt_cluster
from tests.support.chain import TERRAFORM, apply_of, workspace
from tests.support.machines import machine

NOW = datetime(2026, 1, 1, tzinfo=UTC).isoformat()


class Answers:
    """A client whose cache and whose server hold what the test says, and which takes every write."""

    def __init__(self, *cached: tuple[Any, Any], live: tuple[tuple[Any, Any], ...] = ()) -> None:
        self.cached = {(kind, obj.metadata.name): obj for kind, obj in cached}
        self.live = {(kind, obj.metadata.name): obj for kind, obj in live} or self.cached

    async def get(self, kind, _namespace, name):
        return self.cached.get((kind, name))

    async def get_live(self, kind, _namespace, name):
        return self.live.get((kind, name))

    async def list(self, _kind, _namespace="", **_selection):
        return []

    async def served(self, kind):
        return kind is TERRAFORM.kind

    async def exists(self, *_of):
        return True

    async def patch_status(self, _kind, obj, _status):
        return obj


class Silent:
    """A recorder that tells nobody."""

    def normal(self, *_told): ...

    def warning(self, *_told): ...


def leaving(finalizer: str) -> dict[str, Any]:
    return {"deletionTimestamp": NOW, "finalizers": [finalizer]}


def child(name: str, owner: Any) -> WorkspaceTemplateApply:
    """An apply of an owner; it is being deleted."""
    reference = {
        "apiVersion": "v1",
        "kind": "Owner",
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
        "controller": True,
    }
    return apply_of(name, metadata={"deletionTimestamp": NOW, "ownerReferences": [reference]})


class Machine:
    obj = machine(metadata=leaving(names.MACHINE_FINALIZER))
    own = (MACHINE, obj)
    found = (APPLY, child(names.apply_name("m"), obj))

    @classmethod
    async def delete(cls, client):
        reconciler = CaptMachineReconciler(client, Silent(), FakeClock(), cross_namespace=False)
        return await reconciler.reconcile(Request("default", "m"))


class Cluster:
    obj = capt_cluster(metadata=leaving(names.CLUSTER_FINALIZER))
    own = (CAPT_CLUSTER, obj)
    found = (APPLY, child(names.vpc_apply_name("blue-abc12"), obj))

    @classmethod
    async def delete(cls, client):
        return await CaptClusterReconciler(client, Silent(), FakeClock()).reconcile_delete(cls.obj)


class ControlPlane:
    body: ClassVar = {
        "metadata": {
            "name": "cp",
            "namespace": "default",
            "uid": "u",
            **leaving(names.CONTROL_PLANE_FINALIZER),
        },
        "spec": {"version": "1.33", "workspaceTemplateRef": {"name": "eks"}},
    }
    obj = CAPTControlPlane.model_validate(body)
    own = (None, obj)
    found = (APPLY, child(names.control_plane_apply_name("cp"), obj))

    @classmethod
    async def delete(cls, client):
        return await CaptControlPlaneReconciler(client, Silent(), FakeClock()).reconcile_delete(cls.obj, None)


@pytest.mark.parametrize("kind", [Machine, Cluster, ControlPlane])
async def test_an_apply_that_only_the_server_knows_is_looked_at_again(kind):
    """A deletion that waits for an apply which the cache has not looks again by itself; one that it has wakes it."""
    assert await kind.delete(Answers(kind.own, kind.found)) == Done()
    past_the_cache = await kind.delete(Answers(kind.own, live=(kind.found,)))
    assert past_the_cache == After(LOOK_AGAIN, "WorkspaceTemplateApply")


async def test_a_workspace_that_only_the_server_knows_is_looked_at_again():
    """The Go original's Workspaces carry no mark by which a cache selects: their end is found by looking."""
    leaving_apply = apply_of(metadata={"deletionTimestamp": NOW}, status={"workspaceName": "w"})
    unmarked = workspace(metadata={"deletionTimestamp": NOW})
    client = Answers((APPLY, leaving_apply), live=((TERRAFORM.kind, unmarked),))
    reconciler = WorkspaceTemplateApplyReconciler(client, Silent(), FakeClock(), cross_namespace=False)
    assert await reconciler.reconcile_delete(leaving_apply) == After(LOOK_AGAIN, "Workspace")
