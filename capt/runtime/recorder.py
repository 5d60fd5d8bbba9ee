"""Events: what happened to an object, for ``kubectl describe``.

Recording never blocks and never raises: an event is told to a queue in memory, and one task writes it. The same
event on the same object is one Event whose count grows, before it is written (while it waits in the queue) and
after (by a patch). How many there may be, :mod:`capt.runtime.event_correlation` decides.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from capt.runtime.clock import Clock, timeout
from capt.runtime.errors import ApiError, ConfigError, NotFound, raise_for_status
from capt.runtime.event_correlation import Correlator
from capt.runtime.logging import get_logger
from capt.runtime.resource import Kind, KubeObject, Resource
from capt.runtime.rights import may
from capt.runtime.transport import Transport

EVENTS = Resource(group="", version="v1", kind="Event", plural="events")

RIGHTS: Final = (may(EVENTS, "create", "patch"),)
"""What recording needs at the API server."""

MAX_WAITING: Final = 1000
"""Most distinct events that wait to be written; further ones are dropped. client-go's number."""

MAX_REMEMBERED: Final = 4096
"""Most distinct written events whose count can still grow. client-go's number."""

COMBINED: Final = "(combined from similar events): "
"""How the text of an Event begins that stands for several; client-go's words."""

_MAX_MESSAGE = 1024  # the API server refuses longer ones
_TRIES = 4
_RETRY_SECONDS = 1.0  # doubling


class _Fact(NamedTuple):
    """What makes two events the same; of those that are combined the message is :data:`COMBINED`."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str
    type: str
    reason: str
    message: str
    component: str
    user_agent: str


@dataclass(slots=True)
class _Tally:
    """How often a fact was recorded and is not written yet."""

    first: datetime
    last: datetime
    count: int
    resource_version: str
    message: str


@dataclass(frozen=True, slots=True)
class _Written:
    """The Event that tells a fact."""

    name: str
    count: int


class Recorder:
    """Records events in the name of one component; ``Manager.recorder`` makes one.

    Recording never waits and never raises. As in client-go, equal events are one whose count grows, similar ones are
    combined, an object that has too many loses some, and at most 1000 wait to be written. Unlike client-go's, those that
    wait when the manager stops are still written.

    Args:
        sink: writes them.
        component: who tells them.
        count: called with component, type and reason of every event, also of one that will not be written; by default
            nobody counts.
        user_agent: what audit logs show for its events; "" for the sink's own.
    """

    def __init__(
        self,
        sink: EventSink,
        component: str,
        *,
        count: Callable[[str, str, str], None] = lambda *_: None,
        user_agent: str = "",
    ) -> None:
        self._sink = sink
        self._component = component
        self._count = count
        self._user_agent = user_agent

    def normal(self, kind: Kind[Any], obj: KubeObject, reason: str, message: str) -> None:
        """Record that something went as it should.

        Args:
            kind: of the object.
            obj: what it happened to.
            reason: one CamelCase word for programs.
            message: a sentence for people; cut at 1024 characters.
        """
        self._record("Normal", kind, obj, reason, message)

    def warning(self, kind: Kind[Any], obj: KubeObject, reason: str, message: str) -> None:
        """Record that something went wrong; arguments as for :meth:`normal`."""
        self._record("Warning", kind, obj, reason, message)

    def _record(self, severity: str, kind: Kind[Any], obj: KubeObject, reason: str, message: str) -> None:
        self._count(self._component, severity, reason)
        self._sink.add(
            kind,
            obj,
            severity=severity,
            reason=reason,
            message=message,
            component=self._component,
            user_agent=self._user_agent,
        )


class EventSink:
    """Writes recorded events to the API server.

    Args:
        transport: the way to the API server.
        clock: where time comes from.
        instance: the process, e.g. its leader election identity.
    """

    def __init__(self, transport: Transport, *, clock: Clock, instance: str) -> None:
        self._transport = transport
        self._clock = clock
        self._instance = instance
        self._waiting: OrderedDict[_Fact, _Tally] = OrderedDict()
        self._written: OrderedDict[_Fact, _Written] = OrderedDict()
        self._correlator = Correlator()
        self._more = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._serial = 0
        self._log = get_logger()

    def add(
        self,
        kind: Kind[Any],
        obj: KubeObject,
        *,
        severity: str,
        reason: str,
        message: str,
        component: str,
        user_agent: str = "",
    ) -> None:
        """Record an event of severity ``Normal`` or ``Warning``; it is dropped when there are too many."""
        meta = obj.metadata
        resource = kind.resource
        # half a surrogate pair, as in the name of a file, cannot be sent
        message = message.encode(errors="replace").decode()
        monotonic = self._clock.monotonic()
        source = (component, resource, meta.namespace, meta.name, meta.uid)
        if combined := self._correlator.is_combined((source, severity, reason), message, monotonic):
            message = COMBINED + message
        if len(message) > _MAX_MESSAGE:
            message = message[: _MAX_MESSAGE - 3] + "..."
        fact = _Fact(
            api_version=resource.api_version,
            kind=resource.kind,
            namespace=meta.namespace or "",
            name=meta.name,
            uid=meta.uid,
            type=severity,
            reason=reason,
            message=COMBINED if combined else message,
            component=component,
            user_agent=user_agent,
        )
        now = self._clock.now()
        tally = self._waiting.get(fact)
        if tally is not None:
            tally.count += 1
            tally.last = now
            tally.message = message
            return
        # what only makes a count grow that is not written yet costs nothing
        if not self._correlator.is_granted(source, monotonic):
            self._log.debug("event dropped: too many on one object", reason=reason, name=meta.name)
            return
        if len(self._waiting) >= MAX_WAITING:
            self._log.debug("event dropped: too many wait", reason=reason, name=meta.name)
            return
        self._waiting[fact] = _Tally(now, now, 1, meta.resource_version, message)
        self._idle.clear()
        self._more.set()

    async def run(self) -> None:
        """Write events until cancelled."""
        while True:
            await self._more.wait()
            while self._waiting:
                fact, tally = self._waiting.popitem(last=False)
                await self._write(fact, tally)
            self._more.clear()
            self._idle.set()

    async def flush(self, seconds: float) -> None:
        """Wait until everything recorded is written, at most so long; :meth:`run` must be running."""
        try:
            async with timeout(self._clock, seconds):
                await self._idle.wait()
        except TimeoutError:
            self._log.warning(
                "events lost: the API server did not take them in time", count=len(self._waiting)
            )

    async def _write(self, fact: _Fact, tally: _Tally) -> None:
        delay = _RETRY_SECONDS
        for tries_left in reversed(range(_TRIES)):
            try:
                await self._send(fact, tally)
            except (ApiError, ConfigError) as error:
                # a namespace that is being deleted, a missing permission: no use in trying again
                hopeless = isinstance(error, ApiError) and 400 <= error.status < 500 and error.status != 429
                if hopeless or not tries_left:
                    self._log.debug("event not written", reason=fact.reason, name=fact.name, error=str(error))
                    return
            else:
                return
            await self._clock.sleep(delay)
            delay *= 2

    async def _send(self, fact: _Fact, tally: _Tally) -> None:
        namespace = fact.namespace or "default"
        written = self._written.pop(fact, None)
        if written is not None:
            written = await self._grow(namespace, written, tally, fact.user_agent)
        if written is None:
            written = await self._create(namespace, fact, tally)
        self._written[fact] = written
        if len(self._written) > MAX_REMEMBERED:
            self._written.popitem(last=False)

    async def _grow(
        self, namespace: str, written: _Written, tally: _Tally, user_agent: str
    ) -> _Written | None:
        """Raise an Event's count; ``None`` when it is there no more (they live an hour)."""
        count = written.count + tally.count
        body = {"count": count, "lastTimestamp": _time(tally.last), "message": tally.message}
        try:
            await self._request("PATCH", EVENTS.path(namespace, written.name), body, user_agent)
        except NotFound:
            return None
        return _Written(written.name, count)

    async def _create(self, namespace: str, fact: _Fact, tally: _Tally) -> _Written:
        self._serial += 1
        name = f"{fact.name[:200].rstrip('-.')}.{int(tally.first.timestamp() * 1e6):x}{self._serial:x}"
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"namespace": namespace, "name": name},
            "involvedObject": {
                "apiVersion": fact.api_version,
                "kind": fact.kind,
                "namespace": fact.namespace,
                "name": fact.name,
                "uid": fact.uid,
                "resourceVersion": tally.resource_version,
            },
            "type": fact.type,
            "reason": fact.reason,
            "message": tally.message,
            "count": tally.count,
            "firstTimestamp": _time(tally.first),
            "lastTimestamp": _time(tally.last),
            "source": {"component": fact.component},
            "reportingComponent": fact.component,
            "reportingInstance": self._instance,
        }
        await self._request("POST", EVENTS.path(namespace), body, fact.user_agent)
        return _Written(name, tally.count)

    async def _request(self, method: str, path: str, body: Mapping[str, Any], user_agent: str) -> None:
        transport = self._transport.with_user_agent(user_agent) if user_agent else self._transport
        answer = await transport.request(
            method,
            path,
            body=msgspec.json.encode(body),
            content_type="application/merge-patch+json" if method == "PATCH" else "application/json",
        )
        raise_for_status(answer)


def _time(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
