"""An object of a cluster under a manager and the stand-in for Cluster API core, and every condition that it ever had."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

from capt import terraform
from capt.demo.core import Edition
from capt.runtime import Clock, Kind, Transport
from tests.support.cluster import QUIET, Cluster
from tests.support.core import core

NAME = "prod"


@dataclass(slots=True)
class Watched:
    """One object, and every condition that it has ever had.

    Attributes:
        cluster: Where it is.
        kind: Its kind.
        conditions: Type, status and reason of each condition seen.
        phases: Each phase seen.
    """

    cluster: Cluster
    kind: Kind[Any]
    conditions: set[tuple[str, str, str]] = field(default_factory=set)
    phases: list[str] = field(default_factory=list)

    def look(self) -> None:
        """Take down what there is to be seen now."""
        for raw in self.cluster.observer.informers.store(self.kind).list():
            status = raw.decode().get("status", {})
            for each in status.get("conditions", ()):
                self.conditions.add((each["type"], each["status"], each["reason"]))
            phase = status.get("phase", "")
            if self.phases[-1:] != [phase]:
                self.phases.append(phase)

    async def until(self, reason: str) -> None:
        """Wait until the object says why it is Ready, or is not, of its current generation."""

        def reached(found: Any) -> bool:
            return found.status.observed_generation == found.metadata.generation and reason in {
                each.reason for each in found.status.conditions if each.type == "Ready"
            }

        try:
            await self.cluster.observer.met(self.kind, NAME, reached)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\nnot reached: {reason}; seen: {sorted(self.conditions)}") from None

    async def gone(self) -> None:
        """Wait until there is none."""
        await self.cluster.observer.gone(self.kind)

    async def has(self, kind: str, reason: str) -> None:
        """Wait until a condition has had a reason."""

        async def seen() -> bool:
            return any((each[0], each[2]) == (kind, reason) for each in self.conditions)

        await self.cluster.observer.until(seen)


@contextlib.asynccontextmanager
async def watched(
    cluster: Cluster,
    kind: Kind[Any],
    *,
    clock: Clock | None = None,
    transport: Transport | None = None,
    simulation: terraform.Simulation | None = None,
) -> AsyncIterator[tuple[Watched, Edition]]:
    """Run the stand-in for Cluster API core and a manager, and take down the conditions of a kind."""
    found = Watched(cluster, kind)
    # on a clock that runs fast, the seconds that a stop may take are too short
    options = QUIET if clock is None else replace(QUIET, graceful_shutdown=-1.0)
    async with core(cluster, "v1beta2") as edition:
        cluster.observer.checks.append(found.look)
        async with cluster.manager(options=options, clock=clock, transport=transport, simulation=simulation):
            yield found, edition
        cluster.observer.checks.clear()
