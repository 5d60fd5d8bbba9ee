"""All benchmarks, one after the other: `python -m hack.bench [PART ...]`, or `make bench`.

A part is one of the runtime's (:mod:`hack.bench.runtime`), `exposition` or `embedded`. Rates are of this machine,
in this minute: what counts is the relation to the peers in the same run.
"""

from __future__ import annotations

import argparse
import asyncio

from hack.bench import embedded, exposition, runtime
from hack.bench.table import render


async def run(parts: list[str]) -> None:
    """Measure the parts and print each row as it comes."""
    await runtime.measure(
        [part for part in parts if part in runtime.PARTS], lambda row: print(render(row), flush=True)
    )
    for module in (exposition, embedded):
        if module.__name__.rpartition(".")[2] in parts:
            print()
            await module.main()


def main() -> None:
    """Parse the command line."""
    known = [*runtime.PARTS, "exposition", "embedded"]
    parser = argparse.ArgumentParser(prog="python -m hack.bench", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"one of {', '.join(known)}; all by default")
    parts = parser.parse_args().part
    if unknown := sorted(set(parts) - set(known)):
        parser.error(f"no part is named {', '.join(unknown)}: there are {', '.join(known)}")
    asyncio.run(run(parts or known))


if __name__ == "__main__":
    main()
