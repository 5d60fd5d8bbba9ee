from __future__ import annotations

import pytest

from capt.runtime import Key, Kind, Resource
from tests.support.scripted import THINGS, Thing

NAMESPACES = Resource(group="", version="v1", kind="Namespace", plural="namespaces", namespaced=False)


@pytest.mark.parametrize(
    ("resource", "arguments", "path"),
    [
        (THINGS, (), "/apis/example.com/v1/things"),
        (THINGS, ("ns",), "/apis/example.com/v1/namespaces/ns/things"),
        (THINGS, ("ns", "a"), "/apis/example.com/v1/namespaces/ns/things/a"),
        (THINGS, ("ns", "a", "status"), "/apis/example.com/v1/namespaces/ns/things/a/status"),
        (THINGS, ("ns", "a/../b?c"), "/apis/example.com/v1/namespaces/ns/things/a%2F..%2Fb%3Fc"),
        (NAMESPACES, ("ignored", "system:x"), "/api/v1/namespaces/system:x"),
    ],
)
def test_path(resource, arguments, path):
    """Paths follow the API's scheme, and no name can leave its place in them."""
    assert resource.path(*arguments) == path


def test_names():
    """Resources and keys print as kubectl shows them."""
    assert (str(THINGS), THINGS.api_version) == ("things.example.com", "example.com/v1")
    assert (str(NAMESPACES), NAMESPACES.api_version) == ("namespaces", "v1")
    assert (str(Key("ns", "a")), str(Key("", "a"))) == ("ns/a", "a")


def test_key_of_cluster_scoped_object_has_no_namespace():
    """A namespace given for a cluster-scoped resource does not count."""
    assert NAMESPACES.key("ns", "a") == Key("", "a")
    assert THINGS.key(None, "a") == Key("", "a")


def test_kind_is_a_value():
    """Kinds compare by content, and can be written with their type parameter."""
    assert Kind[Thing](THINGS, Thing) == Kind(THINGS, Thing)
    assert len({Kind(THINGS, Thing), Kind(THINGS, Thing)}) == 1
