from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capt.runtime import Gone, UndecodableError
from capt.runtime.wire import Bookmark, Delete, Failure, Upsert, lines, parse_event, parse_page
from tests.support.scripted import THINGS, bookmark, event, manifest, page, status


async def chunks(parts):
    for part in parts:
        yield part


@given(st.lists(st.binary(max_size=8).map(lambda text: text.replace(b"\n", b"")), max_size=6), st.data())
async def test_lines_survive_any_cut(texts, data):
    """However a stream is cut into chunks, its lines come out whole, and empty ones are left out."""
    stream = b"".join(text + b"\n" for text in texts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    parts = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [line async for line in lines(chunks(parts))] == [text for text in texts if text]


async def test_inv_077_a_line_of_ten_megabytes():
    """A line may span any number of chunks, and has no greatest length."""
    line = b"x" * 10_000_000
    parts = [line[at : at + 65536] for at in range(0, len(line), 65536)]
    assert [found async for found in lines(chunks([*parts, b"\n"]))] == [line]


async def test_a_line_that_was_cut_off_is_dropped():
    """What follows the last line end was cut off when the connection broke, and is no event."""
    assert [line async for line in lines(chunks([b"whole\nbrok"]))] == [b"whole"]


def test_events():
    """Each type of event is told apart, and objects come out parsed."""
    added = parse_event(event("ADDED", manifest("a", 3)), THINGS)
    assert isinstance(added, Upsert)
    assert (added.type, added.object.name) == ("ADDED", "a")
    deleted = parse_event(event("DELETED", manifest("a", 4)), THINGS)
    assert isinstance(deleted, Delete)
    assert deleted.object.resource_version == 4
    failure = parse_event(event("ERROR", status(410, "Expired")), THINGS)
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, Gone)


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"ADDED","object":%s}',
        b'{"type": "ADDED", "object": %s}',
        b'{"object":%s,"type":"ADDED"}',
        b'{"type":"ADDED","object":%s,"more":{}}',
        b'{"type":"ADDED","object":%s }',
    ],
)
def test_however_an_event_is_written(line):
    """Order, spaces and additions do not matter; the object is exactly what was sent."""
    obj = manifest("a", 3)
    parsed = parse_event(line % json.dumps(obj).encode(), THINGS)
    assert isinstance(parsed, Upsert)
    assert parsed.object.decode() == obj


@pytest.mark.parametrize(("end", "expected"), [(False, False), ("true", True), ("false", False)])
def test_inv_071_the_annotation_must_say_true(end, expected):
    """A bookmark ends the initial events only if the annotation's value is "true"."""
    mark = parse_event(bookmark(9, end=end), THINGS)
    assert isinstance(mark, Bookmark)
    assert (mark.resource_version, mark.initial_events_end) == (9, expected)


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        event("ADDED", manifest("a"))[:-1],
        event("ADDED", manifest("a"))[:-1] + b"x",
        b'{"type":"ADDED","object":{"kind":"Thing","metadata":{"name":"a","resourceVersion":"1"}}x',
        b'{"type":"ADDED","object":{"kind":"Thing","metadata":{"name":"a","resourceVersion":"1"}}',
        b"{}",
        event("RENAMED", manifest("a")),
        event("ADDED", {"kind": "Other", "metadata": {"name": "a", "resourceVersion": "1"}}),
        event("BOOKMARK", {"metadata": {"resourceVersion": "x"}}),
        b'{"type":"ADDED","object":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
    ids=lambda line: line[:60].decode(),
)
def test_garbage_is_named_as_such(line):
    """A line that is no event of the kind is an UndecodableError, never another exception."""
    with pytest.raises(UndecodableError):
        parse_event(line, THINGS)


def test_page():
    """A page is split into its items, with the version and the token of the next one."""
    split = parse_page(page(manifest("a"), manifest("b"), resource_version=7, token="token").body)
    assert [json.loads(bytes(item))["metadata"]["name"] for item in split.items] == ["a", "b"]
    assert (split.resource_version, split.next) == ("7", "token")
    assert parse_page(b'{"metadata":{"resourceVersion":"7"},"items":null}').items == []
    with pytest.raises(UndecodableError):
        parse_page(b"<html>")
