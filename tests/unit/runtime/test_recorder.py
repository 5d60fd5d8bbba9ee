"""Events are aggregated, written behind the scenes, and never get in the way."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from capt.runtime.errors import ConnectionFailed
from capt.runtime.event_correlation import REMEMBERED, Correlator
from capt.runtime.recorder import MAX_WAITING, EventSink, Recorder
from capt.runtime.testing import FakeClock, settle
from tests.support.memory_api import MemoryApi
from tests.support.things import THING, WORLD, Metadata, Thing

OBJ = Thing(metadata=Metadata(name="a", namespace="ns", uid="u", resource_version="7"))


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def api():
    return MemoryApi()


@pytest.fixture
def sink(api, clock):
    return EventSink(api, clock=clock, instance="me")


@asynccontextmanager
async def running(sink):
    task = asyncio.create_task(sink.run())
    yield
    task.cancel()
    await asyncio.wait([task])


async def test_an_event_is_what_kubectl_describe_reads(api, sink):
    """Involved object, type, reason, message, count, times, source."""
    async with running(sink):
        Recorder(sink, "machines").normal(THING, OBJ, "Created", "it was created")
        await settle()
    (event,) = api.all("events")
    assert event["metadata"]["namespace"] == "ns"
    assert event["metadata"]["name"].startswith("a.")
    assert event["involvedObject"] == {
        "apiVersion": "test.dev/v1",
        "kind": "Thing",
        "namespace": "ns",
        "name": "a",
        "uid": "u",
        "resourceVersion": "7",
    }
    assert (event["type"], event["reason"], event["message"]) == ("Normal", "Created", "it was created")
    assert (event["count"], event["firstTimestamp"]) == (1, "2026-01-01T00:00:00Z")
    assert event["source"] == {"component": "machines"}
    assert (event["reportingComponent"], event["reportingInstance"]) == ("machines", "me")


async def test_events_carry_the_user_agent_of_who_tells_them(api, sink):
    """An audit log tells an engine's events from the manager's own; one that grows is still its teller's."""
    async with running(sink):
        Recorder(sink, "machines").normal(THING, OBJ, "Created", "it was created")
        await settle()
        assert api.agents == []
        engine = Recorder(sink, "engine", user_agent="engine/1")
        for _ in range(2):
            engine.normal(THING, OBJ, "Created", "it was created")
            await settle()
    assert api.agents == ["engine/1", "engine/1"]


async def test_the_same_event_again_raises_the_count(api, clock, sink):
    """One Event per fact, with the time of the last occurrence."""
    recorder = Recorder(sink, "c")
    async with running(sink):
        for _ in range(3):
            recorder.warning(THING, OBJ, "Failed", "no luck")
            await clock.advance(10)
        recorder.warning(THING, OBJ, "Failed", "other words")
        await settle()
    events = {event["message"]: event for event in api.all("events")}
    assert set(events) == {"no luck", "other words"}
    assert (events["no luck"]["count"], events["no luck"]["lastTimestamp"]) == (3, "2026-01-01T00:00:20Z")
    assert events["no luck"]["type"] == "Warning"


async def test_what_is_recorded_faster_than_written_is_one_write(api, sink):
    """A storm of one event is one request."""
    recorder = Recorder(sink, "c")
    for _ in range(50):
        recorder.normal(THING, OBJ, "Again", "and again")
    async with running(sink):
        await settle()
    assert len(api.writes) == 1
    assert api.all("events")[0]["count"] == 50


async def test_an_event_that_expired_is_written_anew(api, sink):
    """The server drops events after an hour; the fact is then a new Event."""
    recorder = Recorder(sink, "c")
    async with running(sink):
        recorder.normal(THING, OBJ, "R", "m")
        await settle()
        api.drop("events", "ns", api.all("events")[0]["metadata"]["name"])
        recorder.normal(THING, OBJ, "R", "m")
        await settle()
    assert [event["count"] for event in api.all("events")] == [1]


async def test_a_cluster_scoped_objects_events_are_in_default(api, sink):
    """As client-go does it."""
    async with running(sink):
        Recorder(sink, "c").normal(WORLD, Thing(metadata=Metadata(name="earth")), "R", "m")
        await settle()
    assert api.all("events")[0]["metadata"]["namespace"] == "default"


async def test_a_server_that_is_away_is_asked_again(api, clock, sink):
    """A lost connection costs a second, not the event."""
    failures = [ConnectionFailed("away"), ConnectionFailed("away")]

    def before(method, path):
        if failures:
            raise failures.pop()

    api.before = before
    async with running(sink):
        Recorder(sink, "c").normal(THING, OBJ, "R", "m")
        await clock.advance(3)
    assert len(api.all("events")) == 1


async def test_a_refusal_is_final_and_stops_nothing(api, sink):
    """An event that the server does not want is dropped, the next is written."""
    recorder = Recorder(sink, "c")
    api.served.discard("events")
    async with running(sink):
        recorder.normal(THING, OBJ, "R", "refused")
        await settle()
        api.served.add("events")
        recorder.normal(THING, OBJ, "R", "accepted")
        await settle()
    assert [event["message"] for event in api.all("events")] == ["accepted"]
    assert len(api.writes) == 2


async def test_memory_is_bounded(api, sink):
    """What exceeds the queue is dropped, without an exception."""
    recorder = Recorder(sink, "c")
    for number in range(MAX_WAITING + 100):
        recorder.normal(THING, Thing(metadata=Metadata(name=str(number), namespace="ns")), "R", "m")
    async with running(sink):
        await settle()
    assert len(api.all("events")) == MAX_WAITING


async def test_a_long_message_is_cut(api, sink):
    """The API server refuses messages of more than 1024 characters."""
    async with running(sink):
        Recorder(sink, "c").warning(THING, OBJ, "R", "x" * 5000)
        await settle()
    message = api.all("events")[0]["message"]
    assert len(message) == 1024
    assert message.endswith("...")


async def test_text_that_is_no_unicode_is_told_all_the_same(api, sink):
    """A name of a file that is no UTF-8, in the output of a command, does not end the recorder."""
    async with running(sink):
        Recorder(sink, "machines").warning(THING, OBJ, "Failed", "no file \udcff.tf")
        await settle()
    assert [event["message"] for event in api.all("events")] == ["no file ?.tf"]


async def test_flush_waits_for_all_but_not_for_ever(api, clock, sink):
    """A stop writes what is waiting, or gives up in time."""
    recorder = Recorder(sink, "c")
    async with running(sink):
        recorder.normal(THING, OBJ, "R", "m")
        await sink.flush(1)
        assert len(api.all("events")) == 1

        def away(method, path):
            raise ConnectionFailed("away")

        api.before = away
        recorder.normal(THING, OBJ, "R", "n")
        flush = asyncio.create_task(sink.flush(1))
        await clock.advance(1)
        await flush


def test_every_recorded_event_is_counted(sink):
    """The count is of what was recorded, whether or not the API server will take it: failures show by their reason."""
    counted = []
    recorder = Recorder(sink, "c", count=lambda *fact: counted.append(fact))
    recorder.normal(THING, OBJ, "Created", "it was created")
    recorder.warning(THING, OBJ, "Failed", "no luck")
    assert counted == [("c", "Normal", "Created"), ("c", "Warning", "Failed")]


async def test_one_object_is_given_so_many_events(api, clock, sink):
    """25 at once, then one in five minutes; other objects and other components have their own."""
    recorder = Recorder(sink, "c")
    async with running(sink):
        for number in range(40):
            recorder.normal(THING, OBJ, f"R{number}", "m")
            await settle()
        assert len(api.all("events")) == 25
        await clock.advance(299)
        recorder.normal(THING, OBJ, "Early", "m")
        await clock.advance(2)
        recorder.normal(THING, OBJ, "Late", "m")
        recorder.normal(THING, OBJ, "TooMany", "m")
        Recorder(sink, "d").normal(THING, OBJ, "Other", "m")
        await settle()
    assert [event["reason"] for event in api.all("events")[25:]] == ["Late", "Other"]


async def test_texts_that_differ_a_little_become_one_event(api, clock, sink):
    """From the tenth on they are one Event, whose text is the newest; after ten quiet minutes they are told apart."""
    recorder = Recorder(sink, "c")
    async with running(sink):
        for number in range(14):
            recorder.normal(THING, OBJ, "Waiting", f"{number} are missing")
            await settle()
        recorder.normal(THING, OBJ, "Another", "0 are missing")
        await settle()
        *single, combined, another = api.all("events")
        assert [event["message"] for event in single] == [f"{number} are missing" for number in range(9)]
        assert combined["message"] == "(combined from similar events): 13 are missing"
        assert (combined["count"], another["message"]) == (5, "0 are missing")
        await clock.advance(601)
        recorder.normal(THING, OBJ, "Waiting", "14 are missing")
        await settle()
    assert api.all("events")[-1]["message"] == "14 are missing"


def test_what_was_said_long_ago_is_forgotten():
    """Memory is bounded by the objects that events are about."""
    correlator = Correlator()
    for number in range(REMEMBERED + 100):
        assert correlator.is_granted(number, 0.0)
        assert not correlator.is_combined(number, "m", 0.0)
    assert len(correlator._buckets._known) == len(correlator._groups._known) == REMEMBERED
