from __future__ import annotations

from capt.api import LabelSelector
from capt.controllers.ownership import claim, is_orphaning
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


def test_cascade_orphan_is_recognised():
    """`kubectl delete --cascade=orphan` shows as a finalizer."""
    assert is_orphaning(machine_set(metadata={"finalizers": ["orphan"]}))
    assert not is_orphaning(machine_set())
