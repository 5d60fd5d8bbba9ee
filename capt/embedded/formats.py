"""The string formats that the API server checks (the others are annotations without effect)."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import ipaddress
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_HOST_LABEL = "[a-zA-Z0-9]([-a-zA-Z0-9]{0,62})"
_PATTERNS = {
    # as Go prints it (1h30m, -1.5s), and any text with a number and a unit in it (2 weeks)
    "duration": re.compile(
        r"[-+]?0|.*\d\s*(ns|us|µs|ms|[smhdw]|hr|wk|(nano|micro|milli|sec|min|hour|day|week)[a-z]*)(?![a-zµ]).*",
        re.IGNORECASE,
    ),
    # of the built-in kinds, which have no other form of it
    "micro-time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)"),
    "hostname": re.compile(rf"(?=.{{1,255}}$){_HOST_LABEL}(\.{_HOST_LABEL})*"),
    "email": re.compile(r"[^@\s]+@[^@\s]+"),
    "uuid": re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}"),
    "mac": re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}"),
}


def parse_integer(text: str, *, signed: bool = True) -> int:
    """A whole number of 64 bits.

    Raises:
        ValueError: It is none; the text is that of Go's strconv.
    """
    valid = re.fullmatch(r"[-+]?[0-9]+" if signed else r"[0-9]+", text)
    bits = 63 if signed else 64
    if valid and len(text) <= 20 and -(1 << bits) <= (value := int(text)) < 1 << bits:
        return value
    problem = "value out of range" if valid else "invalid syntax"
    raise ValueError(f'strconv.Parse{"Int" if signed else "Uint"}: parsing "{text}": {problem}')


def parse_time(text: str) -> dt.datetime:
    """An RFC 3339 time.

    Raises:
        ValueError: It is none.
    """
    if not _RFC3339.fullmatch(text):
        raise ValueError(text)
    return dt.datetime.fromisoformat(text.upper())


def decode_base64(text: str) -> bytes:
    """Standard base64 with padding.

    Raises:
        ValueError: It is none.
    """
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def _cidr(text: str) -> None:
    if "/" not in text:
        raise ValueError(text)
    ipaddress.ip_network(text, strict=False)


def _uri(text: str) -> None:
    if not urlsplit(text).scheme:
        raise ValueError(text)


_PARSERS: dict[str, Callable[[str], Any]] = {
    "date-time": parse_time,
    "datetime": parse_time,
    "date": dt.date.fromisoformat,
    "byte": decode_base64,
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
    "cidr": _cidr,
    "uri": _uri,
}


def fits(name: str, text: str) -> bool:
    """Whether ``text`` has the format ``name``; unknown formats fit everything."""
    if pattern := _PATTERNS.get(name):
        return pattern.fullmatch(text) is not None
    try:
        _PARSERS.get(name, str)(text)
    except ValueError:
        return False
    return True
