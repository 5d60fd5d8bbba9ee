"""Random requests to both servers: the same answers, the same state after each, the same events.

`CAPT_TEST_EXAMPLES=300` tries as many scripts; the suite has time for 25.
"""

from __future__ import annotations

import asyncio
import contextlib
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
from tests.support.steady_loop import run

pytestmark = pytest.mark.envtest

_EXAMPLES = int(os.environ.get("CAPT_TEST_EXAMPLES", "25"))
_NUMBERS = itertools.count()
_PATIENCE = 60.0
_PROBE = "probe"
_QUIET_ROUNDS = 2  # of the embedded collector; one may only have put dependents into its queue
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
    """The state when the embedded collector has nothing left to do.

    It takes one object after the other: when it has deleted one whose owner never was, all before that is done.
    """
    quiet = 0
    while quiet < _QUIET_ROUNDS:
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": "nobody"}
        await player.request(post(CONFIG_MAPS, config_map(_PROBE, ownerReferences=[owner])))
        others = 0
        async with asyncio.timeout(_PATIENCE):
            while (event := await player.read("maps"))["object"]["metadata"]["name"] != _PROBE or (
                event["type"] != "DELETED"
            ):
                others += event["object"]["metadata"]["name"] != _PROBE
        quiet = 0 if others else quiet + 1
    return await _state(player)


async def _reaches(player: Player, wanted: Any) -> Any:
    """The state that the real collector comes to: the wanted one, or what there is after a long wait."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            while await _state(player) != wanted:
                await player.read("maps")  # nothing changes without an event
    return await _state(player)


async def _both(servers: Servers, script: list[tuple[Send, ...]], namespace: str) -> None:
    with contextlib.ExitStack() as afterwards:
        # leaving a session waits until its connections are gone, but not for those that were hung up before
        async with servers.real.session() as one, servers.embedded.session() as other:
            real, embedded = Player(servers.real, one, namespace), Player(servers.embedded, other, namespace)
            for player in (real, embedded):
                afterwards.callback(player.close)
            await _play(real, embedded, script, namespace)


async def _play(real: Player, embedded: Player, script: list[tuple[Send, ...]], namespace: str) -> None:
    begin = (
        post(NAMESPACES, {"metadata": {"name": namespace}}),
        get(WIDGETS, view=lambda _: None),
        watch("all", WIDGETS),
        watch("some", WIDGETS, labelSelector="l=x"),
        watch("maps", CONFIG_MAPS),
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
    run(_both(servers, script, f"random-{next(_NUMBERS)}"))
