"""Modules are read beside the event loop, once."""

from __future__ import annotations

import asyncio

import pytest

from capt.hcl import ModuleReader, ModuleSyntaxError
from capt.hcl.reader import TEXT_LIMIT

MODULE = 'variable "size" {}\n' + "# filler\n" * 200


async def test_a_module_that_many_share_is_read_once() -> None:
    """Whoever asks for the same text gets the same answer, an error included."""
    reader = ModuleReader()
    first, second = await asyncio.gather(reader.read(MODULE, "HCL"), reader.read(MODULE, "HCL"))
    assert first is second
    assert set(first.variables) == {"size"}
    for _ in range(2):
        with pytest.raises(ModuleSyntaxError):
            await reader.read("resource {", "HCL")


async def test_a_module_that_is_too_long_is_not_read() -> None:
    """The parser's time is bounded by the length of the text."""
    with pytest.raises(ModuleSyntaxError, match="longer than 65536"):
        await ModuleReader().read("#" * (TEXT_LIMIT + 1), "HCL")


async def test_nesting_beyond_reason_is_an_error_like_any_other() -> None:
    """A text that exhausts the parser is refused, and the next one is read."""
    reader = ModuleReader()
    with pytest.raises(ModuleSyntaxError):
        await reader.read(f"locals {{ a = {'[' * 4000}{']' * 4000} }}", "HCL")
    assert await reader.read(MODULE, "HCL")
