from __future__ import annotations

import pytest

from capt.api import LabelSelector
from capt.controllers.kinds import MACHINE, MACHINE_SET
from capt.controllers.ownership import adopt, claim, is_orphaning
from capt.runtime import Conflict
from tests.support.machines import machine, machine_set, owned_by

SELECTOR = LabelSelector(match_labels={"role": "worker"})
OWNER = machine_set("owner")


def labelled(name: str, role: str, **fields):
    return machine(name, metadata={"labels": {"role": role}, **owned_by(OWNER)}, **fields)


def orphan(name: str, role: str, **fields):
    return machine(name, metadata={"labels": {"role": role}}, **fields)


def test_children_that_match_are_kept_and_others_released():
    """A child whose labels no longer match is let go; a matching one stays, being deleted or not."""
    stays, going, strays = labelled("a", "worker"), labelled("b", "worker", deleting=True), labelled("c", "x")
    claimed = claim(owner=OWNER, selector=SELECTOR, children=[stays, going, strays], orphans=[])
    assert claimed.kept == (stays, going)
    assert claimed.released == (strays,)


def test_orphans_that_match_are_adopted():
    """An orphan that matches is taken, unless it is being deleted."""
    fits = orphan("a", "worker")
    others = [orphan("b", "x"), orphan("c", "worker", deleting=True)]
    claimed = claim(owner=OWNER, selector=SELECTOR, children=[], orphans=[fits, *others])
    assert claimed.adopted == (fits,)


def test_an_owner_that_is_being_deleted_neither_adopts_nor_releases():
    """Once it is being deleted, a parent takes nothing and lets nothing go."""
    owner = machine_set("owner", deleting=True)
    child = labelled("a", "x")
    claimed = claim(owner=owner, selector=SELECTOR, children=[child], orphans=[orphan("b", "worker")])
    assert (claimed.kept, claimed.adopted, claimed.released) == ((child,), (), ())


class LiveOwner:
    """A client for which the owner is what the test says; it notes what is written."""

    def __init__(self, found):
        self.found, self.patches = found, []

    async def get_live(self, _kind, _namespace, _name):
        return self.found

    async def patch(self, _kind, _namespace, name, patch, **_preconditions):
        self.patches.append((name, patch["metadata"]["ownerReferences"][0]["uid"]))
        return name


async def test_an_owner_that_is_there_adopts():
    """The orphan refers to its new owner."""
    client = LiveOwner(OWNER)
    assert await adopt(client, MACHINE, orphan("a", "worker"), MACHINE_SET, OWNER) == "a"
    assert client.patches == [("a", OWNER.metadata.uid)]


@pytest.mark.parametrize(
    "found", [None, machine_set("owner", deleting=True), machine_set("owner", metadata={"uid": "other"})]
)
async def test_an_owner_that_is_gone_adopts_nothing_and_is_looked_at_again(found):
    """What the cache did not know yet ends the reconcile with a conflict, before it acts for an owner that is gone."""
    client = LiveOwner(found)
    with pytest.raises(Conflict, match="owner adopts nothing"):
        await adopt(client, MACHINE, orphan("a", "worker"), MACHINE_SET, OWNER)
    assert client.patches == []


def test_cascade_orphan_is_recognised():
    """`kubectl delete --cascade=orphan` shows as a finalizer."""
    assert is_orphaning(machine_set(metadata={"finalizers": ["orphan"]}))
    assert not is_orphaning(machine_set())
