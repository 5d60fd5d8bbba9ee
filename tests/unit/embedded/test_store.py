from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from capt.embedded.errors import StatusError
from capt.embedded.store import HEAVIEST_HISTORY, Change, Key, Store

RESOURCE = "things"
KEYS = st.builds(Key, st.sampled_from(["n", "n2", "m"]), st.sampled_from(["a", "b", "c"]))


class Storing(RuleBasedStateMachine):
    """A store against the plain list of all the states it went through."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store(window=8)
        self.states: dict[int, dict[Key, int]] = {1: {}}
        self.heard: list[Change] = []
        self.collection = self.store.collection(RESOURCE)
        self.collection.listeners.append(self.heard.append)

    def note(self, change: dict[Key, int | None]) -> None:
        state = {**self.states[max(self.states)], **change}
        self.states[self.store.revision] = {key: value for key, value in state.items() if value is not None}

    @rule(key=KEYS, value=st.integers(0, 99))
    def put(self, key: Key, value: int) -> None:
        content: dict[str, Any] = {"metadata": {"uid": str(key)}, "value": value}
        self.store.put(RESOURCE, key, "v1", content)
        self.note({key: value})

    @rule(key=KEYS)
    def remove(self, key: Key) -> None:
        if key in self.collection.objects:
            self.store.remove(RESOURCE, key)
            self.note({key: None})

    @rule()
    def elsewhere(self) -> None:
        self.store.put("others", Key("", "x"), "v1", {"metadata": {}})
        self.note({})

    @invariant()
    def every_state_in_the_window_can_be_listed(self) -> None:
        for revision, state in self.states.items():
            if revision < self.collection.oldest:
                with pytest.raises(StatusError):
                    self.collection.at(revision)
                continue
            for namespace in ("", "n", "n2"):
                listed = self.collection.at(revision, namespace)
                wanted = {k: v for k, v in sorted(state.items()) if namespace in ("", k.namespace)}
                assert {stored.key: stored.decode()["value"] for stored in listed} == wanted
                assert [stored.key for stored in listed] == list(wanted)

    @invariant()
    def the_present_is_the_last_state(self) -> None:
        for namespace in ("", "n", "n2", "m"):
            assert self.collection.select(namespace) == self.collection.at(self.store.revision, namespace)

    @invariant()
    def listeners_hear_every_change_in_order(self) -> None:
        revisions = [change.revision for change in self.heard]
        assert revisions == sorted(set(revisions))
        oldest = self.collection.oldest
        assert self.collection.since(oldest) == [change for change in self.heard if change.revision > oldest]


TestStoring = Storing.TestCase
TestStoring.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_the_history_of_large_objects_is_short() -> None:
    """Former states are forgotten, oldest first, before they fill the memory."""
    store, large = Store(), "x" * (HEAVIEST_HISTORY // 8)
    for _ in range(20):
        store.put(RESOURCE, Key("n", "a"), "v1", {"metadata": {}, "value": large})
    kept = store.collection(RESOURCE)
    assert sum(len(change.old.body) for change in kept.history if change.old) <= HEAVIEST_HISTORY
    assert store.revision - kept.oldest == len(kept.history) == 7
    with pytest.raises(StatusError, match="too old resource version"):
        kept.since(kept.oldest - 1)
