"""Models of the reflector and of the lease: whatever happens in whatever order, what must hold holds.

The models of the queue and of the store stand beside their tests.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from capt.runtime import (
    ConnectionFailed,
    Forbidden,
    Gone,
    Informers,
    Invalid,
    NotFound,
    RequestTimeout,
    ServerError,
    TooManyRequests,
)
from capt.runtime.lease import Decision, LeaseRecord, Observation, decide, held_spec, observe, released_spec
from tests.support.scripted import THING, bookmark, event, manifest, page, status
from tests.support.virtual_time import VirtualClock, VirtualLoop

ERRORS = {
    "refused": ConnectionFailed("refused"),
    "silent": RequestTimeout("no answer"),
    "busy": TooManyRequests("busy", status=429),
    "broken": ServerError("broken", status=500),
    "forbidden": Forbidden("not yet", status=403),
    "gone": Gone("too old", status=410),
    "missing": NotFound("not served", status=404),
    "invalid": Invalid("no streamed lists", status=422),
}


class Server:
    """Objects with a history, served to one reflector as badly as its machine wants."""

    def __init__(self):
        self.objects: dict[str, int] = {}
        self.version = 10
        self.forgotten = 0  # the history up to this version
        self.failures: deque[Exception] = deque()
        self.asked = 0
        self._history: list[tuple[int, bytes]] = []
        self._streams: set[asyncio.Queue[bytes | Exception | None]] = set()

    def change(self, name, *, delete):
        known = name in self.objects
        if delete and not known:
            return
        self.version += 1
        kind = "DELETED" if delete else "MODIFIED" if known else "ADDED"
        line = event(kind, manifest(name, self.version, uid=f"{name}-{self._life(name)}"))
        if delete:
            del self.objects[name]
        else:
            self.objects[name] = self.version
        self._history.append((self.version, line))
        self.send(line)

    def send(self, what):
        for stream in self._streams:
            stream.put_nowait(what)

    def forget(self):
        self.forgotten = self.version

    @property
    def last_line(self):
        return self._history[-1][1] if self._history else bookmark(self.version)

    async def request(self, method, path, *, query=None, **_):
        self._fail()
        items = [self._object(name) for name in sorted(self.objects)]
        return page(*items, resource_version=self.version)

    async def stream(self, path, *, query, idle_timeout, **_):
        self._fail()
        lines: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        if "sendInitialEvents" in query:
            for name in sorted(self.objects):
                lines.put_nowait(event("ADDED", self._object(name)))
            lines.put_nowait(bookmark(self.version, end=True))
        else:
            position = int(query["resourceVersion"])
            if position < self.forgotten:
                raise ERRORS["gone"]
            for version, line in self._history:
                if version > position:
                    lines.put_nowait(line)
        self._streams.add(lines)
        try:
            while (line := await asyncio.wait_for(lines.get(), idle_timeout)) is not None:
                if isinstance(line, Exception):
                    raise line
                yield line
        except TimeoutError:
            raise RequestTimeout("silence") from None
        finally:
            self._streams.discard(lines)

    def _fail(self):
        self.asked += 1
        if self.failures:
            raise self.failures.popleft()

    def _object(self, name):
        return manifest(name, self.objects[name], uid=f"{name}-{self._life(name)}")

    def _life(self, name):
        text = f'"name": "{name}"'.encode()
        return sum(b"DELETED" in line and text in line for _, line in self._history)


class ReflectorMachine(RuleBasedStateMachine):
    """Cache and handler end up with what the server has, and the server is not asked too often on the way."""

    names = st.sampled_from("abc")

    @initialize()
    def start(self):
        self.loop = VirtualLoop()
        self.server = Server()
        self.told = {}
        self.problems = []
        self.informers = Informers(self.server, clock=VirtualClock())
        self.run(self.informers.__aenter__())
        self.handle = self.run(self.informers.watch(THING, self.hear))
        self.run(asyncio.sleep(0.1))

    def run(self, work):
        return self.loop.run_until_complete(work)

    def hear(self, change):
        name, known = change.obj.name, self.told.get(change.obj.name)
        if change.old is not None:
            seen = known is not None and (known.uid, known.resource_version)
            if seen != (change.old.uid, change.old.resource_version):
                self.problems.append(f"{change.type} {name} follows what it had not told: {seen}")
        elif known is not None:
            self.problems.append(f"{name} was added twice")
        if change.type == "modified" and change.old.uid != change.new.uid:
            self.problems.append(f"{name} became another object")
        self.told.pop(name, None)
        if change.new is not None:
            self.told[name] = change.new

    @invariant()
    def tells_a_story(self):
        assert not getattr(self, "problems", [])

    @rule(name=names, delete=st.booleans())
    def change(self, name, delete):
        self.server.change(name, delete=delete)

    @rule(name=names, delete=st.booleans())
    def change_while_nobody_listens(self, name, delete):
        self.server.send(ConnectionFailed("reset"))
        self.server.change(name, delete=delete)

    @rule(kinds=st.lists(st.sampled_from(sorted(ERRORS)), min_size=1, max_size=4))
    def fail(self, kinds):
        self.server.failures.extend(ERRORS[kind] for kind in kinds)

    @rule(end=st.sampled_from([None, "refused", "silent", "broken"]))
    def end_watches(self, end):
        self.server.send(ERRORS[end] if end else None)

    @rule(code=st.sampled_from([410, 500, 429]))
    def end_watches_with_an_error(self, code):
        self.server.send(event("ERROR", status(code, "Expired" if code == 410 else "")))

    @rule()
    def forget(self):
        self.server.forget()
        self.server.send(None)

    @rule()
    def disturb(self):
        self.server.send(b'{"type": "ADDED", "object": {"kind": "Other"')
        self.server.send(self.server.last_line)
        self.server.send(bookmark(self.server.version))

    @rule(seconds=st.sampled_from([0.001, 1.0, 30.0, 300.0]))
    def wait(self, seconds):
        asked = self.server.asked
        self.run(asyncio.sleep(seconds))
        assert self.server.asked - asked <= 12 + seconds, "a hot loop"

    @rule()
    def rest(self):
        self.server.failures.clear()
        self.run(asyncio.sleep(200))  # longer than the longest wait of any kind
        assert self.handle.synced
        cached = {obj.name: obj.resource_version for obj in self.informers.store(THING).list()}
        assert cached == self.server.objects
        assert {name: obj.resource_version for name, obj in self.told.items()} == cached

    def teardown(self):
        if hasattr(self, "loop"):
            try:
                self.rest()
            finally:
                self.run(self.informers.__aexit__(None, None, None))
                left = asyncio.all_tasks(self.loop)
                self.loop.close()
            assert not left


ReflectorMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
test_reflector_model = ReflectorMachine.TestCase


def _wall(seconds):
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


CANDIDATES = st.integers(0, 2)
DURATION = 15
RENEW = 10.0


class LeaseMachine(RuleBasedStateMachine):
    """Three candidates that look, write and wait in any order, with requests that travel for as long as they like."""

    def __init__(self):
        super().__init__()
        self.now = 1000.0
        self.offsets = [0.0, 5e5, -300.0]  # no two boot-time clocks agree
        self.record: LeaseRecord | None = None
        self.changed_at = self.now
        self.holders = []
        self.version = 0
        self.seen: list[Observation | None] = [None] * 3
        self.deadlines = [float("-inf")] * 3
        self.travelling = {}

    def name(self, number):
        return f"c{number}"

    def own(self, number):
        return self.now + self.offsets[number]

    def store(self, spec):
        self.version += 1
        old = self.record or LeaseRecord()
        before = {
            "holderIdentity": old.holder,
            "leaseTransitions": old.transitions,
            "acquireTime": old.acquired,
        }
        lease = {"metadata": {"resourceVersion": str(self.version)}, "spec": before | spec}
        self.record = LeaseRecord.from_object(json.loads(json.dumps(lease)))
        self.changed_at = self.now

    @rule(seconds=st.sampled_from([0.5, 2.0, 5.0, 9.0, 15.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(number=CANDIDATES)
    def look(self, number):
        self.seen[number] = observe(self.seen[number], self.record, self.own(number))

    @rule(number=CANDIDATES)
    def send(self, number):
        seen = self.seen[number]
        if seen is None or number in self.travelling:
            return
        decision = decide(seen, identity=self.name(number), now=self.own(number))
        if decision is Decision.WAIT:
            return
        spec = held_spec(
            seen.record, identity=self.name(number), duration=DURATION, now=_wall(self.own(number))
        )
        self.travelling[number] = (decision, spec, seen.record, self.now)

    @precondition(lambda self: self.travelling)
    @rule(number=CANDIDATES, answered=st.booleans())
    def arrive(self, number, answered):
        if number not in self.travelling:
            return
        decision, spec, expected, sent_at = self.travelling.pop(number)
        if (self.record is None) != (decision is Decision.CREATE):
            return
        if self.record is not None and self.record.resource_version != expected.resource_version:
            return
        before = self.record
        if before is not None and before.holder not in {"", self.name(number)}:
            assert self.now - self.changed_at >= before.duration, "taken before it had expired"
        transitions = before.transitions if before else 0
        self.store(spec)
        assert self.record.transitions == transitions + (
            before is not None and before.holder != self.name(number)
        )
        if answered:
            self.seen[number] = Observation(self.record, self.own(number))
            self.deadlines[number] = sent_at + RENEW

    @rule(number=CANDIDATES)
    def release(self, number):
        """The work has ended; the lease is read anew, and released if it is ours."""
        self.deadlines[number] = float("-inf")
        if self.record is not None and self.record.holder == self.name(number):
            self.store(released_spec(_wall(self.own(number))))

    @precondition(lambda self: self.record is not None)
    @rule()
    def touch(self):
        """Somebody else puts a label on the Lease."""
        self.store({"leaseDurationSeconds": self.record.duration})

    @invariant()
    def one_leader(self):
        leaders = [number for number in range(3) if self.now < self.deadlines[number]]
        assert len(leaders) <= 1
        for number in leaders:
            assert self.record.holder == self.name(number)


LeaseMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
test_inv_093_lease_model = LeaseMachine.TestCase
