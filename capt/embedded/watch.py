"""Watches: the changes of a selection, as a stream of lines.

A watch listens to its collection: in the very step in which a write is stored, its line joins the queue of every watch
that selects it. It is made once for all watches that ask for the same. Each watch has a task that writes its queue out;
lines that come within a moment of each other leave in one write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from capt.embedded.errors import StatusError, too_large_version
from capt.embedded.listing import Selection
from capt.embedded.representation import Representation, error_event
from capt.embedded.request import ListOptions
from capt.embedded.store import Change, Store, Stored

_MOMENT = 0.001  # seconds between two writes of one watch: under load, lines gather
_SHARE = 0.0002  # seconds more for each watch there is, so that writing leaves time for requests
_LONGEST_LAG = 16 * 1024 * 1024  # bytes; a client that lags further behind is cut off and must list again


class Watch:
    """One running watch.

    Args:
        store: The objects and their history.
        selection: Which objects.
        representation: How they are shown.
        options: From where, until when, with bookmarks or not.
        bookmark_interval: Seconds between bookmarks.
    """

    def __init__(
        self,
        store: Store,
        selection: Selection,
        representation: Representation,
        options: ListOptions,
        *,
        bookmark_interval: float,
    ) -> None:
        self._store = store
        self._collection = store.collection(selection.resource.id)
        self._selection = selection
        self._representation = representation
        self._options = options
        self._interval = bookmark_interval
        self._pending: list[bytes] = []
        self._lag = 0
        self._wake = asyncio.Event()
        self._closed = False
        self._timers: list[asyncio.TimerHandle] = []
        self._first_table = representation.form == "table"
        shown = (representation.resource, representation.form, representation.include)
        self._sharing = (*shown, selection.namespace, options.label_selector, options.field_selector)

    @property
    def resource_id(self) -> str:
        """The resource that is watched."""
        return self._selection.resource.id

    def start(self) -> None:
        """Take the initial events and listen from here on, in one step."""
        try:
            self._pending.extend(self._initial_lines())
        except StatusError as error:
            self.close(error)
            return
        self._collection.listeners.append(self._listen)
        loop = asyncio.get_running_loop()
        if self._options.timeout is not None:
            self._timers.append(loop.call_later(self._options.timeout, self._time_out))
        if self._options.bookmarks:
            self._timers.append(loop.call_later(self._interval, self._bookmark))

    def stop(self) -> None:
        """Listen no longer."""
        if self._listen in self._collection.listeners:
            self._collection.listeners.remove(self._listen)
        for timer in self._timers:
            timer.cancel()

    def close(self, error: StatusError | None = None) -> None:
        """End the stream after what is pending, with an error event if there is an error."""
        if error is not None:
            self._push(error_event(error))
        self._closed = True
        self._wake.set()

    async def lines(self) -> list[bytes]:
        """The next lines, at least one; none when the stream has ended."""
        while not self._pending and not self._closed:
            self._wake.clear()
            await self._wake.wait()
        lines, self._pending, self._lag = self._pending, [], 0
        return lines

    async def pause(self, watches: int) -> None:
        """Let a moment pass, so that lines gather; longer the more watches there are."""
        if not self._closed:
            await asyncio.sleep(_MOMENT + _SHARE * watches)

    def _initial_lines(self) -> Iterator[bytes]:
        options, revision = self._options, self._store.revision
        if (options.revision or 0) > revision:
            raise too_large_version(options.revision or 0, revision)
        if options.initial_events or (options.initial_events is None and not options.revision):
            for stored in self._selection.filter(self._collection.select(self._selection.namespace)):
                yield self._line("ADDED", stored)
        elif options.revision:
            yield from filter(None, map(self._event, self._collection.since(options.revision)))
        if options.initial_events and options.bookmarks:
            yield self._representation.bookmark(revision, initial_events_end=True)

    def _listen(self, change: Change) -> None:
        sharing = self if self._first_table else self._sharing
        line = change.lines.get(sharing)
        if line is None:
            line = change.lines[sharing] = self._event(change)
        if line:
            self._push(line)
            self._lag += len(line)
        if self._lag > _LONGEST_LAG:
            self.stop()
            self.close()

    def _push(self, line: bytes) -> None:
        self._pending.append(line)
        self._wake.set()

    def _event(self, change: Change) -> bytes:
        """The line for a change; empty, if neither the state before nor the one after is selected."""
        before, after = self._selection.holds(change.old), self._selection.holds(change.new)
        if after and change.new is not None:
            return self._line("MODIFIED" if before else "ADDED", change.new)
        return self._line("DELETED", change.departed()) if before else b""

    def _line(self, kind: str, stored: Stored) -> bytes:
        first, self._first_table = self._first_table, False
        return self._representation.event(kind, stored, first=first)

    def _push_bookmark(self) -> None:
        self._push(self._representation.bookmark(self._store.revision, initial_events_end=False))

    def _bookmark(self) -> None:
        self._push_bookmark()
        self._timers[-1] = asyncio.get_running_loop().call_later(self._interval, self._bookmark)

    def _time_out(self) -> None:
        if self._options.bookmarks:
            self._push_bookmark()
        self.stop()
        self.close()
