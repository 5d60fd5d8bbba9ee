"""`python -m capt.demo`: exits 0 when everything went as promised, in under two minutes."""

from __future__ import annotations

import asyncio
import sys
import time

from capt.demo.child import ChildError, manager
from capt.demo.screen import Screen, screen
from capt.demo.story import StoryError, tell
from capt.runtime import configure_logging

_ENGINES = {
    "terraform": "the real terraform or tofu command",
    "simulated": "a simulation, since neither terraform nor tofu is on PATH",
}


async def _play(view: Screen) -> None:
    view.say("starting python -m capt.manager --embedded --ephemeral")
    async with manager() as child:
        view.say(f"it runs; Workspaces are reconciled by {_ENGINES[child.engine]}")
        await tell(child, view)
    view.say("stopped the manager")


def main() -> int:
    """Play the demo.

    Returns:
        The process's exit code: 0 when all went as promised, 1 otherwise, 130 after Ctrl-C.
    """
    configure_logging(format="console", level="error")
    started = time.monotonic()
    try:
        with screen() as view:
            asyncio.run(_play(view))
            view.say(f"done in {time.monotonic() - started:.0f} s")
    except (ChildError, StoryError) as error:
        print(f"capt demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
