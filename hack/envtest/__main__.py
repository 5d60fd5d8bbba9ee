"""`python -m hack.envtest`: a control plane to look around in, until Ctrl-C; with `obtain`, only its programs."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

import yaml

from hack.envtest.binaries import BinariesMissingError, obtain
from hack.envtest.control_plane import StartError, control_plane


async def _run() -> None:
    async with control_plane(obtain()) as plane:
        kubeconfig = plane.folder / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(plane.kubeconfig()))
        print(f"{plane.url} is up after {plane.started_in:.1f} s; Ctrl-C stops it and removes everything")
        print(f"export KUBECONFIG={kubeconfig}", flush=True)
        await asyncio.Event().wait()


def main(arguments: list[str] | None = None) -> int:
    """Run a control plane until interrupted, or obtain its programs and print where the API server lies."""
    parser = argparse.ArgumentParser(prog="python -m hack.envtest", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("run", "obtain"), default="run")
    options = parser.parse_args(arguments)
    try:
        if options.what == "obtain":
            print(obtain().apiserver)
        else:
            # whoever ends it in another way than by Ctrl-C wants nothing left either
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            asyncio.run(_run())
    except KeyboardInterrupt:
        return 0
    except (BinariesMissingError, StartError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
