"""Every error that the runtime raises, and what a controller should do about each.

    Exception
    ├── ApiError                the API server refused, or did not answer
    │   ├── BadRequest          400
    │   ├── Unauthorized        401
    │   ├── Forbidden           403
    │   ├── NamespaceTerminating 403, the namespace is going, and nothing new comes into it
    │   ├── NotFound            404
    │   ├── Conflict            409, a precondition (resourceVersion, uid) failed
    │   ├── AlreadyExists       409, the name is taken
    │   ├── FieldConflict       409, another manager owns a field that was applied
    │   ├── Gone                410, the resourceVersion or continue token is too old
    │   ├── Invalid             422
    │   ├── TooManyRequests     429
    │   ├── ServerError         5xx
    │   ├── RequestTimeout      no answer in time
    │   └── ConnectionFailed    no connection, or it broke before the answer
    ├── TransientError          a reconciler says: something outside failed, and may work next time
    ├── TerminalError           a reconciler says: nothing will help until the object changes
    ├── CacheLagError           the cache did not catch up with an own write
    ├── NotWatched              a cached read of a kind that nobody watches
    ├── UndecodableError        the server sent what is no object of the kind
    └── ConfigError             no usable configuration of a cluster

This module is the one place that maps answers of the API server to exceptions.
"""
# ruff: noqa: N818 - the names are those of the API's reasons, which readers know from other clients

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, Protocol

import msgspec

MALFORMED: Final = (ValueError, RecursionError)
"""What decoders raise: of what is no JSON or not of the expected form, and of what is nested more deeply than they go."""


class ApiError(Exception):
    """The API server refused a request, or did not answer it.

    Where client-go has one ``StatusError`` and functions that ask for its reason, here each reason is a class. One that
    leaves a reconciler is retried with backoff, but for :class:`Conflict` and :class:`NamespaceTerminating`.

    Attributes:
        status: HTTP status; 0 when there was no answer.
        reason: machine-readable reason of the Status body (``NotFound``, ``Expired``, ...); "" where there is none.
        message: text for people.
        details: ``details`` of the Status body: name, kind, uid, causes, ...; empty where there are none.
        retry_after: seconds that the server asked to wait; ``None`` when it did not say.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        details: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.reason = reason
        self.details: Mapping[str, Any] = details or {}
        self.retry_after = retry_after

    def __str__(self) -> str:
        label = " ".join(part for part in (str(self.status or ""), self.reason) if part)
        return f"{self.message} ({label})" if label else self.message


class BadRequest(ApiError):
    """400: the server cannot make sense of the request."""


class Unauthorized(ApiError):
    """401: the credentials were refused, also after they had been renewed once (exec plugin, OIDC, files read again)."""


class Forbidden(ApiError):
    """403: RBAC, an admission policy or a quota refuses. Retried with backoff: an administrator may mend it."""


class NamespaceTerminating(ApiError):
    """403 on create: the namespace is being terminated, so that nothing will ever be made there again.

    No :class:`Forbidden`: nobody refuses, and nobody has to do anything about it.
    """


class NotFound(ApiError):
    """404: the object is not there, or the kind is not served.

    Reads return ``None`` and deletions ``False`` instead; a patch raises it.
    """


class Conflict(ApiError):
    """409: somebody else wrote first; read again and decide again.

    A reconciler lets it through: it is run again at once, from the second in a row with backoff. That is no error in
    ``controller_runtime_reconcile_errors_total``, as it is upstream, but one in ``capt_reconcile_conflicts_total``.
    """


class AlreadyExists(ApiError):
    """409 on create: the name is taken."""


class FieldConflict(ApiError):
    """409 on server-side apply: another manager owns a field; ``details`` name both.

    Deciding again changes nothing about that, so this is no :class:`Conflict`.
    """


class Gone(ApiError):
    """410: the resourceVersion is too old to go on from, or the page token expired. Informers list anew by themselves."""


class Invalid(ApiError):
    """422: validation refused the object; the message names field and rule. Retried with backoff: a schema may change."""


class TooManyRequests(ApiError):
    """429: the server is overloaded, or an eviction must wait. The request was not carried out.

    :class:`Client` has sent it up to five times by then, after ``Retry-After``; client-go does so up to ten times.
    """


class ServerError(ApiError):
    """5xx: the server failed, or is starting or stopping.

    With a ``Retry-After``, which says that nothing was done, :class:`Client` has sent the request up to five times by then.
    """


class RequestTimeout(ApiError):
    """No answer in time (30 seconds, by default). A write may or may not have been carried out.

    :class:`Client` has asked up to five times by then if it was a read. A write is never sent twice.
    """


class ConnectionFailed(ApiError):
    """No connection, or it broke before the answer. A write may or may not have been carried out.

    :class:`Client` has asked up to five times by then if it was a read. A write is never sent twice.
    """


class TransientError(Exception):
    """Raised by a reconciler: something outside failed in a way that is known, and may work next time.

    A cloud that throttles, a command that timed out, a lock that another holds. It is retried with backoff, counted as
    an error, and logged as one warning without a traceback, unlike an exception that nobody expected.

    Attributes:
        retry_after: seconds until the next try at the earliest; ``None`` leaves that to the backoff.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TerminalError(Exception):
    """Raised by a reconciler: no retry until something that is watched changes.

    As with controller-runtime's ``reconcile.TerminalError``, the count of failures stays: an error after the change goes on
    with the backoff of those before. It is counted, and logged as one line without a traceback.
    """


class CacheLagError(Exception):
    """The cache did not catch up with an own write (or did not sync) within five seconds: a read would be stale.

    Retried with backoff, and counted in ``capt_cache_read_timeouts_total``. controller-runtime returns the stale object.
    """


class NotWatched(LookupError):
    """A cached read of a kind that nobody watches.

    In controller-runtime such a read starts an informer of the whole kind and waits for it; here it starts nothing.
    """


class UndecodableError(ValueError):
    """Something is no object of the expected kind, or its model cannot read it.

    Terminal when it leaves a reconciler: the object has to change. Informers count such objects, and go on without them.
    """


class ConfigError(Exception):
    """No usable cluster configuration. The message is one line that says what to mend.

    Raised at the start, and by any request whose credentials could not be renewed; a reconcile retries that with backoff.
    """


class ErrorClass(StrEnum):
    """What to do about an error that ended a reconcile. controller-runtime knows terminal errors and all others."""

    MOOT = "moot"
    """There is nothing left to do: what was to be made would go with its namespace. No error, and no retry."""
    CONFLICT = "conflict"
    """Somebody wrote first: decide again at once. Counted, not logged as an error."""
    TRANSIENT = "transient"
    """Try again with backoff."""
    TERMINAL = "terminal"
    """Wait until the object changes."""
    BUG = "bug"
    """Nobody expected this: backoff, and the traceback in the log."""


_SEVERITY = {member: rank for rank, member in enumerate(ErrorClass)}


def classify(error: BaseException) -> ErrorClass:
    """Return the class of an error; of a group, that of its worst leaf.

    Every answer of the API server except a conflict counts as transient, ``Invalid`` and ``Forbidden`` too:
    what refuses (a CRD's schema, a policy, RBAC) can be mended without a change of the object, and a
    reconcile that waited for one would then never run again.
    """
    if isinstance(error, BaseExceptionGroup):
        return max((classify(leaf) for leaf in error.exceptions), key=_SEVERITY.__getitem__)
    if isinstance(error, Conflict):
        return ErrorClass.CONFLICT
    if isinstance(error, NamespaceTerminating):
        return ErrorClass.MOOT
    if isinstance(error, TerminalError | UndecodableError):
        return ErrorClass.TERMINAL
    if isinstance(
        error, ApiError | TransientError | CacheLagError | ConfigError | TimeoutError | ConnectionError
    ):
        return ErrorClass.TRANSIENT
    return ErrorClass.BUG


class AnswerLike(Protocol):
    """What :func:`raise_for_status` reads of an answer; a :class:`capt.runtime.transport.Response` has it."""

    @property
    def status(self) -> int:
        """HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Looked up without regard to case."""

    @property
    def body(self) -> bytes:
        """All of it."""


def raise_for_status(answer: AnswerLike) -> None:
    """Raise the typed error that an answer carries, if it carries one.

    Args:
        answer: a response; header names in any case that its mapping looks up.

    Raises:
        ApiError: the status is none of success. A redirect that leads nowhere is none either: the API server sends none.
    """
    if not 200 <= answer.status < 300:
        raise error_from_status(
            answer.status, answer.body, retry_after=_seconds(answer.headers.get("Retry-After"))
        )


def error_from_status(status: int, body: bytes, *, retry_after: float | None = None) -> ApiError:
    """Make the typed error of a ``Status`` object.

    Args:
        status: HTTP status; the body's ``code`` counts where it has one (an ERROR event arrives with 200).
        body: JSON of a ``Status``; anything else (a proxy's page) becomes the message, shortened.
        retry_after: seconds from the header; else the body's ``details.retryAfterSeconds``.
    """
    try:
        answer = _decode_status(body)
    except MALFORMED:
        text = " ".join(body[:400].decode(errors="replace").split())
        answer = _Status(message=text)
    status = answer.code or status
    details = answer.details or {}
    if retry_after is None:
        seconds = details.get("retryAfterSeconds")
        retry_after = float(seconds) if isinstance(seconds, int | float) and seconds > 0 else None
    return _type(status, answer.reason, details)(
        answer.message or f"the API server answered {status}",
        status=status,
        reason=answer.reason,
        details=details,
        retry_after=retry_after,
    )


class _Status(msgspec.Struct):
    message: str = ""
    reason: str = ""
    code: int = 0
    details: dict[str, Any] | None = None


_decode_status = msgspec.json.Decoder(_Status).decode

_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}


def _type(status: int, reason: str, details: Mapping[str, Any]) -> type[ApiError]:
    if reason == "AlreadyExists":
        return AlreadyExists
    causes = causes_of(details)
    if status == 409 and "FieldManagerConflict" in causes:
        return FieldConflict
    if status == 403 and "NamespaceTerminating" in causes:
        return NamespaceTerminating
    if status >= 500:
        return ServerError
    return _BY_STATUS.get(status, ApiError)


def causes_of(details: Mapping[str, Any]) -> list[Any]:
    """Return the reasons of the causes in a Status's details; what is between us and the server may answer anything."""
    causes = details.get("causes")
    return (
        [cause.get("reason") for cause in causes if isinstance(cause, dict)]
        if isinstance(causes, list)
        else []
    )


def _seconds(header: str | None) -> float | None:
    # the header may also hold a date; the API server only ever sends seconds
    return float(header) if header is not None and header.strip().isdecimal() else None
