"""Watches that want less than everything of a kind, and what they share."""

import json

import pytest

from capt.runtime import Client, Invalid, Key, Metrics, NotWatched, Scope, parse_object, project
from capt.runtime.testing import FakeClock
from tests.support.informers import Heard, running, synced
from tests.support.scripted import (
    THING,
    THINGS,
    ScriptedTransport,
    answer,
    bookmark,
    event,
    manifest,
    page,
    until,
)


def full(name, version=1, **fields):
    return manifest(
        name, version, spec={"size": 3, "deep": {"a": 1, "b": [1, 2]}}, status={"ready": True}, **fields
    )


class TestScope:
    @pytest.mark.parametrize(
        ("wide", "narrow"),
        [
            ({}, {}),
            ({}, {"namespace": "a"}),
            ({}, {"labels": "a=b"}),
            ({}, {"fields": "spec.x=1"}),
            ({}, {"metadata_only": True}),
            ({}, {"transform": project("spec")}),
            ({"namespace": "a"}, {"namespace": "a", "labels": "a=b"}),
            ({"labels": "a=b"}, {"labels": "a=b", "fields": "spec.x=1"}),
            ({"transform": project("spec.x")}, {"transform": project("spec.x"), "labels": "a"}),
        ],
    )
    def test_one_covers_another(self, wide, narrow):
        """A cache that holds all that another would can take its place, and not the other way round."""
        wide, narrow = Scope(**wide), Scope(**narrow)
        assert wide.covers(narrow)
        assert narrow.covers(wide) is (wide == narrow)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"namespace": "a"}, {"namespace": "b"}),
            ({"labels": "a"}, {"labels": "b"}),
            ({"metadata_only": True}, {"labels": "a"}),
            ({"transform": project("spec")}, {"transform": project("status")}),
            ({"transform": project("spec")}, {"transform": project("spec"), "fields": "status.x=1"}),
        ],
    )
    def test_neither_covers_the_other(self, one, other):
        """Each holds something that the other lacks."""
        one, other = Scope(**one), Scope(**other)
        assert not one.covers(other)
        assert not other.covers(one)

    @pytest.mark.parametrize(
        ("fields", "held"),
        [
            ("metadata.name=a", True),
            ("metadata.name==a,metadata.namespace!=default", False),
            ("spec.size=3", True),
            ("spec.size!=3", False),
            ("status.ready=true,spec.absent=", True),
            ("spec.deep.a=1,spec.size=4", False),
        ],
    )
    def test_field_selectors_mean_what_they_mean_on_the_server(self, fields, held):
        """Compared as texts; a field that is missing is empty."""
        obj = parse_object(json.dumps(full("a")).encode(), THINGS)
        assert Scope(fields=fields).holds(obj) is held

    @pytest.mark.parametrize(
        "scope", [{"fields": "a"}, {"fields": "a=b=c"}, {"labels": "a=b=c"}, {"fields": "a in (b)"}]
    )
    def test_what_is_no_selector_is_refused(self, scope):
        """When it is declared, not when it is watched."""
        with pytest.raises(ValueError, match="selector"):
            Scope(**scope)

    def test_a_projection_keeps_metadata_and_the_fields_that_it_names(self):
        """What is named stays byte for byte, at any depth; what is missing stays missing."""
        obj = parse_object(json.dumps(full("a", labels={"x": "y"})).encode(), THINGS)
        kept = project("spec.deep.b", "status", "spec.absent", "spec.size.none")(obj)
        assert kept.decode() == {
            **{name: obj.decode()[name] for name in ("apiVersion", "kind", "metadata", "status")},
            "spec": {"deep": {"b": [1, 2]}, "size": 3},
        }
        assert (kept.key, kept.labels, kept.resource_version) == (obj.key, obj.labels, 1)


async def test_a_selector_on_fields_is_the_servers_work():
    """It is sent with lists and watches."""
    transport = ScriptedTransport(lambda _: page())
    async with running(transport) as informers:
        await informers.watch(THING, Heard(), fields="metadata.name=a", labels="x=y", namespace="team")
        watch = await transport.opened(0)
        assert watch.path.endswith("/namespaces/team/things")
        selection = {"fieldSelector": "metadata.name=a", "labelSelector": "x=y"}
        assert watch.query | selection == watch.query


async def test_metadata_alone_is_asked_for_and_held():
    """Spec and status of a PartialObjectMetadata never cross the wire; where a server sends them, they are not kept."""
    transport = ScriptedTransport()
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    async with running(transport) as informers:
        handle, watch = await synced(
            transport, informers, full("a", 3) | partial, full("b", 4), metadata_only=True
        )
        assert watch.accept.startswith("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
        for name in "ab":
            content = informers.store(THING).get(Key("default", name)).decode()
            assert (content["kind"], content["apiVersion"]) == ("Thing", "example.com/v1")
        assert set(content) == {"apiVersion", "kind", "metadata"}
        assert informers.statistics()[0].resource == "things.example.com?metadata"
        await handle.close()


async def test_inv_088_a_transform_runs_once_per_object_before_the_cache():
    """Lists and changes are transformed, deletions are not; handlers see what is cached."""
    seen, heard = [], []

    def transform(obj):
        seen.append((obj.name, obj.resource_version))
        return project("spec.size")(obj)

    transport = ScriptedTransport()
    async with running(transport) as informers:
        _, watch = await synced(
            transport,
            informers,
            full("a", 3),
            handler=lambda told: heard.append(told.obj.decode()),
            transform=transform,
        )
        await informers.watch(THING, Heard(), transform=transform)
        watch.send(event("MODIFIED", full("a", 11)), event("DELETED", full("a", 12)))
        await until(lambda: len(heard) == 3)
        assert seen == [("a", 3), ("a", 11)]
        assert [content["spec"] for content in heard] == [{"size": 3}] * 3
        assert len(transport.watches) == 1


async def test_a_transform_that_fails_leaves_the_object_out():
    """It is counted as undecodable, and the stream goes on."""

    def transform(obj):
        if obj.name == "bad":
            raise KeyError("spec")
        return obj

    transport, metrics = ScriptedTransport(), Metrics()
    async with running(transport, metrics=metrics) as informers:
        await synced(transport, informers, full("bad", 3), full("good", 4), transform=transform)
        assert [obj.name for obj in informers.store(THING).list()] == ["good"]
    skipped = {"resource": "things.example.com?transformed", "type": "UNDECODABLE"}
    assert metrics.registry.get_sample_value("capt_informer_watch_events_total", skipped) == 1


async def test_a_projection_applies_to_paged_lists_too():
    """Where the server cannot stream a list, its pages are projected, one object at a time."""
    transport = ScriptedTransport(lambda _: page(full("a", 3)))
    transport.refusals = [Invalid("no streamed lists", status=422)]
    async with running(transport) as informers:
        handle = await informers.watch(THING, Heard(), transform=project("status"))
        await handle.wait_synced()
        assert "spec" not in informers.store(THING).list()[0].decode()
        assert transport.requests[0].accept == "application/json"


async def test_a_watch_of_everything_takes_narrower_ones_over():
    """The last cache is the only one; each handler goes on hearing of its own share."""
    transport = ScriptedTransport()
    slim, named = Heard(), Heard()
    async with running(transport) as informers:
        await synced(transport, informers, full("a", 3), handler=slim, metadata_only=True)
        await synced(
            transport, informers, full("a", 3), handler=named, namespace="default", fields="metadata.name=a"
        )
        with pytest.raises(NotWatched, match="several forms"):
            informers.store(THING)
        handle = await informers.watch(THING, Heard())
        watch = await transport.opened(2)
        watch.send(event("ADDED", full("a", 4)), event("ADDED", full("b", 5)), bookmark(10, end=True))
        await handle.wait_synced()
        assert [watch.closed for watch in transport.watches] == [True, True, False]
        watch.send(event("MODIFIED", full("b", 11)), event("MODIFIED", full("a", 12)))
        await until(lambda: ("modified", "a", 12, False) in slim)
        assert named.short == [("added", "a"), ("modified", "a"), ("modified", "a")]
        assert ("modified", "b") in slim.short
        assert informers.store(THING).list()[0].decode()["spec"]["size"] == 3


async def test_namespaces_are_watched_each_by_itself():
    """Reads name the namespace, or get all that is watched; a namespace that nobody watches is refused."""
    transport, clock = ScriptedTransport(), FakeClock()
    async with running(transport, clock) as informers:
        client = Client(transport, informers, clock=clock)
        for place in ("one", "two"):
            await synced(transport, informers, full("a", 3, namespace=place, uid=place), namespace=place)
        assert [watch.path.split("/")[-2] for watch in transport.watches] == ["one", "two"]
        assert (await client.get(THING, "two", "a")).metadata.uid == "two"
        assert [each.metadata.namespace for each in await client.list(THING)] == ["one", "two"]
        assert [each.metadata.namespace for each in await client.list(THING, "one")] == ["one"]
        assert len(informers.store(THING, "one")) == 1
        with pytest.raises(NotWatched, match="say which one"):
            informers.store(THING)
        with pytest.raises(NotWatched, match="in namespace three"):
            await client.get(THING, "three", "a")


async def test_the_last_handle_of_each_scope_frees_it():
    """Handles are counted per cache."""
    transport = ScriptedTransport()
    async with running(transport) as informers:
        one, _ = await synced(transport, informers, full("a", 3), namespace="default", metadata_only=True)
        two, _ = await synced(transport, informers, namespace="other", metadata_only=True)
        await one.close()
        assert [watch.closed for watch in transport.watches] == [True, False]
        assert [each.resource for each in informers.statistics()] == [
            "things.example.com?namespace=other&metadata"
        ]
        await two.close()
        assert informers.statistics() == ()


async def test_a_live_read_of_what_is_cached_in_part_is_whole():
    """The view of a projected object does not stand in for the object that the server has, though both are one version."""
    transport = ScriptedTransport(lambda _: answer(full("a", 3)))
    async with running(transport) as informers:
        client = Client(transport, informers, clock=FakeClock())
        await synced(transport, informers, full("a", 3), transform=project("status"))
        assert (await client.get(THING, "default", "a")).spec.size == 0
        assert (await client.get_live(THING, "default", "a")).spec.size == 3
        assert (await client.get(THING, "default", "a")).spec.size == 0
