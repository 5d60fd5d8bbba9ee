"""Credentials from a program: the ``exec`` section of a kubeconfig's user (KEP-541).

kubernetes-asyncio runs such programs too, but leaves one running that nobody waits for any more, and waits for ever
for one that writes more to stderr than a pipe holds.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from capt.runtime.errors import ConfigError
from capt.runtime.uninterrupted import uninterrupted


async def run(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Run the plugin and return the ``status`` of the ExecCredential that it prints. Cancelled, it kills the plugin.

    Args:
        settings: the ``exec`` section: ``apiVersion``, ``command``, perhaps ``args`` and ``env``.

    Raises:
        ConfigError: the section is malformed, or the plugin failed or printed something else.
        OSError: the plugin cannot be started.
    """
    missing = [name for name in ("apiVersion", "command") if not settings.get(name)]
    if missing:
        raise ConfigError(f"exec: {', '.join(missing)} missing")
    version = settings["apiVersion"]
    asked = {
        "apiVersion": version,
        "kind": "ExecCredential",
        "spec": {"interactive": sys.stdout.isatty()},
    }
    environment = {
        **os.environ,
        **{each["name"]: each["value"] for each in settings.get("env") or ()},
        "KUBERNETES_EXEC_INFO": msgspec.json.encode(asked).decode(),
    }
    code, out, err = await _output(settings["command"], *(settings.get("args") or ()), env=environment)
    if code:
        raise ConfigError(f"exec: process returned {code}. {err.decode(errors='replace').strip()}")
    try:
        credential = msgspec.json.decode(out)
    except msgspec.DecodeError as error:
        raise ConfigError(f"exec: the plugin printed no JSON: {error}") from error
    if not isinstance(credential, dict) or not isinstance(credential.get("status"), dict):
        raise ConfigError("exec: the plugin printed no ExecCredential with a status")
    if credential.get("apiVersion") != version:
        raise ConfigError(f"exec: the plugin speaks {credential.get('apiVersion')}, not {version}")
    status: Mapping[str, Any] = credential["status"]
    return status


class _Pipes(asyncio.SubprocessProtocol):
    def __init__(self) -> None:
        self.read = {1: bytearray(), 2: bytearray()}
        self.ended = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.read[fd] += data

    def connection_lost(self, _error: Exception | None) -> None:
        self.ended.set()


async def _output(*command: str, env: Mapping[str, str]) -> tuple[int, bytes, bytes]:
    # asyncio.subprocess.Process cannot close its pipes, which a child of the plugin may hold long after it was killed
    starting = asyncio.get_running_loop().subprocess_exec(_Pipes, *command, stdin=None, env=env)
    process, pipes = await uninterrupted(starting)
    try:
        await pipes.ended.wait()
    finally:
        process.close()  # kills it if it still runs
        await pipes.ended.wait()
    return process.get_returncode() or 0, bytes(pipes.read[1]), bytes(pipes.read[2])
