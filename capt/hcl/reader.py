"""Reads modules without holding up the event loop: in a thread, one at a time, each text once."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from typing import Final

from capt.hcl.module_text import ModuleSyntaxError, ModuleText, parse

TEXT_LIMIT: Final = 64 * 1024
"""Longest text, in characters, that is parsed: the parser takes some 70 microseconds for each."""

_REMEMBERED: Final = 256


class ModuleReader:
    """Reads inline modules, and remembers what the last 256 of them declare, or why they cannot be read."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, ModuleText | ModuleSyntaxError] = OrderedDict()
        # one at a time, so that a module that fifty Workspaces share is parsed once
        self._parsing = asyncio.Lock()

    async def read(self, text: str, syntax: str) -> ModuleText:
        """Return what a module declares.

        Args:
            text: the one file of an inline module.
            syntax: ``HCL`` or ``JSON``.

        Raises:
            ModuleSyntaxError: the text is no Terraform configuration, or longer than ``TEXT_LIMIT``.
        """
        if len(text) > TEXT_LIMIT:
            message = f"the module is longer than {TEXT_LIMIT} characters"
            raise ModuleSyntaxError(message)
        key = hashlib.sha256(f"{syntax}\n{text}".encode()).digest()
        if key not in self._known:
            async with self._parsing:
                if key not in self._known:
                    self._known[key] = await asyncio.to_thread(_outcome, text, syntax)
                    if len(self._known) > _REMEMBERED:
                        self._known.popitem(last=False)
        self._known.move_to_end(key)
        found = self._known[key]
        if isinstance(found, ModuleSyntaxError):
            raise ModuleSyntaxError(str(found))
        return found


def _outcome(text: str, syntax: str) -> ModuleText | ModuleSyntaxError:
    try:
        return parse(text, syntax)
    except ModuleSyntaxError as error:
        return error
