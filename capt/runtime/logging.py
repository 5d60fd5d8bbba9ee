"""Logs for machines (JSON) and people (console), one line per event, on standard error.

Everything of ours is logged through structlog's own loggers, which costs a third of going through the standard
library; a ``ProcessorFormatter`` gives the records of others (aiohttp, asyncio) the same shape.

While a reconcile runs, each line carries controller, kind, namespace, name, generation, reconcile_id and reasons, from
context variables: whatever the reconciler calls inherits them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import IO, Any, BinaryIO, Final, Literal, TextIO, cast

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger, Processor

REDACTED: Final = "***"
"""What is logged in the place of a secret value."""

_LOGGER = (
    "logger_name"  # until it is rendered: structlog's own functions take ``logger`` for an argument of theirs
)
_SECRET_NAME = re.compile(
    r"token|passw(or)?d|secret|kubeconfig|credential|private_?key|authorization", re.IGNORECASE
)
# the name of a secret is no secret
_NO_SECRET = re.compile(r"(name|namespace|ref|key|path|count|version|type|kind)s?$", re.IGNORECASE)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}")


def configure(format: Literal["json", "console"] = "json", level: str = "info") -> None:  # noqa: A002 - the flag's name
    """Set the process's logging up; once, by whoever owns the process.

    Args:
        format: ``json``, or ``console`` (coloured on a terminal).
        level: ``debug``, ``info``, ``warning`` or ``error``.

    Raises:
        ValueError: unknown level.
    """
    threshold = logging.getLevelNamesMapping().get(level.upper())
    if threshold is None:
        message = f"unknown log level {level!r}"
        raise ValueError(message)
    shared: list[Processor] = [
        _name_logger,
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]
    renderer: Processor
    text_renderer: Processor
    if format == "json":
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer(serializer=_json)
        text_renderer = structlog.processors.JSONRenderer(serializer=_json_text)
        factory: Any = structlog.BytesLoggerFactory(file=cast("BinaryIO", _Lossy(sys.stderr.buffer)))
    else:
        renderer = text_renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        factory = structlog.PrintLoggerFactory(file=cast("TextIO", _Lossy(sys.stderr)))
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, text_renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # others' info is our debug: aiohttp and asyncio tell of every connection
    root.setLevel(threshold if threshold <= logging.DEBUG else max(threshold, logging.WARNING))


def get_logger(logger: str = "", **context: Any) -> FilteringBoundLogger:
    """Return a logger whose lines carry ``context``.

    Within a reconcile, lines carry controller, kind, namespace, name, generation, reconcile id and reasons by themselves.
    What is named like a secret is not shown.

    Args:
        logger: name of the part that logs, as ``logger`` in each line; "" for none.
        **context: what each line carries.
    """
    if logger:
        context[_LOGGER] = logger
    return cast("FilteringBoundLogger", structlog.get_logger(**context))


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace the values of whatever is named like a secret, at any depth, and credentials in texts.

    A structlog processor. ``secret_name`` and the like pass: the name of a secret is none.
    """
    for name, value in event.items():
        event[name] = _redacted(name, value)
    return event


def _name_logger(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    name = event.pop(_LOGGER, None)
    if name is not None:
        event["logger"] = name
    return event


def _redacted(name: str, value: Any) -> Any:
    if _SECRET_NAME.search(name) and not _NO_SECRET.search(name):
        return REDACTED
    if isinstance(value, str):
        return _BEARER.sub(rf"\1 {REDACTED}", value)
    if isinstance(value, Mapping):
        return {key: _redacted(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted("", item) for item in value]
    return value


class _Lossy:
    """A stream whose disk may be full, or whose reader may be gone: what cannot be written is lost, and ends nobody."""

    def __init__(self, stream: IO[Any]) -> None:
        self._stream = stream

    def write(self, data: Any) -> None:
        with contextlib.suppress(OSError):
            self._stream.write(data)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def _json(event: Any, **_options: Any) -> bytes:
    try:
        return msgspec.json.encode(event, enc_hook=str)
    except UnicodeEncodeError:
        # half a surrogate pair: bytes of a header or of a file's name that were no UTF-8
        return json.dumps(event, default=str, skipkeys=True).encode()


def _json_text(event: Any, **_options: Any) -> str:
    return _json(event).decode()
