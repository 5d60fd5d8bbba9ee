from __future__ import annotations

import pytest

from capt.runtime import parse_selector


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("", {}, True),
        ("a=b", {"a": "b"}, True),
        ("a == b", {"a": "c"}, False),
        ("a!=b", {}, True),
        ("a!=b", {"a": "b"}, False),
        ("a in (b, c),d", {"a": "c", "d": ""}, True),
        ("a in (b, c)", {}, False),
        ("a notin (b)", {}, True),
        ("a notin (b)", {"a": "b"}, False),
        ("x.io/a", {"x.io/a": ""}, True),
        ("!x.io/a", {"x.io/a": ""}, False),
        ("a=", {"a": ""}, True),
        ("a=b,c!=d,e in (f,g),!h", {"a": "b", "e": "g"}, True),
    ],
)
def test_matching(text, labels, expected):
    """Selectors match as the API server's do, also after a round trip through their text."""
    selector = parse_selector(text)
    assert selector.matches(labels) is expected
    assert parse_selector(str(selector)) == selector


@pytest.mark.parametrize("text", ["a=b=c", "a in b", "=b", "a,,b", "a in (b", "a b"])
def test_nonsense_is_refused(text):
    """Text that is no selector is refused, rather than selecting everything."""
    with pytest.raises(ValueError, match="not a label selector"):
        parse_selector(text)


def test_labels_as_a_mapping():
    """A mapping selects objects that have all of its labels."""
    assert parse_selector({"a": "b"}).matches({"a": "b", "c": "d"})
    assert not parse_selector({"a": "b", "c": "d"}).matches({"a": "b"})
    assert parse_selector({}).matches({})
