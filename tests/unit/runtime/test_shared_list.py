"""Lists that several controllers write are changed under a lock of their version."""

import pytest

from capt.runtime import Client, Conflict, NotFound, shared_list
from capt.runtime.testing import FakeClock
from tests.support.memory_api import MemoryApi
from tests.support.things import THING, Thing

OWNERS = ("metadata", "ownerReferences")
MINE, OTHER = ({"kind": "Thing", "name": name, "uid": f"uid-{name}"} for name in ("mine", "other"))


@pytest.fixture
def api():
    return MemoryApi("things")


def stored(api, **metadata):
    return Thing.model_validate(api.put("things", "ns", "a", apiVersion="test.dev/v1", metadata=metadata))


def with_mine(_obj, present):
    return None if MINE in present else [*present, MINE]


async def test_entries_that_come_meanwhile_stay(api):
    """Between read and write somebody else adds an owner: both are there in the end."""
    client = Client(api, clock=FakeClock())
    obj = stored(api)
    stored(api, ownerReferences=[OTHER])
    changed = await shared_list.change(client, THING, obj, OWNERS, with_mine)
    assert [owner.uid for owner in changed.metadata.owner_references] == ["uid-other", "uid-mine"]


async def test_nothing_to_change_is_no_request(api):
    """The object is returned as it was read."""
    client = Client(api)
    stored(api, ownerReferences=[MINE])
    obj = await client.get_live(THING, "ns", "a")
    assert await shared_list.change(client, THING, obj, OWNERS, with_mine) is obj
    assert api.writes == []


async def test_a_namesake_keeps_its_list(api):
    """An object that was replaced counts as gone."""
    obj = stored(api)
    api.drop("things", "ns", "a")
    stored(api)
    with pytest.raises(NotFound, match="is gone"):
        await shared_list.change(Client(api), THING, obj, OWNERS, with_mine)
    assert "ownerReferences" not in api.objects["things", "ns", "a"]["metadata"]


async def test_contention_has_an_end(api):
    """Who never gets a turn is told so by the conflict."""
    obj = stored(api)
    api.before = lambda method, _path: (
        method == "PATCH" and stored(api, annotations={"n": str(len(api.requests))})
    )
    with pytest.raises(Conflict):
        await shared_list.change(Client(api), THING, obj, OWNERS, with_mine)
    assert len(api.writes) == shared_list.TRIES
