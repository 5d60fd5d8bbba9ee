"""How many requests a deployment of machines costs a real API server, by its own audit log.

Run it as `python -m hack.bench.writes [--machines 50] [--idle 60]`, after `make envtest`. The manager has its ServiceAccount
and the generated roles, and the simulated engine, whose writes are counted apart.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from pathlib import Path

from capt.runtime import configure_logging
from hack.envtest import control_plane
from hack.envtest.control_plane import StartError
from tests.support.api_servers import grant
from tests.support.cluster import EVENT, WRITES, Cluster, cluster, samples

_DEPLOYMENT = "worker-deployment"


def counted(running: Cluster) -> Counter[tuple[str, str]]:
    """Return the writes of a manager so far, by user agent and by what was written; its Lease left out."""
    return Counter(
        (event.user_agent.partition("/")[0], f"{event.verb} {resource}")
        for event in running.audit()
        if event.verb in WRITES and event.resource != "leases" and event.user_agent.startswith("capt")
        for resource in ["/".join(filter(None, (event.resource, event.subresource)))]
    )


async def measure(machines: int, idle: float) -> None:
    """Bring a deployment up, then let it be, and print what was written in both times."""
    template, deployment = samples()
    deployment["spec"]["replicas"] = machines
    with tempfile.TemporaryDirectory() as folder:
        async with control_plane() as plane:
            await grant(plane)
            async with cluster(Path(folder), plane) as running, running.manager():
                await running.apply(template, deployment)
                await running.observer.settled(_DEPLOYMENT, replicas=machines, seconds=120)
                up = counted(running)
                # the engine's events go through the manager's recorder
                events = await running.client.list_live(EVENT)
                told = sum(event.involved_object.kind == "Workspace" for event in events)
                before = up.copy()
                up["capt", "create events"] -= told
                up["capt-engine", "create events"] += told
                await asyncio.sleep(idle)
                rest = counted(running) - before
    print(f"{_DEPLOYMENT} with {machines} machines, all Ready")
    for (agent, what), count in sorted(up.items()):
        print(f"  {agent:12} {what:40} {count:6} {count / machines:8.2f} per machine")
    for agent in sorted({agent for agent, _ in up}):
        total = sum(count for (of, _), count in up.items() if of == agent)
        print(f"  {agent:12} {'in all':40} {total:6} {total / machines:8.2f} per machine")
    print(f"idle for {idle:.0f} s: {sum(rest.values()) * 60 / idle:.1f} writes per minute {dict(rest) or ''}")


def main() -> int:
    """Measure on the real control plane."""
    parser = argparse.ArgumentParser(prog="python -m hack.bench.writes", description=__doc__)
    parser.add_argument("--machines", type=int, default=50)
    parser.add_argument("--idle", type=float, default=60.0, help="seconds to watch it when it is up")
    options = parser.parse_args()
    configure_logging(format="console", level="error")
    try:
        asyncio.run(measure(options.machines, options.idle))
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
