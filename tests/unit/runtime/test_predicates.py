"""Predicates and event mapping: which events become work, and whose."""

import pytest

from capt.runtime import (
    Controller,
    Event,
    Key,
    all_of,
    annotations_changed,
    any_of,
    generation_changed,
    labels_changed,
    not_,
    watch_mapped,
    watch_owned,
    watch_self,
)
from tests.support.things import PART, THING, WORLD, cached, controlled_by

OLD = cached(generation=1, labels={"a": "1"}, annotations={"n": "1"})
ADDED = Event(type="added", new=OLD)
DELETED = Event(type="deleted", old=OLD)
SAME = Event(type="modified", old=OLD, new=cached(generation=1, labels={"a": "1"}, annotations={"n": "1"}))
SPEC = Event(type="modified", old=OLD, new=cached(generation=2, labels={"a": "1"}, annotations={"n": "1"}))
LABELS = Event(type="modified", old=OLD, new=cached(generation=1, labels={"a": "2"}, annotations={"n": "1"}))
NOTES = Event(type="modified", old=OLD, new=cached(generation=1, labels={"a": "1"}))
SECRET = Event(type="modified", old=cached(), new=cached())


@pytest.mark.parametrize(
    ("predicate", "passing"),
    [
        (generation_changed, {"ADDED", "DELETED", "SPEC", "SECRET"}),
        (labels_changed, {"ADDED", "DELETED", "LABELS"}),
        (annotations_changed, {"ADDED", "DELETED", "NOTES"}),
        (any_of(generation_changed, labels_changed), {"ADDED", "DELETED", "SPEC", "LABELS", "SECRET"}),
        (all_of(generation_changed, labels_changed), {"ADDED", "DELETED"}),
        (not_(generation_changed), {"SAME", "LABELS", "NOTES"}),
    ],
)
def test_inv_111_truth_tables(predicate, passing):
    """Each predicate passes exactly its events; additions and deletions pass all but a negation."""
    events = {
        "ADDED": ADDED,
        "DELETED": DELETED,
        "SAME": SAME,
        "SPEC": SPEC,
        "LABELS": LABELS,
        "NOTES": NOTES,
        "SECRET": SECRET,
    }
    assert {name for name, event in events.items() if predicate(event)} == passing


class TestMapping:
    def test_self(self):
        """An object maps to its own key."""
        assert tuple(watch_self(THING).keys(cached(name="x"))) == (Key("ns", "x"),)

    @pytest.mark.parametrize(
        ("owners", "keys"),
        [
            (controlled_by(THING, "x"), (Key("ns", "x"),)),
            (controlled_by(THING, "x", controller=False), ()),
            (controlled_by(THING, "x", apiVersion="test.dev/v9"), (Key("ns", "x"),)),
            (controlled_by(THING, "x", apiVersion="other.dev/v1"), ()),
            (controlled_by(PART, "x"), ()),
            ([], ()),
        ],
    )
    def test_inv_110_owned_maps_to_the_controller_owner(self, owners, keys):
        """Only the controller owner of the right group and kind counts, in whatever version it is written."""
        assert tuple(watch_owned(PART, THING).keys(cached(PART, ownerReferences=owners))) == keys

    def test_inv_110_a_cluster_scoped_owner_has_no_namespace(self):
        """A cluster-scoped owner of a namespaced object is found without the namespace."""
        part = cached(PART, ownerReferences=controlled_by(WORLD, "earth"))
        assert tuple(watch_owned(PART, WORLD).keys(part)) == (Key("", "earth"),)


class TestDeclaration:
    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"name": ""}, "needs a name"),
            ({"watches": ()}, "exactly one watch_self, has 0"),
            ({"watches": (watch_self(THING), watch_self(PART))}, "exactly one watch_self, has 2"),
            ({"workers": 0}, "at least one worker"),
            ({"min_interval": -1}, "negative min_interval"),
            ({"timeout": 0}, "timeout above zero"),
        ],
    )
    def test_a_senseless_declaration_is_refused(self, changes, problem):
        """The error names the controller and what it lacks."""
        fields = {"name": "c", "reconciler": object(), "watches": (watch_self(THING),)}
        with pytest.raises(ValueError, match=problem):
            Controller(**fields | changes)

    def test_the_kind_is_that_of_watch_self(self):
        """Whatever else is watched, in whatever order, the kind reconciled is known."""
        mapped = watch_mapped(PART, lambda obj: (), reason="part")
        assert Controller(name="c", reconciler=object(), watches=(mapped, watch_self(THING))).kind is THING
