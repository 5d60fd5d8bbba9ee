"""The data directory of `--embedded` and the API server that lives in it.

    <data-dir>/lock          held while a manager runs: two on one directory would tear the state apart
    <data-dir>/kubeconfig    for kubectl, mode 0600
    <data-dir>/apiserver/    objects and certificates of the embedded API server
    <data-dir>/terraform/    work directories and Terraform state of the built-in engine

Nothing here is deleted while Terraform state holds resources: the state is the only record of what stands in
somebody's cloud account.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shlex
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from capt.assets import manifests
from capt.embedded import ApiServer, ServerOptions
from capt.errors import StartError
from capt.install import definitions, install_definitions
from capt.runtime import Client, ClusterConfig, HttpTransport, SystemClock
from capt.terraform import standing_resources

STATE_IS_KEPT: Final = "Terraform state still holds resources"
"""How the line begins that says where a temporary directory was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedHome:
    """A running embedded API server.

    Attributes:
        config: How to reach it.
        data_dir: Where it and the built-in engine keep their state.
        kubeconfig: The kubeconfig for kubectl.
        url: Its address.
    """

    config: ClusterConfig
    data_dir: Path
    kubeconfig: Path
    url: str


def say(*lines: str) -> None:
    """Print lines for people; when nobody reads them any more, that is no reason to end."""
    try:
        print(*lines, sep="\n", flush=True)
    except OSError:
        # what is still buffered would fail once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.asynccontextmanager
async def embedded_home(data_dir: Path | None) -> AsyncIterator[EmbeddedHome]:
    """Start the embedded API server with capt's definitions installed; stop it at exit.

    Args:
        data_dir: Where state is kept between runs; None for a temporary directory, which is removed at exit
            unless Terraform state in it holds resources: then its path is printed.

    Raises:
        StartError: The directory is in use by another manager, cannot be written, or what it holds cannot be read.
    """
    with _directory(data_dir) as folder, _locked(folder):
        async with _server(folder) as server:
            kubeconfig = folder / "kubeconfig"
            server.write_kubeconfig(kubeconfig)
            config = ClusterConfig.from_dict(server.kubeconfig())
            async with HttpTransport(config) as transport:
                root = manifests()
                await install_definitions(
                    Client(transport),
                    definitions(root / "crds", root / "workspace"),
                    SystemClock(),
                )
            yield EmbeddedHome(config=config, data_dir=folder, kubeconfig=kubeconfig, url=server.url)


@contextlib.asynccontextmanager
async def _server(folder: Path) -> AsyncIterator[ApiServer]:
    async with contextlib.AsyncExitStack() as running:
        home = folder / "apiserver"
        try:
            server = await running.enter_async_context(ApiServer(ServerOptions(data_dir=home)))
        except OSError as error:
            raise StartError(f"--data-dir {folder}: {error.filename or home}: {error.strerror}") from error
        except sqlite3.DatabaseError as error:
            raise StartError(f"--data-dir {folder}: the objects in {home} cannot be read: {error}") from error
        yield server


@contextlib.contextmanager
def _directory(data_dir: Path | None) -> Iterator[Path]:
    if data_dir is not None:
        try:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError as error:
            raise StartError(f"--data-dir {data_dir}: {os.strerror(errno.ENOTDIR)}") from error
        except OSError as error:
            raise StartError(f"--data-dir {data_dir}: {error.strerror}") from error
        yield data_dir
        return
    folder = Path(tempfile.mkdtemp(prefix="capt-"))
    try:
        yield folder
    finally:
        if standing := standing_resources(folder):
            say(
                f"{STATE_IS_KEPT} of {', '.join(standing)}: kept in {folder}; "
                f"--embedded --data-dir {shlex.quote(str(folder))} takes it up again"
            )
        else:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        lock = (folder / "lock").open("a")
    except OSError as error:
        raise StartError(f"--data-dir {folder}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(
                f"--data-dir {folder}: another manager is using it; stop that one or choose another directory"
            ) from None
        yield
