from __future__ import annotations

import json

import pytest

from capt.runtime import Key, Owner, Resource, UndecodableError, parse_object
from capt.runtime.object import LAST_APPLIED
from tests.support.scripted import THINGS, manifest, thing


def parse(content):
    return parse_object(json.dumps(content).encode(), THINGS)


def test_what_handlers_look_at_is_at_hand():
    """Identity, version, labels and owners are attributes; nothing else needs decoding."""
    content = manifest("a", 7, labels={"x": "y"}, owner="u-1", deleting=True, spec={"size": 1})
    content["metadata"]["generation"] = 3
    obj = parse(content)
    assert (obj.key, obj.namespace, obj.name) == (Key("default", "a"), "default", "a")
    assert (obj.uid, obj.resource_version, obj.generation, obj.deleting) == ("uid-of-a", 7, 3, True)
    assert dict(obj.labels) == {"x": "y"}
    assert obj.controller == Owner(
        api_version="example.com/v1", kind="Thing", name="owner", uid="u-1", controller=True
    )
    assert obj.decode() == content


def test_an_owner_that_does_not_control_is_no_controller():
    """Only the owner reference marked as controller is the controller."""
    content = manifest("a", owner="u-1")
    content["metadata"]["ownerReferences"][0]["controller"] = False
    assert parse(content).controller is None
    assert parse(content).owners[0].uid == "u-1"


def test_bookkeeping_of_others_is_dropped():
    """managedFields and last-applied-configuration are dropped, everything else is kept byte for byte."""
    content = manifest("a", spec={"text": "managedFields", "n": [1, 2.50, {"ü": None}]})
    expected = json.loads(json.dumps(content))
    content["metadata"]["managedFields"] = [{"manager": "x", "fieldsV1": {"f:spec": {}}}]
    assert parse(content).decode() == expected
    assert json.dumps(content["spec"]).encode() in parse(content).raw
    content["metadata"]["annotations"] = {"keep": "me", LAST_APPLIED: "{}"}
    assert parse(content).decode()["metadata"]["annotations"] == {"keep": "me"}


NOISE = [{"manager": "x", "fieldsV1": {"f:managedFields": {"managedFields": 1}}}]


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize(
    "content",
    [
        manifest("a", spec={"text": '"managedFields":[]'}),
        manifest("a", aaa={"managedFields": NOISE}),
        manifest("a", aaa={"managedFields": {}}, zzz={"managedFields": NOISE}),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_only_the_metadata_loses_managed_fields(content, separators, first):
    """What is called managedFields elsewhere, or looks like it, stays, however the JSON is written."""
    expected = json.loads(json.dumps(content))
    meta = content["metadata"]
    managed = {"managedFields": [{"manager": "y"}]}
    full = content | {"metadata": managed | meta if first else meta | managed}
    for noisy in (full, content | {"metadata": meta | {"managedFields": NOISE}}):
        assert parse_object(json.dumps(noisy, separators=separators).encode(), THINGS).decode() == expected


def test_bytes_are_kept_as_they_came():
    """An object that has nothing to drop keeps its bytes, formatting included."""
    raw = b'{ "kind":"Thing", "metadata": {"name":"a", "resourceVersion":"1"}, "spec": 1.50 }'
    assert parse_object(raw, THINGS).raw == raw


def test_type_is_filled_in():
    """Items of a list of a built-in kind come without apiVersion and kind, cached objects have them."""
    secrets = Resource(group="", version="v1", kind="Secret", plural="secrets")
    obj = parse_object(b'{"metadata":{"name":"a","resourceVersion":"1"},"data":{}}', secrets)
    assert (obj.decode()["apiVersion"], obj.decode()["kind"], obj.decode()["data"]) == ("v1", "Secret", {})


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"[]",
        b'"text"',
        b'{"kind":"Other","metadata":{"name":"a","resourceVersion":"1"}}',
        b'{"kind":"Thing","metadata":{"name":"a","resourceVersion":"abc"}}',
        b'{"kind":"Thing","metadata":{"resourceVersion":"1"}}',
        b'{"kind":"Thing","metadata":{"name":"\xff","resourceVersion":"1"}}',
        b'{"kind":"Thing","metadata":{"name":"a","resourceVersion":"1","labels":["x"]}}',
        b'{"kind":"Thing","metadata":{"name":"a","resourceVersion":"1"},"spec":'
        + b"[" * 5000
        + b"]" * 5000
        + b"}",
    ],
    ids=lambda raw: raw[:60].decode(errors="replace"),
)
def test_what_is_no_object_is_refused(raw):
    """Anything else than an object of the kind is an UndecodableError, whatever is wrong with it."""
    with pytest.raises(UndecodableError, match="no Thing"):
        parse_object(raw, THINGS)


def test_objects_are_read_only():
    """Neither an object nor its labels can be changed; decode() gives a copy that can."""
    obj = thing("a", labels={"x": "y"})
    with pytest.raises(AttributeError):
        obj.uid = "other"
    with pytest.raises(TypeError):
        obj.labels["x"] = "z"
    obj.decode()["metadata"]["name"] = "b"
    assert obj.decode()["metadata"]["name"] == "a"


@pytest.mark.parametrize(
    "members", [("name", "managedFields"), ("managedFields",), ("a", "managedFields", "name")]
)
def test_managed_fields_are_dropped_wherever_they_stand(members):
    """Custom resources have members behind managedFields, built-in kinds before it: the comma next to it goes along."""
    meta = {"name": "a", "resourceVersion": "1", "a": 1, "managedFields": [{"manager": "x"}]}
    ordered = {name: meta[name] for name in members}
    content = {
        "kind": "Thing",
        "metadata": {**{k: v for k, v in meta.items() if k not in members}, **ordered},
    }
    raw = parse_object(json.dumps(content, separators=(",", ":")).encode(), THINGS).raw
    del content["metadata"]["managedFields"]
    assert raw == json.dumps(content, separators=(",", ":")).encode()
