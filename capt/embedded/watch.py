"""Watches: the changes of a selection, as a stream of lines.

A watch listens to its collection: in the very step in which a write is stored, its line joins the queue of every watch
that selects it, encoded once for all that show it alike. Each watch has a task that writes its queue out; lines that
come within a moment of each other leave in one write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from capt.embedded.errors import StatusError, too_large_version
from capt.embedded.listing import Selection
from capt.embedded.representation import Representation, error_event
from capt.embedded.request import ListOptions
from capt.embedded.store import Change, Store, Stored

_MOMENT = 0.005  # seconds between two writes of one watch: under load, lines gather
_MOST_PENDING = 20_000  # lines; a client that lags further behind is cut off and must list again


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
        self._wake = asyncio.Event()
        self._closed = False
        self._timers: list[asyncio.TimerHandle] = []
        self._first_table = representation.form == "table"

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
            self._pending.append(error_event(error))
        self._closed = True
        self._wake.set()

    async def lines(self) -> list[bytes]:
        """The next lines, at least one; none when the stream has ended."""
        while not self._pending and not self._closed:
            self._wake.clear()
            await self._wake.wait()
        lines, self._pending = self._pending, []
        return lines

    async def pause(self) -> None:
        """Let a moment pass, so that lines gather."""
        if not self._closed:
            await asyncio.sleep(_MOMENT)

    def _initial_lines(self) -> Iterator[bytes]:
        options, revision = self._options, self._store.revision
        if (options.revision or 0) > revision:
            raise too_large_version(options.revision or 0, revision)
        if options.initial_events or (options.initial_events is None and not options.revision):
            for stored in self._selection.filter(self._collection.select(self._selection.namespace)):
                yield self._line("ADDED", stored)
        elif options.revision:
            for change in self._collection.since(options.revision):
                if (line := self._event(change)) is not None:
                    yield line
                change.lines.clear()
        if options.initial_events and options.bookmarks:
            yield self._representation.bookmark(revision, initial_events_end=True)

    def _listen(self, change: Change) -> None:
        line = self._event(change)
        if line is None:
            return
        self._pending.append(line)
        self._wake.set()
        if len(self._pending) > _MOST_PENDING:
            self.stop()
            self.close()

    def _event(self, change: Change) -> bytes | None:
        selection = self._selection
        if selection.everything:
            if selection.namespace and change.key.namespace != selection.namespace:
                return None
            before, after = change.old is not None, change.new is not None
        else:
            before, after = selection.holds(change.old), selection.holds(change.new)
        if after and change.new is not None:
            kind, stored = ("MODIFIED" if before else "ADDED"), change.new
        elif before:
            kind, stored = "DELETED", change.departed()
        else:
            return None
        if self._first_table:
            return self._line(kind, stored)
        sharing = (kind, self._representation)
        line = change.lines.get(sharing)
        if line is None:
            line = change.lines[sharing] = self._line(kind, stored)
        return line

    def _line(self, kind: str, stored: Stored) -> bytes:
        first, self._first_table = self._first_table, False
        return self._representation.event(kind, stored, first=first)

    def _bookmark(self) -> None:
        self._pending.append(self._representation.bookmark(self._store.revision, initial_events_end=False))
        self._wake.set()
        self._timers[-1] = asyncio.get_running_loop().call_later(self._interval, self._bookmark)

    def _time_out(self) -> None:
        if self._options.bookmarks:
            self._pending.append(
                self._representation.bookmark(self._store.revision, initial_events_end=False)
            )
        self.stop()
        self.close()
