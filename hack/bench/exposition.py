"""How long a scrape of /metrics with 10,000 series holds the event loop.

Run it as `python -m hack.bench.exposition`. Held is the processor time between two turns of the loop, so what other
processes take does not count.
"""

from __future__ import annotations

import asyncio
import time

from capt.runtime import Metrics

_SERIES_PER_CONTROLLER = 88
_BUDGET_MS = 5.0


async def longest_hold(series: int = 10_000) -> float:
    """Return the longest time that one scrape holds the loop, in seconds."""
    metrics = Metrics()
    for number in range(series // _SERIES_PER_CONTROLLER + 1):
        metrics.controller(f"controller{number}", workers=1)
        metrics.queue(f"controller{number}")
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, last = max(longest, now - last), now

    other = asyncio.create_task(beat())
    await asyncio.sleep(0)
    text = await metrics.text()
    other.cancel()
    assert sum(not line.startswith(b"#") for line in text.splitlines()) >= series
    return longest


async def main() -> None:
    """Measure and print."""
    held = 1000 * await longest_hold()
    print(f"a scrape of 10,000 series holds the loop {held:.1f} ms at a time (budget {_BUDGET_MS:g} ms)")


if __name__ == "__main__":
    asyncio.run(main())
