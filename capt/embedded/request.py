"""Reads a request: what it is about (path, method) and how it is meant (query, headers)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from capt.embedded import errors
from capt.embedded.audit import RequestInfo
from capt.embedded.errors import FieldError, StatusError
from capt.embedded.formats import parse_integer

_RESOURCE_PATH = re.compile(
    r"/+(?:api|apis/+(?P<group>[^/]+))/+(?P<version>[^/]+)"
    r"(?:/+namespaces/+(?P<namespace>[^/]+)(?=/+[^/])(?!/+(?:status|finalize)/*$))?"
    r"/+(?P<resource>[^/]+)(?:/+(?P<name>[^/]+)(?:/+(?P<subresource>[^/]+))?)?/*"
)
_MATCH = "resourceVersionMatch"
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")


def is_true(value: str) -> bool:
    """A query parameter's truth, as the API server reads it: anything but 0 and false, "" meaning set."""
    return value.lower() not in ("0", "false")


def read_info(method: str, path: str, query: Mapping[str, str], user_agent: str) -> RequestInfo:
    """What the request is about; for paths that are no resources only verb and path are set."""
    found = _RESOURCE_PATH.fullmatch(path)
    if not found:
        return RequestInfo(user_agent=user_agent, verb=method.lower(), path=path)
    names = found.groupdict("")
    watching = not names["name"] and is_true(query.get("watch", "0"))
    verb = {
        "GET": "get" if names["name"] else "watch" if watching else "list",
        "POST": "create",
        "PUT": "update",
        "PATCH": "patch",
        "DELETE": "delete" if names["name"] else "deletecollection",
    }.get("GET" if method == "HEAD" else method, method.lower())
    return RequestInfo(user_agent=user_agent, verb=verb, path=path, **names)


@dataclass(slots=True, kw_only=True)
class WriteOptions:
    """How a write is meant. ``warnings`` collects what the answer's Warning headers will say."""

    field_validation: str = "Warn"
    dry_run: bool = False
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def read(
        cls, query: Mapping[str, str], warnings: list[str], *, kind: str, dry_run: str | None = None
    ) -> WriteOptions:
        """From the query, as options of this kind; ``dry_run`` may come from a DeleteOptions body instead.

        Raises:
            StatusError: 422 for values that the API does not know.
        """
        dry_run = query.get("dryRun", dry_run) or ""
        if dry_run not in ("", "All"):
            raise _refused(kind, errors.not_supported("dryRun", [dry_run], ["All"]))
        wanted = query.get("fieldValidation") or "Warn"
        if wanted not in _VALIDATIONS:
            raise _refused(kind, errors.not_supported("fieldValidation", wanted, _VALIDATIONS))
        return cls(field_validation=wanted, dry_run=bool(dry_run), warnings=warnings)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteOptions:
    """How a deletion is meant. ``propagation`` is "" when the client did not say."""

    propagation: str = ""
    uid: str = ""
    resource_version: str = ""

    @classmethod
    def read(cls, body: Mapping[str, Any], query: Mapping[str, str]) -> DeleteOptions:
        """From the body, else from the query.

        Raises:
            StatusError: 422 for a policy that the API does not know.
        """
        policy = body.get("propagationPolicy") or query.get("propagationPolicy") or ""
        orphan = body.get("orphanDependents")
        if policy not in ("", "Background", "Foreground", "Orphan"):
            allowed = ["Foreground", "Background", "Orphan", "nil"]
            raise _refused("DeleteOptions", errors.not_supported("propagationPolicy", policy, allowed))
        if policy and orphan is not None:
            text = "orphanDependents and deletionPropagation cannot be both set"
            raise _refused("DeleteOptions", errors.invalid("propagationPolicy", policy, text))
        if orphan is not None:
            policy = "Orphan" if orphan else "Background"
        preconditions = body.get("preconditions") or {}
        return cls(
            propagation=policy,
            uid=preconditions.get("uid") or "",
            resource_version=preconditions.get("resourceVersion") or "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOptions:
    """How a list or watch is meant. ``revision`` is None when no resourceVersion was given."""

    label_selector: str = ""
    field_selector: str = ""
    revision: int | None = None
    match: str = ""
    limit: int = 0
    continue_token: str = ""
    bookmarks: bool = False
    initial_events: bool | None = None
    timeout: float | None = None

    @classmethod
    def read(cls, query: Mapping[str, str], *, watch: bool) -> ListOptions:
        """From the query.

        Raises:
            StatusError: 400 or 422 for values and combinations that the API refuses.
        """
        get = query.get
        version, initial = get("resourceVersion", ""), get("sendInitialEvents")
        try:
            limit, timeout = (parse_integer(get(name, "0")) for name in ("limit", "timeoutSeconds"))
        except ValueError as error:
            raise errors.bad_request(str(error)) from error
        try:
            revision = parse_integer(version, signed=False) if version else None
        except ValueError as error:
            text = f'resourceVersion: Invalid value: "{version}": {error}'
            raise (
                StatusError(500, "", text)
                if watch
                else errors.bad_request(f"invalid resource version: {text}")
            ) from error
        options = cls(
            label_selector=get("labelSelector", ""),
            field_selector=get("fieldSelector", ""),
            revision=revision,
            match=get("resourceVersionMatch", ""),
            limit=max(limit, 0),
            continue_token=get("continue", ""),
            bookmarks=is_true(get("allowWatchBookmarks", "false")),
            initial_events=None if initial is None else is_true(initial),
            timeout=timeout or None,
        )
        if wrong := options.errors_of_watch() if watch else options.errors_of_list():
            raise _refused("ListOptions", *wrong)
        return options

    def errors_of_watch(self) -> list[FieldError]:
        """What means nothing for a watch."""
        wrong = []
        if self.initial_events is not None and self.match != "NotOlderThan":
            text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            wrong.append(errors.forbidden_field(_MATCH, text))
        elif self.initial_events is None and self.match:
            text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            wrong.append(errors.forbidden_field(_MATCH, text))
        if self.match not in ("", "NotOlderThan"):
            wrong.append(errors.not_supported(_MATCH, self.match, ["NotOlderThan"]))
        return wrong

    def errors_of_list(self) -> list[FieldError]:
        """What means nothing for a list."""
        wrong = []
        if self.initial_events is not None:
            wrong.append(
                errors.forbidden_field("sendInitialEvents", "sendInitialEvents is forbidden for list")
            )
        text = ""
        if self.match and self.revision is None:
            text = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        elif self.match and self.continue_token:
            text = "resourceVersionMatch is forbidden when continue is provided"
        elif self.match not in ("", "Exact", "NotOlderThan"):
            wrong.append(errors.not_supported(_MATCH, self.match, ["Exact", "NotOlderThan", ""]))
        elif self.match == "Exact" and self.revision == 0:
            text = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        return wrong + ([errors.forbidden_field(_MATCH, text)] if text else [])


def _refused(kind: str, *wrong: FieldError) -> StatusError:
    return errors.unprocessable("meta.k8s.io", kind, "", wrong)
