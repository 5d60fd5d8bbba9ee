"""A manager that is killed at any write leaves a state that the next one brings to the same end."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Literal

import pytest

from capt.controllers.kinds import APPLY, MACHINE, MACHINE_DEPLOYMENT, MACHINE_SET
from capt.runtime import HttpTransport
from tests.support.cluster import NAMESPACE, WORKSPACE, Cluster, names, samples
from tests.support.crash import Crash, CrashingTransport
from tests.support.fast_clock import FastClock

DEPLOYMENT = "worker-deployment"
STRIDE = 4
FAST = 20  # the time between two reconciles of one object is most of what a rollout takes


async def run_until_crash(cluster: Cluster, crash: Crash) -> None:
    """Run a manager until it dies, or until the rollout is complete without a crash."""
    async with HttpTransport(cluster.manager_config, user_agent="capt/test") as transport:
        manager = cluster.new_manager(transport=CrashingTransport(transport, crash), clock=FastClock(FAST))
        running = asyncio.ensure_future(manager.run(asyncio.Event()))
        dead = asyncio.ensure_future(crash.happened.wait())
        done = asyncio.ensure_future(cluster.observer.settled(DEPLOYMENT, replicas=2))
        await asyncio.wait((running, dead, done), return_when=asyncio.FIRST_COMPLETED)
        for task in (running, dead, done):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest.mark.timeout(240)  # some twenty rollouts, one after the other
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("first", range(1, STRIDE + 1))
async def test_killed_at_any_write_of_a_rollout(
    cluster: Cluster, when: Literal["before", "after"], first: int
) -> None:
    """Killed before a write is sent, or after it is stored but unanswered: no twin, no orphan, the same end."""
    template, deployment = samples()
    deployment["spec"] |= {"replicas": 2, "revisionHistoryLimit": 0}
    async with cluster.manager():
        await cluster.apply(template, deployment)
        await cluster.observer.settled(DEPLOYMENT, replicas=2)

    for number in itertools.count(first, STRIDE):
        wanted = f"m{number}.large"
        spec = {"template": {"spec": {"instanceType": wanted}}}
        await cluster.client.patch(MACHINE_DEPLOYMENT, NAMESPACE, DEPLOYMENT, {"spec": spec})
        crash = Crash(at=number, when=when)
        await run_until_crash(cluster, crash)
        async with cluster.manager(clock=FastClock(FAST)):
            await cluster.observer.settled(DEPLOYMENT, replicas=2)
            await cluster.observer.until(lambda: one_set(cluster))

        machines = await cluster.client.list_live(MACHINE)
        assert {machine.spec.instance_type for machine in machines} == {wanted}
        assert len(machines) == len(await cluster.client.list_live(APPLY)) == 2
        assert {machine.status.workspace_name for machine in machines} == set(
            names(await cluster.client.list_live(WORKSPACE))
        )
        if not crash.happened.is_set():
            assert number > STRIDE * 3, "a rollout of two machines takes more writes than that"
            return


async def one_set(cluster: Cluster) -> bool:
    return len(await cluster.client.list(MACHINE_SET, NAMESPACE)) == 1
