from __future__ import annotations

import asyncio

import pytest

from capt.runtime import Key
from capt.runtime.own_writes import OwnWrites
from capt.runtime.store import Store
from capt.runtime.testing import FakeClock, settle
from tests.support.scripted import thing

A = Key("default", "a")


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def writes(store, clock):
    return OwnWrites(store, clock)


async def test_inv_091_a_write_is_seen_when_its_event_came(store, writes):
    """A read of what was written waits until the cache has the written version."""
    writes.expect(A, 5)
    waiting = asyncio.create_task(writes.seen([A], 5))
    store.upsert(thing("a", 4))
    writes.observe(A)
    await settle()
    assert not waiting.done()
    store.upsert(thing("a", 5))
    writes.observe(A)
    assert await waiting


async def test_inv_091_the_event_may_come_before_the_answer(store, writes):
    """A write whose event has already come, or something newer, is not waited for."""
    store.upsert(thing("a", 7))
    writes.expect(A, 5)
    writes.expect(A, 7)
    assert len(writes) == 0
    assert await writes.seen([A], 5)


async def test_inv_091_waiting_has_an_end(clock, writes):
    """A read that waits too long is told so; the write is still waited for by the next one."""
    writes.expect(A, 5)
    waiting = asyncio.create_task(writes.seen([A], 5))
    await clock.advance(4.9)
    assert not waiting.done()
    await clock.advance(0.2)
    assert not await waiting
    assert A in writes


async def test_a_bookmark_settles(store, writes):
    """A version of the whole store that covers the write settles it: somebody deleted the object meanwhile."""
    writes.expect(A, 5)
    store.observe(9)
    writes.observe_all()
    assert len(writes) == 0


@pytest.mark.parametrize(
    "after",
    [
        lambda store: store.remove(thing("a", 9)),
        lambda store: store.upsert(thing("a", 9, deleting=True)),
        lambda store: store.upsert(thing("a", 9, uid="another")),
    ],
)
async def test_a_deletion_is_seen(store, writes, after):
    """A deletion is seen when the object is gone, is being deleted, or is another one."""
    store.upsert(thing("a", 3))
    writes.expect_deletion(A, "uid-of-a")
    store.upsert(thing("a", 4))
    writes.observe(A)
    assert A in writes
    after(store)
    writes.observe(A)
    assert A not in writes


async def test_created_then_deleted(store, writes):
    """An object deleted before its creation was seen stays expected until both have passed."""
    writes.expect(A, 5)
    writes.expect_deletion(A, "uid-of-a")
    store.upsert(thing("a", 5))
    writes.observe(A)
    assert A in writes
    store.remove(thing("a", 6))
    writes.observe(A)
    assert A not in writes


async def test_a_reader_that_gives_up_leaves_others_waiting(store, writes):
    """A cancelled reader takes no other reader down."""
    writes.expect(A, 5)
    first, second = (asyncio.create_task(writes.seen([A], 5)) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    store.upsert(thing("a", 5))
    writes.observe(A)
    assert await second


async def test_pending_by_namespace(writes):
    """A list of one namespace waits for the writes to that namespace only."""
    writes.expect(A, 5)
    writes.expect(Key("other", "b"), 6)
    assert writes.pending("other") == [Key("other", "b")]
    assert len(writes.pending()) == 2
