"""Where the API server of a cluster answers: from what Terraform puts out to a host and a port.

EKS puts out a URL, other modules a host with or without a port. Cluster API wants a bare host and a number
(`spec.controlPlaneEndpoint`), and makes a URL of them itself.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from capt.api import APIEndpoint

DEFAULT_PORT: Final = 443
"""The port of an endpoint that names none."""

_SHOWN: Final = 80
_HOST_LIMIT: Final = 253
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NUMBER: Final = re.compile(r"[0-9]+")
_PORTS: Final = range(1, 65536)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedEndpoint:
    """Why a text is no endpoint.

    Attributes:
        problem: What is wrong, for people.
    """

    problem: str


def parse_endpoint(value: object) -> APIEndpoint | RefusedEndpoint:
    """Return the endpoint that a Terraform output names, or why it names none.

    Args:
        value: `https://host[:port][/]` or `host[:port]`; white space around it does not matter.
    """
    if not isinstance(value, str) or not value.strip():
        return RefusedEndpoint(problem="it is no text, or an empty one")
    text = value.strip()
    # first of all, because what is refused later is quoted, and a password must not be
    if "@" in text:
        return RefusedEndpoint(problem="it holds a user or a password")
    if _is_address(text):
        return APIEndpoint(host=_compressed(text), port=DEFAULT_PORT)
    try:
        url = urlsplit(text if "://" in text else f"//{text}")
        host, port = url.hostname or "", url.port
    except ValueError as error:
        return _refuse(text, str(error))
    problem = _problem(url, host, port)
    if problem:
        return _refuse(text, problem)
    return APIEndpoint(
        host=_compressed(host) if _is_address(host) else host.removesuffix("."),
        port=DEFAULT_PORT if port is None else port,
    )


def _problem(url: SplitResult, host: str, port: int | None) -> str:
    if url.scheme not in ("", "https"):
        return f"its scheme is {url.scheme}, not https"
    if url.path not in ("", "/") or url.query or url.fragment:
        return "it has a path, a query or a fragment"
    if not _is_host(host):
        return "its host is neither a DNS name nor an IP address"
    if port is not None and port not in _PORTS:
        return "its port is not between 1 and 65535"
    return ""


def _refuse(text: str, problem: str) -> RefusedEndpoint:
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return RefusedEndpoint(problem=f"{shown!r}: {problem}")


def _is_host(host: str) -> bool:
    if _is_address(host):
        return True
    labels = host.removesuffix(".").split(".")
    if len(host) > _HOST_LIMIT or not all(_LABEL.fullmatch(label) for label in labels):
        return False
    # a name that ends in a number is an IP address written wrongly (RFC 1123, 2.1)
    return not _NUMBER.fullmatch(labels[-1])


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    # a zone names an interface of one machine
    return "%" not in text


def _compressed(address: str) -> str:
    return ipaddress.ip_address(address).compressed
