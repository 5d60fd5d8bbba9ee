"""A manager that is killed at any write leaves a state that the next one brings to the same end."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Literal

import pytest

from capt.controllers.kinds import APPLY, MACHINE, MACHINE_DEPLOYMENT, MACHINE_SET
from capt.runtime import HttpTransport
from tests.support.cluster import NAMESPACE, WORKSPACE, Cluster, names, samples
from tests.support.crash import Crash, CrashingTransport
from tests.support.fast_clock import FastClock

DEPLOYMENT = "worker-deployment"
STRIDE = 2
REPLICAS = 2
FAST = 20  # the time between two reconciles of one object is most of what a rollout takes


@contextlib.asynccontextmanager
async def doomed_manager(cluster: Cluster, crash: Crash) -> AsyncIterator[None]:
    """Run a manager through the block, and cut it off at its end without a word of farewell."""
    async with HttpTransport(cluster.manager_config, user_agent="capt/test") as transport:
        manager = cluster.new_manager(transport=CrashingTransport(transport, crash), clock=FastClock(FAST))
        running = asyncio.ensure_future(manager.run(asyncio.Event()))
        try:
            yield
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


async def has_crashed(cluster: Cluster, crash: Crash) -> bool:
    """Wait until the manager is dead, or the rollout complete without that."""
    dead = asyncio.ensure_future(crash.happened.wait())
    done = asyncio.ensure_future(cluster.observer.settled(DEPLOYMENT, replicas=REPLICAS))
    await asyncio.wait((dead, done), return_when=asyncio.FIRST_COMPLETED)
    for task in (dead, done):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return crash.happened.is_set()


@pytest.mark.timeout(1500)  # some thirty rollouts, one after the other
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("first", range(1, STRIDE + 1))
async def test_killed_at_any_write_of_a_rollout(
    cluster: Cluster, when: Literal["before", "after"], first: int
) -> None:
    """Killed before a write is sent, or after it is stored but unanswered: no twin, no orphan, the same end."""
    template, deployment = samples()
    deployment["spec"] |= {"replicas": REPLICAS, "revisionHistoryLimit": 0}
    async with cluster.manager():
        await cluster.apply(template, deployment)
        await cluster.observer.settled(DEPLOYMENT, replicas=REPLICAS)

    current = deployment["spec"]["template"]["spec"]["instanceType"]
    for number in itertools.count(first, STRIDE):
        crash = Crash(when=when)
        # this one brings to its end what the one before it died of, and dies of the next rollout
        async with doomed_manager(cluster, crash):
            await has_converged(cluster, current)
            current = f"m{number}.large"
            spec = {"template": {"spec": {"instanceType": current}}}
            crash.at = crash.writes + number
            await cluster.client.patch(MACHINE_DEPLOYMENT, NAMESPACE, DEPLOYMENT, {"spec": spec})
            crashed = await has_crashed(cluster, crash)
        if not crashed:
            assert number > 12 * REPLICAS, "a rollout takes more writes than that"
            return


async def has_converged(cluster: Cluster, instance_type: str) -> None:
    """Wait for the end of a rollout, and assert that it is the one wanted."""
    await cluster.observer.settled(DEPLOYMENT, replicas=REPLICAS)
    await cluster.observer.until(lambda: one_set(cluster))
    machines = await cluster.client.list_live(MACHINE)
    assert {machine.spec.instance_type for machine in machines} == {instance_type}
    assert len(machines) == len(await cluster.client.list_live(APPLY)) == REPLICAS
    assert {machine.status.workspace_name for machine in machines} == set(
        names(await cluster.client.list_live(WORKSPACE))
    )


async def one_set(cluster: Cluster) -> bool:
    return len(await cluster.client.list(MACHINE_SET, NAMESPACE)) == 1
