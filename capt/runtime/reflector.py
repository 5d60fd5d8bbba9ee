"""Keeps a copy of one resource up to date: the shell around :mod:`capt.runtime.list_watch`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, Protocol

from capt.runtime.clock import Clock, timeout
from capt.runtime.errors import (
    ApiError,
    ConfigError,
    Gone,
    RequestTimeout,
    UndecodableError,
    raise_for_status,
)
from capt.runtime.list_watch import Ended, Failed, Listed, Outcome, Phase, State, transition
from capt.runtime.object import parse_object
from capt.runtime.resource import Resource
from capt.runtime.store import Draft
from capt.runtime.transport import Transport
from capt.runtime.wire import Bookmark, Delete, Failure, Upsert, parse_event, parse_page

PAGE: Final = 500
"""Objects per page of a list: a few milliseconds of decoding between two turns of the event loop."""

WATCH_SECONDS: Final = 300
"""The server is asked to end a watch after this to twice this many seconds, so that watches spread out."""

IDLE_SECONDS: Final = 120.0
"""A watch without a single byte for so long is dead: a server that is well sends a bookmark every minute."""

INITIAL_SILENCE: Final = 10.0
"""A streamed list that brings nothing for so long will not end: the server does not know streamed lists."""

_LIST_TIMEOUT: Final = 60.0


class Sink(Protocol):
    """Where a reflector puts what it learns."""

    @property
    def resource_version(self) -> int:
        """The version from which a watch goes on."""

    def draft(self) -> Draft:
        """Begin a list."""

    async def replace(self, draft: Draft, resource_version: int, reason: str) -> None:
        """Take a complete list in; returns when all handlers have heard of it."""

    def apply(self, event: Upsert | Delete | Bookmark) -> None:
        """Take a watch event in."""

    def skip(self, error: UndecodableError) -> None:
        """Note that something could not be decoded and was left out."""

    async def report(self, state: State, error: Exception | None) -> None:
        """Hear of each step: the state that it led to, and the error if there was one."""


class Reflector:
    """Lists and watches one resource, for ever.

    Args:
        transport: the way to the API server.
        resource: what to watch.
        sink: where to put it.
        clock: measures and waits.
        namespace: "" for all namespaces.
        labels: label selector, "" for everything.
    """

    def __init__(
        self,
        transport: Transport,
        resource: Resource,
        sink: Sink,
        clock: Clock,
        *,
        namespace: str = "",
        labels: str = "",
    ) -> None:
        self._transport = transport
        self._resource = resource
        self._sink = sink
        self._clock = clock
        self._path = resource.path(namespace)
        self._selection = {"labelSelector": labels} if labels else {}
        self._state = State()

    async def run(self) -> None:
        """List and watch until cancelled; no answer of the API server ends it."""
        phases = {Phase.STREAM: self._stream, Phase.LIST: self._list, Phase.WATCH: self._watch}
        while True:
            if self._state.delay:
                await self._clock.sleep(self._state.delay)
            started = self._clock.monotonic()
            try:
                outcome = await phases[self._state.phase]()
            except (ApiError, ConfigError, UndecodableError) as error:
                outcome = Failed(error=error, seconds=self._clock.monotonic() - started)
            await self._advance(outcome)

    async def _advance(self, outcome: Outcome) -> None:
        jitter = random.random()  # noqa: S311 - spreads load, hides nothing
        self._state = transition(self._state, outcome, now=self._clock.monotonic(), jitter=jitter)
        await self._sink.report(self._state, outcome.error if isinstance(outcome, Failed) else None)

    async def _stream(self) -> Outcome:
        """Take the list as the beginning of a watch, then stay on that watch."""
        query = self._watch_query() | {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        draft = self._sink.draft()
        async with aclosing(self._lines(query)) as lines:
            while True:
                try:
                    async with timeout(self._clock, INITIAL_SILENCE):
                        line = await anext(lines, None)
                except TimeoutError as error:
                    raise RequestTimeout(f"{self._resource}: the initial events have no end") from error
                if line is None:
                    return Ended(seconds=0.0, events=0)
                event = self._decode(line)
                match event:
                    case Upsert():
                        draft.put(event.object)
                    case Delete():
                        if (old := draft.get(event.object.key)) is not None:
                            draft.drop(old)
                    case Bookmark(initial_events_end=True):
                        await self._sink.replace(draft, event.resource_version, self._state.reason)
                        break
            await self._advance(Listed())
            return await self._follow(lines)

    async def _list(self) -> Outcome:
        """Take the list in pages; in one piece, if the token of a page expires under way."""
        draft = self._sink.draft()
        query = self._selection | {"limit": str(PAGE)}
        while True:
            answer = await self._transport.request("GET", self._path, query=query, timeout=_LIST_TIMEOUT)
            try:
                raise_for_status(answer)
            except Gone:
                if "continue" not in query:
                    raise
                draft, query = self._sink.draft(), self._selection
                continue
            page = parse_page(answer.body)
            for number, item in enumerate(page.items, start=1):
                try:
                    draft.put(parse_object(item, self._resource))
                except UndecodableError as error:
                    self._sink.skip(error)
                if number % PAGE == 0:
                    await asyncio.sleep(0)
            if not page.next:
                break
            query = self._selection | {"limit": str(PAGE), "continue": page.next}
        await self._sink.replace(draft, _version(page.resource_version), self._state.reason)
        return Listed()

    async def _watch(self) -> Outcome:
        """Go on from the last version seen."""
        query = self._watch_query() | {"resourceVersion": str(self._sink.resource_version)}
        async with aclosing(self._lines(query)) as lines:
            return await self._follow(lines)

    async def _follow(self, lines: AsyncGenerator[bytes, None]) -> Outcome:
        started = self._clock.monotonic()
        events = 0
        async for line in lines:
            event = self._decode(line)
            events += 1
            if event is not None:
                self._sink.apply(event)
        return Ended(seconds=self._clock.monotonic() - started, events=events)

    def _lines(self, query: dict[str, str]) -> AsyncGenerator[bytes, None]:
        return self._transport.stream(self._path, query=query, idle_timeout=IDLE_SECONDS)

    def _watch_query(self) -> dict[str, str]:
        seconds = random.randint(WATCH_SECONDS, 2 * WATCH_SECONDS)  # noqa: S311 - as above
        return self._selection | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }

    def _decode(self, line: bytes) -> Upsert | Delete | Bookmark | None:
        try:
            event = parse_event(line, self._resource)
        except UndecodableError as error:
            self._sink.skip(error)
            return None
        if isinstance(event, Failure):
            raise event.error
        return event


def _version(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise UndecodableError(f"no list: its resourceVersion is {text!r}") from error
