"""Plays a script on one server and writes down what came back."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.conformance.steps import NAMESPACES, Compact, Events, Ref, Script, Send, Step, Until, Watch, post

_PATIENCE = 120.0  # the real garbage collector looks for new kinds every 30 s
_QUIET = 60.0
_POLL = 0.05

Entry = tuple[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A server that scripts can be played on; ``compact`` makes it forget all versions but the present ones."""

    name: str
    url: str
    session: Callable[[], aiohttp.ClientSession]
    compact: Callable[[], Awaitable[None]]


class Player:
    """The state of one script on one server: saved answers, open watches, the transcript so far."""

    def __init__(self, endpoint: Endpoint, session: aiohttp.ClientSession, namespace: str) -> None:
        self._endpoint = endpoint
        self._session = session
        self._namespace = namespace
        self._saved: dict[str, Any] = {}
        self._streams: dict[str, aiohttp.ClientResponse] = {}
        self.transcript: list[Entry] = []

    async def play(self, step: Step) -> None:
        """Take one step."""
        match step:
            case Send():
                await self._send(step)
            case Until():
                await self._until(step)
            case Watch():
                await self._watch(step)
            case Events():
                await self._events(step)
            case Compact():
                await self._endpoint.compact()

    async def request(self, step: Send) -> tuple[Any, Any]:
        """Send a request; what is compared, and the whole body."""
        data = step.raw
        if data is None and step.body is not None:
            data = json.dumps(self._resolve(step.body)).encode()
        path, query = self._path(step.path), self._resolve(step.query)
        async with self._session.request(
            step.method,
            self._endpoint.url + path,
            data=None if data is None else io.BytesIO(data),
            headers=step.headers,
            params=query,
        ) as response:
            received = await response.read()
            body = _decode(response, received)
            shown = step.view(body) if step.view else body
            answer = {
                "code": response.status,
                "type": response.headers.get("Content-Type", ""),
                "warnings": response.headers.getall("Warning", []),
                "body": shown,
            }
            return answer, body

    async def _send(self, step: Send) -> None:
        answer, body = await self.request(step)
        if step.save:
            self._saved[step.save] = body
        query = "".join(f" {name}={value}" for name, value in step.query.items())
        sent = "" if step.body is None else f" {json.dumps(step.body, default=str)[:200]}"
        self.transcript.append((f"{step.method} {self._path(step.path)}{query}{sent}", answer))

    async def _until(self, step: Until) -> None:
        asked = Send(method="GET", path=step.path)
        try:
            async with asyncio.timeout(_PATIENCE):
                answer, body = await self.request(asked)
                while not step.met(answer["code"], body):
                    await asyncio.sleep(_POLL)
                    answer, body = await self.request(asked)
                outcome: Any = "as wanted"
        except TimeoutError:
            outcome = "never as wanted"
        self.transcript.append((f"until {self._path(step.path)}", outcome))

    async def _watch(self, step: Watch) -> None:
        response = await self._session.get(
            self._endpoint.url + self._path(step.path),
            params=self._resolve(step.query),
            headers=step.headers,
        )
        self._streams[step.name] = response
        outcome: dict[str, Any] = {"code": response.status}
        if response.status != 200:
            outcome["body"] = _decode(response, await response.read())
        self.transcript.append((f"watch {self._path(step.path)} {step.query}", outcome))

    async def _events(self, step: Events) -> None:
        content = self._streams[step.name].content
        seen: list[Any] = []
        try:
            while step.count is None or len(seen) < step.count:
                async with asyncio.timeout(_QUIET):
                    line = await content.readline()
                if not line:
                    seen += ["end of the stream"] if step.count is not None else []
                    break
                seen.append(json.loads(line))
        except TimeoutError:
            seen.append("nothing more")
        self.transcript.append((f"events of {step.name}", seen))

    async def read(self, name: str) -> Any:
        """Return the next event of a watch, as soon as there is one."""
        return json.loads(await self._streams[name].content.readline())

    async def read_until(self, name: str, last: str) -> None:
        """Read a watch up to the first event of the object with the name ``last``."""
        seen: list[Any] = []
        async with asyncio.timeout(_QUIET):
            while not seen or seen[-1]["object"]["metadata"].get("name") != last:
                seen.append(await self.read(name))
        self.transcript.append((f"events of {name}", seen))

    def _path(self, path: str) -> str:
        return path.replace("{ns}", self._namespace)

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, Ref):
            found = self._saved[value.saved]
            for part in value.path.split("."):
                found = found[int(part)] if isinstance(found, list) else found.get(part, "missing")
            return found
        if isinstance(value, dict):
            return {key: self._resolve(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._resolve(item) for item in value]
        return value.replace("{ns}", self._namespace) if isinstance(value, str) else value

    def close(self) -> None:
        """Hang up on all watches."""
        for stream in self._streams.values():
            stream.close()


def _decode(response: aiohttp.ClientResponse, received: bytes) -> Any:
    if "json" in response.headers.get("Content-Type", "") or received.startswith(b"{"):
        return json.loads(received)
    return received.decode(errors="replace")


async def play(endpoint: Endpoint, script: Script, namespace: str) -> list[Entry]:
    """Play a script in a namespace of its own; the transcript."""
    async with endpoint.session() as session:
        player = Player(endpoint, session, namespace)
        created = await player.request(post(NAMESPACES, {"metadata": {"name": namespace}}))
        assert created[0]["code"] in (201, 409), created
        try:
            for step in script.steps:
                await player.play(step)
        finally:
            player.close()
            await asyncio.sleep(_POLL)  # hung up TLS connections need a moment to be gone
        return player.transcript
