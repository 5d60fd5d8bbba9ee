from __future__ import annotations

import gc
import json

import pytest

from capt.runtime import UndecodableError, parse_object
from capt.runtime.views import REMEMBERED, Views
from tests.support.scripted import THING, THINGS, manifest, thing


def test_one_view_per_version():
    """Reading the same version twice gives the same view; a new version gives a new one."""
    views = Views()
    first = views.of(THING, thing("a", 1, spec={"size": 3}))
    assert first.spec.size == 3
    assert views.of(THING, thing("a", 1, spec={"size": 3})) is first
    assert views.of(THING, thing("a", 2, spec={"size": 3})) is not first


def test_a_part_is_not_the_whole():
    """What a cache holds of a version in part has another view than the whole of that version."""
    views = Views()
    assert views.of(THING, thing("a", 1)).spec.size == 0
    assert views.of(THING, thing("a", 1, spec={"size": 3})).spec.size == 3


def test_content_is_what_was_on_the_wire():
    """A view's content has the fields that its model does not know."""
    views = Views()
    content = manifest("a", spec={"size": 3, "unknown": [1]})
    view = views.of(THING, parse_object(json.dumps(content).encode(), THINGS))
    assert views.content(view) == content


def test_content_of_a_changed_copy_is_the_copy():
    """A copy that somebody changed is taken at its word."""
    views = Views()
    view = views.of(THING, thing("a", spec={"size": 3}))
    copy = view.model_copy(update={"spec": view.spec.model_copy(update={"size": 4})})
    assert views.content(copy)["spec"] == {"size": 4}
    assert "status" not in views.content(copy)


def test_an_object_that_the_model_cannot_read():
    """An object whose content does not fit its model is named in the error."""
    with pytest.raises(UndecodableError, match=r"things\.example\.com default/a"):
        Views().of(THING, thing("a", spec={"size": "large"}))


def test_memory_is_bounded():
    """Only so many views are kept, and what is known of a view's origin goes with it."""
    views = Views()
    for number in range(REMEMBERED + 100):
        views.of(THING, thing(f"a{number}"))
    gc.collect()
    assert len(views._recent) == len(views._origins) == REMEMBERED


def test_memory_is_bounded_for_large_objects():
    """Of objects of megabytes only few are kept; one that changes again and again counts once."""
    views = Views()
    large = "x" * 2**20
    for number in range(20):
        last = views.of(THING, thing("a", number + 1, spec={"blob": large}))
    assert views.of(THING, thing("a", 20, spec={"blob": large})) is last
    for number in range(40):
        views.of(THING, thing(f"b{number}", spec={"blob": large}, uid=f"u{number}"))
    assert 10 < len(views._recent) < 17
