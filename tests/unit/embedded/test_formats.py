from __future__ import annotations

import pytest

from capt.embedded.formats import fits


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date-time", "2024-02-29T23:59:59.5+01:00", "2023-02-29T00:00:00Z"),
        ("date", "2024-02-29", "2024-2-9"),
        ("duration", "-1h30m0.5s", "1x"),
        ("byte", "YQ==", "YQ"),
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("ipv6", "::1", "10.0.0.1"),
        ("cidr", "10.0.0.0/8", "10.0.0.0"),
        ("uri", "https://example.com/x", "example"),
        ("hostname", "a.example", "-a-"),
        ("email", "a@b", "ab"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123"),
        ("mac", "01:23:45:67:89:ab", "01:23"),
    ],
)
def test_formats_that_are_checked(name: str, good: str, bad: str) -> None:
    """Each format takes what it should and refuses what it should not."""
    assert (fits(name, good), fits(name, bad)) == (True, False)


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("1h2m3.5s", True),
        ("-1500ms", True),
        ("0", True),
        (".5µs", True),
        ("1", False),
        ("", False),
        ("h", False),
    ],
)
def test_durations_are_gos(text: str, *, fine: bool) -> None:
    """Units from nanoseconds to hours, fractions, a sign, and a bare zero."""
    assert fits("duration", text) is fine
