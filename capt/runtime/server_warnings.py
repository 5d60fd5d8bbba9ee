"""What the API server warns of: a deprecated version, an unknown field, a finalizer that anyone might use."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from capt.runtime.logging import get_logger

_MOST = 1000  # that are told apart: a server could make each one different
_WARNING: Final = re.compile(r'\d{3} \S+ "(?P<text>(?:[^"\\]|\\.)*)"')

_log = get_logger("transport")


class Warnings:
    """Logs what API servers warn of: each text once, however often and to whomever it is repeated."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def log(self, headers: Mapping[str, str], method: str, path: str) -> None:
        """Log the texts of an answer's ``Warning`` headers (RFC 7234, 5.5) that are new."""
        if "Warning" not in headers:
            return
        everything: Callable[[str], list[str]] = getattr(headers, "getall", lambda name: [headers[name]])
        for found in _WARNING.finditer(", ".join(everything("Warning"))):
            text = re.sub(r"\\(.)", r"\1", found["text"])
            if text not in self._logged and len(self._logged) < _MOST:
                self._logged.add(text)
                _log.warning("the API server warns", warning=text, method=method, path=path)
