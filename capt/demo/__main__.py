"""`python -m capt.demo [--cluster]`: exits 0 when everything went as promised, in under two minutes."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from capt.demo.screen import Screen

_ENGINES = {
    "terraform": "the real terraform or tofu command",
    "simulated": "a simulation, since neither terraform nor tofu is on PATH",
}
# a closed terminal and a CI job's time limit end a demo too, and must not leave its manager running
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Play the demo.

    Returns:
        The process's exit code: 0 when all went as promised, 1 otherwise, 128 and the signal's number after Ctrl-C,
        SIGTERM or SIGHUP.
    """
    try:
        # a Ctrl-C while Python still loads is no error
        return _show(whole_cluster=_parser().parse_args().cluster)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("capt"):
            raise
        print(f"capt demo: it needs {error.name}: pip install 'capt[embedded]'", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m capt.demo", description="Show what CAPT does.")
    parser.add_argument(
        "--cluster",
        action="store_true",
        help="a whole cluster, from its VPC to its machines, instead of machines only",
    )
    return parser


def _show(*, whole_cluster: bool) -> int:
    from capt.demo.child import ChildError
    from capt.demo.screen import screen
    from capt.demo.stage import StoryError
    from capt.runtime import configure_logging

    configure_logging(format="console", level="error")
    started = time.monotonic()
    code = 0
    try:
        with screen() as view:
            ended_by = asyncio.run(_until_signal(view, whole_cluster=whole_cluster))
            if ended_by is not None:
                return 128 + ended_by
            view.say(f"done in {time.monotonic() - started:.0f} s")
    except* (ChildError, StoryError) as group:
        for error in _leaves(group):
            print(f"capt demo: {error}", file=sys.stderr)
        code = 1
    return code


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


async def _until_signal(view: Screen, *, whole_cluster: bool) -> signal.Signals | None:
    """Play the demo to its end, or until a signal, which is returned; the manager has ended either way."""
    loop = asyncio.get_running_loop()
    playing = asyncio.create_task(_play(view, whole_cluster=whole_cluster), name="demo")
    received: list[signal.Signals] = []

    def on_signal(number: signal.Signals) -> None:
        if not received:  # once is enough: the manager is on its way out, which takes a moment
            received.append(number)
            playing.cancel()

    for number in _ENDING:
        loop.add_signal_handler(number, on_signal, number)
    try:
        await playing
    except asyncio.CancelledError:
        if not received:
            raise
        return received[0]
    return None


async def _play(view: Screen, *, whole_cluster: bool) -> None:
    from capt.demo.child import manager
    from capt.demo.cluster_story import tell_cluster
    from capt.demo.story import tell

    view.say("starting python -m capt.manager --embedded --ephemeral")
    async with manager(on_end=view.say) as child:
        view.say(f"it runs; Workspaces are reconciled by {_ENGINES[child.engine]}")
        await (tell_cluster if whole_cluster else tell)(child, view)
    view.say("stopped the manager")


if __name__ == "__main__":
    sys.exit(main())
