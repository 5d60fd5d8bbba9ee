"""Bad days on virtual time: whatever goes wrong, all is as it should be soon after, without haste and without a trace.

`make chaos` plays them for `CAPT_CHAOS_SECONDS` (60) from a seed of the day's own, which it prints; here there are a few.
`CAPT_CHAOS_SEED=7` plays one seed again.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import CoroutineType, FrameType, TracebackType

import pytest

from capt.hcl import parse
from capt.runtime import Manager
from capt.runtime.reconcile_loop import ReconcileLoop
from tests.support import virtual_time
from tests.support.machine_day import machine_day
from tests.support.mirror import mirror_day
from tests.support.storm import MOST_REQUESTS, PATIENCE, BadDay
from tests.support.virtual_time import Limits

Day = Callable[[int], Awaitable[BadDay]]

_SECONDS = float(os.environ.get("CAPT_CHAOS_SECONDS", "0"))
_SEED = os.environ.get("CAPT_CHAOS_SEED")
pytestmark = pytest.mark.embedded
_DAYS = {"mirror": (mirror_day, 6), "machines": (machine_day, 2)}
_CACHED_OBJECTS = 2000  # that caches of libraries (of URLs, for one) may fill up with, in all days together


def seeds(few: int) -> Iterator[int]:
    """Return the seeds to play: the few of the suite, the one that was asked for, or as many as the time allows."""
    if _SEED:
        yield int(_SEED)
    elif not _SECONDS:
        yield from range(few)
    else:
        end = time.monotonic() + _SECONDS / len(_DAYS)
        for seed in count(random.SystemRandom().randrange(10**6)):
            if time.monotonic() >= end:
                return
            yield seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What this process holds: sockets, objects of any kind, and our own objects by type."""

    sockets: int = 0
    objects: int = 0
    ours: Counter[str] = field(default_factory=Counter)


def held() -> Held:
    gc.collect()
    return Held(sockets=open_sockets(), objects=len(gc.get_objects()), ours=left_behind())


def more(before: Held, after: Held) -> dict[str, int]:
    """Return what there is more of, and how much."""
    counts = {
        "sockets": after.sockets - before.sockets,
        "objects": after.objects - before.objects - _CACHED_OBJECTS,
        **(after.ours - before.ours),
    }
    return {name: count for name, count in counts.items() if count > 0}


def open_sockets() -> int:
    links = [os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()]
    return sum("socket:" in link for link in links)


def left_behind() -> Counter[str]:
    """Return how many there are of our own objects, by type, and of what a task that has ended may have left."""
    kinds = (asyncio.Future, BaseException, CoroutineType, FrameType, TracebackType)
    return Counter(
        type(each).__name__
        for each in gc.get_objects()
        if issubclass(type(each), kinds) or str(type(each).__module__).startswith("capt.")
    )


def managers() -> str:
    """Return what every manager's caches, queues and reconciles are doing, one a line."""
    lines = []
    for manager in (each for each in gc.get_objects() if isinstance(each, Manager)):
        lines += [f"cache {each}" for each in manager.informers.statistics()]
    for loop in (each for each in gc.get_objects() if isinstance(each, ReconcileLoop)):
        lines.append(f"queue {loop.queue_statistics()}")
        lines += [
            f"reconcile of {each.key} for {each.seconds:.3f} s: {each.reasons}" for each in loop.in_flight()
        ]
    return "\n".join(lines)


_LIMITS = Limits(virtual=3000, cpu=120, more=managers)
"""No day takes so long: two storms and calms of virtual time, and a few seconds of work."""


def play(day: Day, seed: int) -> BadDay:
    """Play one day; nothing of it may be left, and nothing in it may have held the loop."""

    async def whole() -> BadDay:
        random.seed(seed)
        outcome = await day(seed)
        for _ in range(100):
            await asyncio.sleep(0.1)  # connections close in the loop's next turns
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"left behind: {left}"
        return outcome

    return virtual_time.run(whole(), patience=PATIENCE, limits=_LIMITS)


@pytest.mark.parametrize("name", _DAYS)
def test_all_is_well_after_a_bad_day(name: str) -> None:
    """Equality in every run, requests below their bound, no task, socket or memory left, no call that blocks the loop."""
    day, few = _DAYS[name]
    parse(
        'output "id" { value = upper("a") }', "HCL"
    )  # whether a day's modules need the parser is a matter of its seed
    number = seed = 0
    before = Held()
    for number, seed in enumerate(seeds(few)):
        print(f"CAPT_CHAOS_SEED={seed} ({name})", end=" ", flush=True)  # noqa: T201 - the seed that fails must be known
        outcome = play(day, seed)
        print(outcome)  # noqa: T201
        assert outcome.fastest <= MOST_REQUESTS, f"CAPT_CHAOS_SEED={seed}: a hot loop"
        if number == 0:  # the first day loads what stays
            before = held()
    if number > 0:
        after = held()
        if more(before, after):  # a later day may have loaded something as well; but what leaks, leaks again
            play(day, seed)
            before, after = after, held()
        assert more(before, after) == {}
