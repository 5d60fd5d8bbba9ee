"""What can go wrong, in the words of the Kubernetes API: ``Status`` answers and field errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

OMIT: Any = object()  # a field error without a value

# The words that open a field error's text, by the reason that its cause carries.
_TITLES = {
    "FieldValueNotFound": "Not found",
    "FieldValueRequired": "Required value",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueInvalid": "Invalid value",
    "FieldValueTypeInvalid": "Invalid value",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueTooLong": "Too long",
    "FieldValueTooMany": "Too many",
}


def go_quote(text: str) -> str:
    """``text`` as Go's ``%q`` prints it."""
    return msgspec.json.encode(text).decode()


def go_value(value: Any) -> str:
    """``value`` as a field error prints it: simple values bare, strings quoted, everything else as JSON."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return msgspec.json.encode(value).decode()


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field; becomes a cause of a 422 answer."""

    reason: str
    field: str
    detail: str = ""
    value: Any = OMIT

    @property
    def body(self) -> str:
        """The text without the field's name: a cause's message."""
        text = _TITLES[self.reason]
        if self.value is not OMIT:
            text += f": {go_value(self.value)}"
        return f"{text}: {self.detail}" if self.detail else text

    def __str__(self) -> str:
        return f"{self.field}: {self.body}"


def invalid(field: str, value: Any, detail: str) -> FieldError:
    """The value is malformed."""
    return FieldError("FieldValueInvalid", field, detail, value)


def required(field: str, detail: str = "") -> FieldError:
    """The value is missing."""
    return FieldError("FieldValueRequired", field, detail)


def forbidden_field(field: str, detail: str) -> FieldError:
    """The value may not be set here or now."""
    return FieldError("FieldValueForbidden", field, detail)


def duplicate(field: str, value: Any) -> FieldError:
    """The value must be unique and is not."""
    return FieldError("FieldValueDuplicate", field, "", value)


def not_supported(field: str, value: Any, allowed: Iterable[Any]) -> FieldError:
    """The value is none of ``allowed``."""
    shown = ", ".join(go_quote(a if isinstance(a, str) else msgspec.json.encode(a).decode()) for a in allowed)
    return FieldError("FieldValueNotSupported", field, f"supported values: {shown}", value)


class StatusError(Exception):
    """An answer of kind ``Status`` that says no."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.metadata: dict[str, Any] = {}
        self.details = details
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """The ``Status`` object that the client gets."""
        told = {
            "message": str(self),
            "reason": self.reason or None,
            "details": self.details,
            "code": self.code,
        }
        return _status("Failure", **told, metadata=self.metadata)


def success(details: Mapping[str, Any]) -> dict[str, Any]:
    """The ``Status`` object that a finished deletion answers with."""
    return _status("Success", metadata={}, details=details)


def _status(status: str, **rest: Any) -> dict[str, Any]:
    told = {name: value for name, value in rest.items() if value is not None}
    return {"kind": "Status", "apiVersion": "v1", "status": status, **told}


def _named(group: str, kind: str, name: str) -> dict[str, Any]:
    named = {"name": name, "group": group, "kind": kind}
    return {key: value for key, value in named.items() if value}


def _qualified(group: str, resource: str) -> str:
    return f"{resource}.{group}" if group else resource


def not_found(group: str, resource: str, name: str) -> StatusError:
    """No such object."""
    message = f'{_qualified(group, resource)} "{name}" not found'
    return StatusError(404, "NotFound", message, details=_named(group, resource, name))


class PathNotFoundError(Exception):
    """Nothing is served at this path: the only answer that is no ``Status``."""


def not_served(what: str = "") -> StatusError:
    """There is nothing of that name; or ``what`` Kubernetes has there is left to a real API server."""
    message = "the server could not find the requested resource"
    message = f"{what} is not served by this API server, which is made for one machine" if what else message
    return StatusError(404, "NotFound", message, details={})


def already_exists(group: str, resource: str, name: str, *, deleting: bool) -> StatusError:
    """The name is taken."""
    message = f'{_qualified(group, resource)} "{name}" already exists'
    message = f"object is being deleted: {message}" if deleting else message
    return StatusError(409, "AlreadyExists", message, details=_named(group, resource, name))


def conflict(group: str, resource: str, name: str, why: str) -> StatusError:
    """A precondition does not hold."""
    message = f'Operation cannot be fulfilled on {_qualified(group, resource)} "{name}": {why}'
    return StatusError(409, "Conflict", message, details=_named(group, resource, name))


def unprocessable(group: str, kind: str, name: str, errors: Iterable[FieldError]) -> StatusError:
    """The object is not valid; one cause per field error, as ``kubectl`` shows them."""
    errors = list(errors)
    texts = list(dict.fromkeys(str(error) for error in errors))
    joined = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = _named(group, kind, name)
    details["causes"] = [{"reason": e.reason, "message": e.body, "field": e.field} for e in errors]
    message = f'{_qualified(group, kind)} "{name}" is invalid: {joined}'
    return StatusError(422, "Invalid", message, details=details)


def forbidden(group: str, resource: str, name: str, why: str, causes: list[dict[str, str]]) -> StatusError:
    """The request is understood and refused."""
    message = f'{_qualified(group, resource)} "{name}" is forbidden: {why}'
    details = _named(group, resource, name) | ({"causes": causes} if causes else {})
    return StatusError(403, "Forbidden", message, details=details)


def bad_request(message: str) -> StatusError:
    """The request makes no sense."""
    return StatusError(400, "BadRequest", message)


def cannot_handle(kind: str, version: str, problem: str) -> StatusError:
    """The body does not decode into the kind."""
    return bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {problem}')


def expired(message: str, *, continue_token: str = "") -> StatusError:
    """The version asked for lies before the window of history that is kept."""
    error = StatusError(410, "Expired", message)
    if continue_token:
        error.metadata = {"continue": continue_token}
    return error


def too_large_version(wanted: int, current: int) -> StatusError:
    """The version asked for lies in the future."""
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    details = {"causes": causes, "retryAfterSeconds": 1}
    message = f"Timeout: Too large resource version: {wanted}, current: {current}"
    return StatusError(504, "Timeout", message, details=details, headers={"Retry-After": "1"})


def method_not_allowed(*, custom: bool) -> StatusError:
    """The resource has no such verb."""
    message = "the server does not allow this method on the requested resource"
    return StatusError(405, "MethodNotAllowed", message, details=None if custom else {})


def unsupported_media_type(accepted: Iterable[str]) -> StatusError:
    """The body is in a format that this resource does not take."""
    message = "the body of the request was in an unknown format - accepted media types include: "
    return StatusError(415, "UnsupportedMediaType", message + ", ".join(accepted))
