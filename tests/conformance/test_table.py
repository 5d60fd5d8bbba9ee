"""The documented coverage is the real one."""

from __future__ import annotations

from hack.generate_conformance import TARGET, document


def test_the_table_is_up_to_date() -> None:
    """docs/conformance.md is what `python -m hack.generate_conformance` writes."""
    assert TARGET.read_text() == document()
