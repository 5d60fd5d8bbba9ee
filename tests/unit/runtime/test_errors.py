from __future__ import annotations

import json

import pytest

from capt.runtime import (
    AlreadyExists,
    ApiError,
    BadRequest,
    CacheLagError,
    Conflict,
    ConnectionFailed,
    ErrorClass,
    FieldConflict,
    Forbidden,
    Gone,
    Invalid,
    NamespaceTerminating,
    NotFound,
    ServerError,
    TerminalError,
    TooManyRequests,
    TransientError,
    Unauthorized,
    classify,
    raise_for_status,
)
from capt.runtime.errors import error_from_status
from tests.support.scripted import answer, refusal, status


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (400, "BadRequest", BadRequest),
        (401, "Unauthorized", Unauthorized),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (409, "Conflict", Conflict),
        (409, "AlreadyExists", AlreadyExists),
        (410, "Expired", Gone),
        (415, "UnsupportedMediaType", ApiError),
        (422, "Invalid", Invalid),
        (429, "TooManyRequests", TooManyRequests),
        (500, "InternalError", ServerError),
        (504, "Timeout", ServerError),
    ],
)
def test_each_answer_has_its_error(code, reason, kind):
    """The status and the reason of the Status body decide the type of the error."""
    with pytest.raises(ApiError) as caught:
        raise_for_status(refusal(code, reason))
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.reason) == (code, reason)
    assert str(caught.value) == f"refused with {code} ({code} {reason})"


def test_success_is_no_error():
    """An answer below 400 passes."""
    raise_for_status(answer({}, 201))


def test_a_namespace_on_its_way_out_is_no_refusal():
    """A create that comes too late for its namespace is told apart from one that somebody forbids."""
    causes = [{"reason": "NamespaceTerminating", "field": "metadata.namespace"}]
    body = json.dumps(status(403, "Forbidden", details={"causes": causes})).encode()
    error = error_from_status(403, body)
    assert isinstance(error, NamespaceTerminating)
    assert not isinstance(error, Forbidden)
    assert isinstance(error_from_status(403, json.dumps(status(403, "Forbidden")).encode()), Forbidden)


def test_retry_after():
    """The wait that the server asks for comes from the header, or else from the body."""
    with pytest.raises(TooManyRequests) as caught:
        raise_for_status(refusal(429, Retry_After="7"))
    assert caught.value.retry_after == 7.0
    body = json.dumps(status(504, "Timeout", details={"retryAfterSeconds": 1})).encode()
    assert error_from_status(504, body).retry_after == 1.0
    assert error_from_status(503, b"", retry_after=None).retry_after is None


def test_an_answer_that_is_no_status():
    """A proxy's page becomes the message, on one line and cut to a readable length."""
    error = error_from_status(502, b"<html>\n  bad gateway" + b"x" * 5000)
    assert isinstance(error, ServerError)
    assert str(error).startswith("<html> bad gatewayxxx")
    assert len(str(error)) < 500


@pytest.mark.parametrize("causes", [[1], {"a": 1}, "abc", [{"reason": ["x"]}], None])
def test_details_may_be_anything(causes):
    """What a proxy or an extension server writes into a Status makes no other error of it."""
    error = error_from_status(403, json.dumps(status(403, "Forbidden", details={"causes": causes})).encode())
    assert isinstance(error, Forbidden)


def test_a_status_that_is_nested_beyond_reason():
    """It is the error that its code says."""
    assert isinstance(error_from_status(503, b'{"details":' + b'{"a":' * 5000), ServerError)


@pytest.mark.parametrize("code", [101, 302, 304])
def test_only_success_is_success(code):
    """The API server redirects nobody; what something between us and it answers instead is an error, to be tried again."""
    with pytest.raises(ApiError) as caught:
        raise_for_status(answer({}, code))
    assert classify(caught.value) is ErrorClass.TRANSIENT


@pytest.mark.parametrize("header", ["inf", "nan", "-1", "soon", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_wait_that_is_no_number_of_seconds(header):
    """It counts as none: nothing sleeps for ever because of a header."""
    with pytest.raises(TooManyRequests) as caught:
        raise_for_status(refusal(429, Retry_After=header))
    assert caught.value.retry_after is None


def test_error_event_of_a_watch():
    """The code in the body counts for a watch's ERROR event, which arrives under status 200."""
    assert isinstance(error_from_status(200, json.dumps(status(410, "Expired")).encode()), Gone)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Conflict("x"), ErrorClass.CONFLICT),
        (AlreadyExists("x"), ErrorClass.TRANSIENT),
        (Invalid("x"), ErrorClass.TRANSIENT),
        (ConnectionFailed("x"), ErrorClass.TRANSIENT),
        (CacheLagError("x"), ErrorClass.TRANSIENT),
        (TimeoutError(), ErrorClass.TRANSIENT),
        (TransientError("x"), ErrorClass.TRANSIENT),
        (FieldConflict("x"), ErrorClass.TRANSIENT),
        (NamespaceTerminating("x"), ErrorClass.MOOT),
        (ExceptionGroup("g", [NamespaceTerminating("x"), Conflict("y")]), ErrorClass.CONFLICT),
        (TerminalError("x"), ErrorClass.TERMINAL),
        (KeyError("x"), ErrorClass.BUG),
        (ExceptionGroup("g", [Conflict("x"), Invalid("y")]), ErrorClass.TRANSIENT),
        (ExceptionGroup("g", [TerminalError("x"), Invalid("y")]), ErrorClass.TERMINAL),
        (ExceptionGroup("g", [ExceptionGroup("h", [ValueError()]), Conflict("y")]), ErrorClass.BUG),
    ],
)
def test_classes(error, expected):
    """Each error has one class; a group has the worst of its leaves."""
    assert classify(error) is expected
