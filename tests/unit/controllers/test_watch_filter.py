from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from capt.controllers.kinds import APPLY, CAPT_CLUSTER, CLUSTER, MACHINE, MACHINE_SET, OWNERS
from capt.controllers.names import WATCH_FILTER_LABEL
from capt.controllers.watch_filter import WatchFilter
from capt.runtime import Informers, Key, Kind
from capt.runtime.testing import FakeClock
from tests.support.memory_api import MemoryApi

BLUE = {WATCH_FILTER_LABEL: "blue"}
KINDS: tuple[Kind[Any], ...] = (CLUSTER, CAPT_CLUSTER, APPLY, MACHINE_SET, MACHINE)


class World:
    """Objects in caches, and a filter for `blue` over them."""

    def __init__(self, api: MemoryApi, informers: Informers) -> None:
        self._api = api
        self._informers = informers
        self._filter = WatchFilter(informers, OWNERS, "blue")

    def put(self, kind: Kind[Any], *owners: dict[str, Any], labels: dict[str, str] | None = None) -> None:
        """Put an object of the kind there, named after it."""
        name = kind.resource.kind.lower()
        metadata = {"uid": f"uid-{name}", "labels": labels or {}, "ownerReferences": list(owners)}
        self._api.put(kind.resource.plural, "ns", name, kind=kind.resource.kind, metadata=metadata)

    async def minded(self, kind: Kind[Any]) -> bool:
        """Tell whether the object of a kind is minded."""
        for each in KINDS:
            await (await self._informers.watch(each, lambda event: None)).wait_synced()
        found = self._informers.store(kind).get(Key("ns", kind.resource.kind.lower()))
        assert found is not None
        return self._filter.selects(found)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    api = MemoryApi(*(kind.resource.plural for kind in KINDS))
    async with Informers(api, clock=FakeClock()) as informers:
        yield World(api, informers)


def owner(kind: Kind[Any], *, uid: str = "", controller: bool = True) -> dict[str, Any]:
    name = kind.resource.kind.lower()
    return {
        "apiVersion": kind.resource.api_version,
        "kind": kind.resource.kind,
        "name": name,
        "uid": uid or f"uid-{name}",
        "controller": controller,
    }


@pytest.mark.parametrize(
    ("labels", "minded"), [(BLUE, True), ({WATCH_FILTER_LABEL: "green"}, False), ({}, False)]
)
async def test_the_label_of_the_object_decides(world, labels, minded):
    """A13: an object without the label, or with another value, is left to somebody else."""
    world.put(CAPT_CLUSTER, labels=labels)

    assert await world.minded(CAPT_CLUSTER) is minded


async def test_what_an_object_makes_is_minded_with_it(world):
    """An apply of a machine of a set carries no label of its own: that of the set counts."""
    world.put(MACHINE_SET, labels=BLUE)
    world.put(MACHINE, owner(MACHINE_SET))
    world.put(APPLY, owner(MACHINE))

    assert await world.minded(APPLY)


@pytest.mark.parametrize("controller", [True, False])
async def test_the_label_of_a_cluster_is_no_providers_business(world, controller):
    """A13: as with other providers the label is on the provider's own objects; that of a Cluster tells core's manager."""
    world.put(CLUSTER, labels=BLUE)
    world.put(CAPT_CLUSTER, owner(CLUSTER, controller=controller))

    assert not await world.minded(CAPT_CLUSTER)


@pytest.mark.parametrize("reference", [owner(MACHINE, uid="another"), owner(MACHINE, controller=False)])
async def test_only_the_object_that_controls_it_counts(world, reference):
    """An owner that is gone and was made again under its name, or that merely refers to it, decides nothing."""
    world.put(MACHINE, labels=BLUE)
    world.put(APPLY, reference)

    assert not await world.minded(APPLY)
