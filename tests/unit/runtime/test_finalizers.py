"""Finalizers are shared: they are written under a precondition and never at others' expense."""

import pytest

from capt.runtime import Client, Conflict, NotFound, finalizers
from capt.runtime.testing import FakeClock
from tests.support.memory_api import MemoryApi
from tests.support.things import THING, Thing

PATH = "/apis/test.dev/v1/namespaces/ns/things/a"


@pytest.fixture
def api():
    return MemoryApi("things")


@pytest.fixture
def client(api):
    return Client(api, clock=FakeClock())


def stored(api, *names, **metadata):
    obj = api.put(
        "things", "ns", "a", apiVersion="test.dev/v1", metadata={"finalizers": list(names), **metadata}
    )
    return Thing.model_validate(obj)


def present(api):
    return api.objects["things", "ns", "a"]["metadata"]["finalizers"]


def meddle(api, times, *names):
    """Have somebody else write the list right before each of the next patches."""
    left = [times]

    def before(method, path):
        if method == "PATCH" and left[0]:
            left[0] -= 1
            api.put("things", "ns", "a", metadata={"finalizers": list(names), "labels": {"n": str(left[0])}})

    api.before = before


class TestAdd:
    async def test_it_is_appended(self, api, client):
        """Others' finalizers stay, and the object that comes back is the new one."""
        obj = await finalizers.add(client, THING, stored(api, "theirs"), "mine")
        assert present(api) == ["theirs", "mine"]
        assert obj.metadata.finalizers == ("theirs", "mine")

    async def test_one_that_is_there_costs_nothing(self, api, client):
        """No request when nothing is to do."""
        obj = stored(api, "mine")
        assert await finalizers.add(client, THING, obj, "mine") is obj
        assert api.requests == []

    async def test_an_object_being_deleted_gets_none(self, api, client):
        """The API server would refuse it, and there is nothing left to guard."""
        obj = stored(api, "theirs", deletionTimestamp="2026-01-01T00:00:00Z")
        assert await finalizers.add(client, THING, obj, "mine") is obj
        assert api.requests == []

    async def test_a_stale_read_overwrites_nobody(self, api, client):
        """What another added meanwhile is still there afterwards."""
        obj = stored(api, "theirs")
        stored(api, "theirs", "new")
        await finalizers.add(client, THING, obj, "mine")
        assert present(api) == ["theirs", "new", "mine"]

    async def test_a_namesake_is_left_alone(self, api, client):
        """An object that was replaced by one of the same name does not get the finalizer."""
        obj = stored(api)
        api.drop("things", "ns", "a")
        stored(api)
        with pytest.raises(NotFound):
            await finalizers.add(client, THING, obj, "mine")
        assert present(api) == []

    async def test_an_object_that_is_gone_is_reported(self, api, client):
        """There is nothing to put it on."""
        obj = stored(api)
        api.drop("things", "ns", "a")
        with pytest.raises(NotFound):
            await finalizers.add(client, THING, obj, "mine")

    async def test_endless_contention_ends(self, api, client):
        """After a few tries the conflict comes out, and the reconcile starts over."""
        obj = stored(api)
        meddle(api, 100, "theirs")
        with pytest.raises(Conflict):
            await finalizers.add(client, THING, obj, "mine")


async def test_inv_109_a_guarded_deletion_from_beginning_to_end(api, client):
    """Put on while the object lives, not while it goes; work that fails keeps its own finalizer only.

    controller-runtime's set of finalizers runs what was registered under each name. Ours are two functions: what is to be
    done before an object may go is a decision of its reconciler, and nothing is registered anywhere.
    """
    obj = await finalizers.add(client, THING, stored(api), "first")
    obj = await finalizers.add(client, THING, obj, "second")
    assert present(api) == ["first", "second"]
    obj = Thing.model_validate(
        api.put("things", "ns", "a", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    )
    await finalizers.add(client, THING, obj, "third")
    assert present(api) == ["first", "second"]
    for name, works in (("first", True), ("second", False)):
        if works:
            await finalizers.remove(client, THING, obj, name)
    assert present(api) == ["second"]


class TestRemove:
    async def test_only_ours_goes(self, api, client):
        """Others' finalizers stay."""
        await finalizers.remove(client, THING, stored(api, "theirs", "mine"), "mine")
        assert present(api) == ["theirs"]

    async def test_one_that_is_not_there_costs_nothing(self, api, client):
        """No request when nothing is to do."""
        await finalizers.remove(client, THING, stored(api, "theirs"), "mine")
        assert api.requests == []

    async def test_contention_loses_nothing(self, api, client):
        """What another added meanwhile is still there afterwards, and ours is gone."""
        obj = stored(api, "mine")
        meddle(api, 2, "mine", "new")
        await finalizers.remove(client, THING, obj, "mine")
        assert present(api) == ["new"]

    async def test_an_object_that_is_gone_is_fine(self, api, client):
        """Somebody else finished the deletion."""
        obj = stored(api, "mine")
        api.drop("things", "ns", "a")
        await finalizers.remove(client, THING, obj, "mine")

    async def test_a_namesake_keeps_its_own(self, api, client):
        """The finalizer of an object made later under the same name is none of our business."""
        obj = stored(api, "mine")
        api.drop("things", "ns", "a")
        stored(api, "mine")
        await finalizers.remove(client, THING, obj, "mine")
        assert present(api) == ["mine"]

    async def test_endless_contention_ends(self, api, client):
        """After a few tries the conflict comes out."""
        obj = stored(api, "mine")
        meddle(api, 100, "mine")
        with pytest.raises(Conflict):
            await finalizers.remove(client, THING, obj, "mine")
