from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from capt.runtime import Event, Key
from capt.runtime.store import Store
from tests.support.scripted import thing

NAMES = st.sampled_from(["a", "b", "c"])
NAMESPACES = st.sampled_from(["x", "y"])


def heard(events):
    return [(event.type, event.obj.name) for event in events]


def filled(*objects, resource_version=100):
    store = Store()
    draft = store.draft()
    for obj in objects:
        draft.put(obj)
    list(store.replace(draft, resource_version, initial=True))
    return store


def test_changes_are_told():
    """Adding, changing and deleting an object are told with the states before and after."""
    store = Store()
    first, second = thing("a", 1), thing("a", 2)
    assert store.upsert(first) == (Event(type="added", new=first),)
    assert store.upsert(second) == (Event(type="modified", old=first, new=second),)
    assert store.remove(thing("a", 3)) == (Event(type="deleted", old=second),)
    assert len(store) == 0


def test_inv_082_a_new_uid_is_a_new_object():
    """Delete and recreate that arrive as one change are told as a deletion and an addition."""
    store = filled(thing("a", 1))
    assert heard(store.upsert(thing("a", 101, uid="other"))) == [("deleted", "a"), ("added", "a")]
    draft = store.draft()
    draft.put(thing("a", 110, uid="third"))
    assert heard(store.replace(draft, 111)) == [("deleted", "a"), ("added", "a")]


def test_repeated_events_are_ignored():
    """An event that is not newer than what the store has seen changes nothing and tells nothing."""
    store = filled(thing("a", 5), resource_version=10)
    assert store.upsert(thing("a", 9)) == ()
    assert heard(store.remove(thing("a", 11))) == [("deleted", "a")]
    assert store.upsert(thing("a", 9)) == ()
    assert store.remove(thing("a", 11)) == ()
    assert store.get(Key("default", "a")) is None


def test_a_late_deletion_of_a_predecessor_is_ignored():
    """A repeated deletion does not take away the object that was made since under the name."""
    store = filled()
    store.upsert(thing("a", 120, uid="new"))
    assert store.remove(thing("a", 110, uid="old")) == ()
    assert store.get(Key("default", "a")).uid == "new"


def test_inv_078_relist_tells_deletions_first():
    """A list in place of another tells of deletions first, then of what is new or changed."""
    store = filled(thing("a", 1), thing("b", 2), thing("c", 3))
    draft = store.draft()
    for obj in (thing("a", 1), thing("b", 20), thing("d", 21)):
        draft.put(obj)
    events = list(store.replace(draft, 30))
    assert heard(events) == [("deleted", "c"), ("modified", "b"), ("added", "d")]
    assert not any(event.initial for event in events)


def test_inv_079_relist_is_atomic():
    """Readers see the old list until the new one is complete, then all of it, before any event is told."""
    store = filled(thing("a", 1))
    draft = store.draft()
    draft.put(thing("b", 20))
    assert [obj.name for obj in store.list()] == ["a"]
    events = store.replace(draft, 30)
    assert [obj.name for obj in store.list()] == ["b"]
    assert heard(events) == [("deleted", "a"), ("added", "b")]


def test_inv_090_version_covers_everything():
    """The store's version is that of the newest event, bookmarks and deletions included."""
    store = filled(resource_version=10)
    store.upsert(thing("a", 12))
    assert store.resource_version == 12
    store.remove(thing("a", 13))
    assert store.resource_version == 13
    store.observe(20)
    store.observe(15)
    assert store.resource_version == 20


def test_a_list_may_go_back_in_time():
    """After a restore of the API server's storage the lower version counts, and events after it are taken."""
    store = filled(thing("a", 500), resource_version=500)
    list(store.replace(store.draft(), 30))
    assert heard(store.upsert(thing("a", 31))) == [("added", "a")]


def test_reads_are_sorted():
    """Lists are sorted by namespace and name."""
    store = filled(thing("b"), thing("a"), thing("z", namespace="alpha"))
    assert [str(obj.key) for obj in store.list()] == ["alpha/z", "default/a", "default/b"]
    assert [obj.name for obj in store.list("default")] == ["a", "b"]
    assert store.list("nowhere") == []


def test_inv_089_indexes_follow():
    """An object is found under its present values only, and empty buckets do not stay."""
    store = filled(thing("a", 1, owner="u-1"), thing("b", 2, owner="u-1"))
    assert [obj.name for obj in store.by_owner("u-1")] == ["a", "b"]
    store.upsert(thing("a", 101, owner="u-2"))
    assert [obj.name for obj in store.by_owner("u-1")] == ["b"]
    assert [obj.name for obj in store.by_owner("u-2")] == ["a"]
    store.remove(thing("a", 102, owner="u-2"))
    assert store.by_owner("u-2") == []


def test_an_index_may_come_late():
    """An index that is added later knows the objects that were there, and those of a list under way."""
    store = filled(thing("a", labels={"team": "x"}))
    draft = store.draft()
    draft.put(thing("b", 120, labels={"team": "x"}))
    store.add_index("team", lambda obj: [obj.labels["team"]] if "team" in obj.labels else [])
    draft.put(thing("c", 121, labels={"team": "x"}))
    assert [obj.name for obj in store.by_index("team", "x")] == ["a"]
    list(store.replace(draft, 130))
    assert [obj.name for obj in store.by_index("team", "x")] == ["b", "c"]


def test_an_index_name_belongs_to_one_function():
    """Two functions under one name would answer each other's questions."""
    with pytest.raises(ValueError, match="owner"):
        Store().add_index("owner", lambda _: [])


def test_a_broken_index_function_loses_its_object_only():
    """An index function that raises leaves the object out of that index, and out of nothing else."""
    store = Store()
    store.add_index("size", lambda obj: [obj.labels["size"]])
    store.upsert(thing("a", 1))
    store.upsert(thing("b", 2, labels={"size": "1"}))
    assert [obj.name for obj in store.by_index("size", "1")] == ["b"]
    assert len(store.list()) == 2


THINGS = {
    "namespace": NAMESPACES,
    "name": NAMES,
    "owner": st.sampled_from(["", "o1", "o2"]),
    "uid": st.sampled_from(["u1", "u2"]),
    "size": st.sampled_from(["", "s", "l"]),
}


class StoreMachine(RuleBasedStateMachine):
    """Whatever happens, the store equals a dictionary, and replaying its events gives the same dictionary."""

    def __init__(self):
        super().__init__()
        self.store = Store()
        self.store.add_index("size", lambda obj: [obj.labels["size"]] if obj.labels else [])
        self.model = {}
        self.replayed = {}
        self.version = 0

    def make(self, namespace, name, owner, uid, size):
        self.version += 1
        labels = {"size": size} if size else {}
        return thing(name, self.version, namespace=namespace, owner=owner, uid=uid, labels=labels)

    def hear(self, events):
        for event in events:
            key = event.obj.key
            if event.type == "added":
                assert key not in self.replayed
                self.replayed[key] = event.new
            elif event.type == "modified":
                assert self.replayed[key] is event.old
                assert event.old.uid == event.new.uid
                self.replayed[key] = event.new
            else:
                assert self.replayed.pop(key).uid == event.old.uid

    @rule(**THINGS)
    def upsert(self, **fields):
        obj = self.make(**fields)
        self.hear(self.store.upsert(obj))
        self.model[obj.key] = obj

    @rule(namespace=NAMESPACES, name=NAMES)
    def remove(self, namespace, name):
        old = self.model.pop(Key(namespace, name), None)
        gone = self.make(namespace, name, "", old.uid if old else "u1", "")
        self.hear(self.store.remove(gone))

    @rule(objects=st.lists(st.fixed_dictionaries(THINGS), max_size=6))
    def relist(self, objects):
        draft, self.model = self.store.draft(), {}
        for fields in objects:
            obj = self.make(**fields)
            draft.put(obj)
            self.model[obj.key] = obj
        self.version += 1
        self.hear(self.store.replace(draft, self.version))

    @rule(namespace=NAMESPACES, name=NAMES)
    def repeat(self, namespace, name):
        old = self.model.get(Key(namespace, name))
        if old is not None:
            assert self.store.upsert(old) == ()

    @invariant()
    def agrees(self):
        assert {obj.key: obj for obj in self.store.list()} == self.model == self.replayed
        assert len(self.store) == len(self.model)
        assert self.store.size == sum(len(obj.raw) for obj in self.model.values())
        for uid in ("o1", "o2"):
            expected = sorted(
                obj.key for obj in self.model.values() if obj.owners and obj.owners[0].uid == uid
            )
            assert [obj.key for obj in self.store.by_owner(uid)] == expected
        for size in ("s", "l"):
            expected = sorted(obj.key for obj in self.model.values() if obj.labels.get("size") == size)
            assert [obj.key for obj in self.store.by_index("size", size)] == expected


TestStoreMachine = StoreMachine.TestCase
