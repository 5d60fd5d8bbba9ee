"""Keeps a copy of one resource up to date: the shell around :mod:`capt.runtime.list_watch`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Final, Literal, Protocol, TypeVar

from capt.runtime.clock import Clock, Timer
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
from capt.runtime.scope import Scope
from capt.runtime.store import Draft
from capt.runtime.transport import Transport
from capt.runtime.wire import Bookmark, Delete, Failure, Upsert, parse_event, parse_page

PAGE: Final = 500
"""Objects per page of a list: a few milliseconds of decoding between two turns of the event loop."""

WATCH_SECONDS: Final = 300
"""The server is asked to end a watch after this to twice this many seconds, so that watches spread out."""

IDLE_SECONDS: Final = 120.0
"""A watch without a single byte for so long is dead: a server that is well sends a bookmark every minute."""

INITIAL_SILENCE: Final = 5.0
"""A streamed list that brings nothing for this to twice this many seconds will not end: the server does not know
streamed lists, and has begun a plain watch; or it hangs."""

_LIST_TIMEOUT: Final = 60.0

E = TypeVar("E", bound=Exception)


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
        scope: which objects, and how much of each.
    """

    def __init__(
        self,
        transport: Transport,
        resource: Resource,
        sink: Sink,
        clock: Clock,
        scope: Scope,
    ) -> None:
        self._transport = transport
        self._resource = resource
        self._sink = sink
        self._clock = clock
        self._path = resource.path(scope.namespace)
        self._selection = ({"labelSelector": scope.labels} if scope.labels else {}) | (
            {"fieldSelector": scope.fields} if scope.fields else {}
        )
        self._scope = scope
        self._shaping = not scope.whole
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
                outcome = Failed(error=_bare(error), seconds=self._clock.monotonic() - started)
            await self._advance(outcome)

    async def _advance(self, outcome: Outcome) -> None:
        jitter = random.random()  # noqa: S311 - spreads load, hides nothing
        self._state = transition(self._state, outcome, now=self._clock.monotonic(), jitter=jitter)
        await self._sink.report(self._state, outcome.error if isinstance(outcome, Failed) else None)

    async def _stream(self) -> Outcome:
        """Take the list as the beginning of a watch, then stay on that watch."""
        query = self._watch_query() | {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        async with aclosing(self._lines(query)) as lines:
            try:
                async with _alive(self._clock, INITIAL_SILENCE) as tick:
                    listed = await self._initial(lines, tick)
            except TimeoutError as error:
                raise RequestTimeout(f"{self._resource}: the initial events have no end") from error
            if listed is None:
                return Ended(seconds=0.0, events=0)
            await self._sink.replace(*listed, self._state.reason)
            await self._advance(Listed())
            return await self._follow(lines)

    async def _initial(
        self, lines: AsyncGenerator[bytes, None], tick: Callable[[], None]
    ) -> tuple[Draft, int] | None:
        """Return the streamed list and its version, ``None`` if the stream ends before the list does."""
        draft = self._sink.draft()
        async for line in lines:
            tick()
            match self._decode(line):
                case Upsert(object=obj):
                    draft.put(obj)
                case Delete(object=obj):
                    if (old := draft.get(obj.key)) is not None:
                        draft.drop(old)
                case Bookmark(initial_events_end=True, resource_version=version):
                    return draft, version
        return None

    async def _list(self) -> Outcome:
        """Take the list in pages; in one piece, if the token of a page expires under way."""
        draft = self._sink.draft()
        query = self._selection | {"limit": str(PAGE)}
        while True:
            answer = await self._transport.request(
                "GET", self._path, query=query, accept=self._accept("List"), timeout=_LIST_TIMEOUT
            )
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
                    obj = parse_object(item, self._resource)
                    draft.put(self._scope.shaped(obj) if self._shaping else obj)
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
        return self._transport.stream(
            self._path, query=query, idle_timeout=IDLE_SECONDS, accept=self._accept()
        )

    def _accept(self, list_: Literal["List", ""] = "") -> str:
        if not self._scope.metadata_only:
            return "application/json"
        # servers that know no such form send the whole, of which the scope leaves metadata
        return f"application/json;as=PartialObjectMetadata{list_};g=meta.k8s.io;v=v1,application/json"

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
            if self._shaping and isinstance(event, Upsert):
                event = Upsert(event.type, self._scope.shaped(event.object))
        except UndecodableError as error:
            self._sink.skip(error)
            return None
        if isinstance(event, Failure):
            raise event.error
        return event


@asynccontextmanager
async def _alive(clock: Clock, silence: float) -> AsyncIterator[Callable[[], None]]:
    """Raise ``TimeoutError`` in the block when what it yields was not called for ``silence`` to twice that time.

    One timer looks after any number of calls: a timeout around each line costs more than the line.
    """
    loop = asyncio.get_running_loop()
    ticks = seen = 0
    timer: Timer | None = None

    def tick() -> None:
        nonlocal ticks
        ticks += 1

    def look() -> None:
        nonlocal seen, timer
        if timer is not None and ticks == seen:
            scope.reschedule(loop.time())
        else:
            seen = ticks
            timer = clock.call_later(silence, look)

    look()
    try:
        async with asyncio.timeout(None) as scope:
            yield tick
    finally:
        if timer is not None:
            timer.cancel()


def _bare(error: E) -> E:
    """Return an error without the frames that it came through: they hold a whole list, also after it was replaced."""
    each: BaseException | None = error
    while each is not None:
        each.__traceback__ = None
        each = each.__cause__ or each.__context__
    return error


def _version(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise UndecodableError(f"no list: its resourceVersion is {text!r}") from error
