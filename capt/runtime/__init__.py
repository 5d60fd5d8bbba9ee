"""controller-runtime for asyncio: caches, clients, queues, controllers, leader election. Knows none of capt's kinds."""

from __future__ import annotations

from capt.runtime.errors import (
    AlreadyExists,
    ApiError,
    BadRequest,
    CacheLagError,
    ConfigError,
    Conflict,
    ConnectionFailed,
    ErrorClass,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    NotWatched,
    RequestTimeout,
    ServerError,
    TerminalError,
    TooManyRequests,
    Unauthorized,
    UndecodableError,
    classify,
    raise_for_status,
)
from capt.runtime.object import Object, Owner, parse_object
from capt.runtime.resource import Key, Kind, KubeObject, Resource
from capt.runtime.selector import Selector, parse_selector

__all__ = [
    "AlreadyExists",
    "ApiError",
    "BadRequest",
    "CacheLagError",
    "ConfigError",
    "Conflict",
    "ConnectionFailed",
    "ErrorClass",
    "Forbidden",
    "Gone",
    "Invalid",
    "Key",
    "Kind",
    "KubeObject",
    "NotFound",
    "NotWatched",
    "Object",
    "Owner",
    "RequestTimeout",
    "Resource",
    "Selector",
    "ServerError",
    "TerminalError",
    "TooManyRequests",
    "Unauthorized",
    "UndecodableError",
    "classify",
    "parse_object",
    "parse_selector",
    "raise_for_status",
]
