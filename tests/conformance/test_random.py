"""Random requests to both servers: the same answers, the same state after each, the same events.

`CAPT_TEST_EXAMPLES=300` tries as many scripts; the suite has time for 25.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.normal import differences, normalise
from tests.conformance.player import Player
from tests.conformance.servers import Servers
from tests.conformance.steps import (
    CONFIG_MAPS,
    NAMESPACES,
    WIDGETS,
    Send,
    config_map,
    delete,
    get,
    merge,
    owned_by,
    post,
    watch,
)
from tests.support.api_client import widget

pytestmark = pytest.mark.envtest

_EXAMPLES = int(os.environ.get("CAPT_TEST_EXAMPLES", "25"))
_NUMBERS = itertools.count()
_PATIENCE = 15.0
_POLL = 0.01
_FINALIZER = "example.com/f"
_NAMES = st.sampled_from("abc")
_LABELS = st.sampled_from([None, {"l": "x"}, {"l": "y"}])
_FINALIZERS = st.sampled_from([None, [_FINALIZER]])
_POLICIES = st.sampled_from(
    [
        {},
        {"propagationPolicy": "Background"},
        {"propagationPolicy": "Foreground"},
        {"propagationPolicy": "Orphan"},
    ]
)


def _meta(labels: Any, finalizers: Any) -> dict[str, Any]:
    return {name: value for name, value in (("labels", labels), ("finalizers", finalizers)) if value}


def _create_map(name: str, owner: str, labels: Any, finalizers: Any, *, blocks: bool) -> tuple[Send, ...]:
    meta = _meta(labels, finalizers)
    if owner == name:
        return (post(CONFIG_MAPS, config_map(name, **meta)),)
    reference = owned_by("owner", blockOwnerDeletion=blocks) | {"name": owner}
    return (
        get(f"{CONFIG_MAPS}/{owner}", save="owner", view=lambda _: None),
        post(CONFIG_MAPS, config_map(name, ownerReferences=[reference], **meta)),
    )


_ON_MAPS = st.one_of(
    st.builds(_create_map, _NAMES, _NAMES, _LABELS, _FINALIZERS, blocks=st.booleans()),
    st.builds(
        lambda name, value: (merge(f"{CONFIG_MAPS}/{name}", {"data": {"v": value}}),),
        _NAMES,
        st.sampled_from("12"),
    ),
    st.builds(
        lambda name, labels: (merge(f"{CONFIG_MAPS}/{name}", {"metadata": {"labels": labels}}),),
        _NAMES,
        _LABELS,
    ),
    st.builds(lambda name, policy: (delete(f"{CONFIG_MAPS}/{name}", policy),), _NAMES, _POLICIES),
    st.builds(
        lambda name, value: (merge(f"{CONFIG_MAPS}/{name}", {"metadata": {"finalizers": value}}),),
        _NAMES,
        _FINALIZERS,
    ),
)
_ON_WIDGETS = st.one_of(
    st.builds(
        lambda name, labels, finalizers: (post(WIDGETS, widget(name, meta=_meta(labels, finalizers))),),
        _NAMES,
        _LABELS,
        _FINALIZERS,
    ),
    st.builds(
        lambda name, value: (merge(f"{WIDGETS}/{name}", {"spec": {"replicas": value}}),),
        _NAMES,
        st.integers(-1, 12),
    ),
    st.builds(
        lambda name, value: (merge(f"{WIDGETS}/{name}/status", {"status": {"v": value}}),),
        _NAMES,
        st.integers(0, 2),
    ),
    st.builds(
        lambda name, labels: (merge(f"{WIDGETS}/{name}", {"metadata": {"labels": labels}}),), _NAMES, _LABELS
    ),
    st.builds(lambda name: (delete(f"{WIDGETS}/{name}"),), _NAMES),
    st.builds(
        lambda name, value: (merge(f"{WIDGETS}/{name}", {"metadata": {"finalizers": value}}),),
        _NAMES,
        _FINALIZERS,
    ),
    st.builds(
        lambda labels: (delete(WIDGETS, labelSelector=labels, view=lambda body: len(body["items"])),),
        st.sampled_from(["l=x", "l!=x"]),
    ),
)
_SCRIPTS = st.lists(st.one_of(_ON_MAPS, _ON_WIDGETS), min_size=4, max_size=14)


async def _state(player: Player) -> Any:
    """What there is, as far as the garbage collector decides it."""
    _, body = await player.request(get(CONFIG_MAPS))
    return [
        (
            item["metadata"]["name"],
            "deletionTimestamp" in item["metadata"],
            item["metadata"].get("finalizers", []),
            [owner["name"] for owner in item["metadata"].get("ownerReferences", [])],
        )
        for item in body["items"]
    ]


async def _settled(player: Player) -> Any:
    """The state when the embedded collector has nothing left to do."""
    before, now = None, await _state(player)
    while before != now:
        await asyncio.sleep(_POLL)
        before, now = now, await _state(player)
    return now


async def _reaches(player: Player, wanted: Any) -> Any:
    """The state that the real collector comes to: the wanted one, or what there is after a long wait."""
    try:
        async with asyncio.timeout(_PATIENCE):
            now = await _state(player)
            while now != wanted:
                await asyncio.sleep(_POLL)
                now = await _state(player)
    except TimeoutError:
        now = await _state(player)
    return now


async def _both(servers: Servers, script: list[tuple[Send, ...]], namespace: str) -> None:
    async with servers.real.session() as one, servers.embedded.session() as other:
        real, embedded = Player(servers.real, one, namespace), Player(servers.embedded, other, namespace)
        try:
            await _play(real, embedded, script, namespace)
        finally:
            real.close()
            embedded.close()
            await asyncio.sleep(_POLL)  # hung up TLS connections need a moment to be gone


async def _play(real: Player, embedded: Player, script: list[tuple[Send, ...]], namespace: str) -> None:
    begin = (
        post(NAMESPACES, {"metadata": {"name": namespace}}),
        get(WIDGETS, view=lambda _: None),
        watch("all", WIDGETS),
        watch("some", WIDGETS, labelSelector="l=x"),
    )
    for step in begin:
        await asyncio.gather(real.play(step), embedded.play(step))
    for steps in script:
        for step in steps:
            await asyncio.gather(real.play(step), embedded.play(step))
        wanted = await _settled(embedded)
        assert await _reaches(real, wanted) == wanted, f"after {embedded.transcript[-1][0]}"
    await asyncio.gather(*(_until_last(player) for player in (real, embedded)))
    left, right = (normalise([outcome for _, outcome in player.transcript]) for player in (real, embedded))
    for (step, _), seen, expected in zip(real.transcript, left, right, strict=True):
        found = [f"{where}: {text}" for where, text in differences(seen, expected)]
        assert not found, "\n".join([step, *found])


async def _until_last(player: Player) -> None:
    """Create a last object and read both watches up to it."""
    await player.play(post(WIDGETS, widget("last", meta={"labels": {"l": "x"}})))
    for name in ("all", "some"):
        await player.read_until(name, "last")


@settings(
    max_examples=_EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(_SCRIPTS)
def test_random_scripts_go_alike(servers: Servers, script: list[tuple[Send, ...]]) -> None:
    """Whatever is created, patched, owned and deleted in whatever order, both servers agree."""
    asyncio.run(_both(servers, script, f"random-{next(_NUMBERS)}"))
