"""Lists: which objects a selection holds, at which revision, page by page."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from capt.embedded.errors import bad_request, expired, too_large_version
from capt.embedded.request import ListOptions
from capt.embedded.resource import Resource
from capt.embedded.selectors import LabelPredicate, field_selector, label_selector
from capt.embedded.store import Key, Store, Stored

_INCONSISTENT = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without"
    " the continue parameter, or use the continue token in this response to retrieve the remainder of the results."
    " Continuing with the provided token results in an inconsistent list - objects that were created, modified, or"
    " deleted between the time the first chunk was returned and now may show up in the list."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The objects of a resource that a request is about."""

    resource: Resource
    namespace: str
    labels: LabelPredicate | None
    fields: tuple[tuple[str, bool, str], ...]

    @classmethod
    def of(cls, resource: Resource, namespace: str, options: ListOptions) -> Selection:
        """From the request's namespace and selectors.

        Raises:
            StatusError: 400 for a malformed selector or an unknown field.
        """
        fields = field_selector(options.field_selector, resource.fields, custom=resource.custom)
        labels = label_selector(options.label_selector)
        return cls(resource=resource, namespace=namespace, labels=labels, fields=tuple(fields))

    @property
    def everything(self) -> bool:
        """Whether nothing but the namespace restricts the selection."""
        return self.labels is None and not self.fields

    def holds(self, stored: Stored | None) -> bool:
        """Whether the object, in this state, belongs to the selection."""
        if stored is None or (self.namespace and stored.key.namespace != self.namespace):
            return False
        if self.labels is not None and not self.labels(stored.labels):
            return False
        return not self.fields or self._fields_hold(stored)

    def _fields_hold(self, stored: Stored) -> bool:
        known = {"metadata.name": stored.key.name, "metadata.namespace": stored.key.namespace}
        content = self.resource.decode(stored) if any(name not in known for name, *_ in self.fields) else {}
        return all(
            ((known[name] if name in known else self.resource.fields[name](content)) == wanted) is equal
            for name, equal, wanted in self.fields
        )

    def filter(self, objects: Iterable[Stored]) -> list[Stored]:
        """The objects that belong to the selection."""
        return list(objects) if self.everything else [stored for stored in objects if self.holds(stored)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One answer to a list request."""

    objects: list[Stored]
    metadata: dict[str, Any]


def list_page(store: Store, selection: Selection, options: ListOptions) -> Page:
    """The page that the options ask for.

    Raises:
        StatusError: 400 for a broken continue token, 410 when the list's revision is no longer kept, 504 for a
            revision in the future.
    """
    collection, revision = store.collection(selection.resource.id), store.revision
    if options.revision is not None and options.revision > revision:
        raise too_large_version(options.revision, revision)
    at, start = revision, None
    if options.continue_token:
        at, start = _read_token(options.continue_token)
        if at < 0:
            at = revision
        elif at < collection.oldest:
            raise expired(_INCONSISTENT, continue_token=_token(-1, start))
    elif options.match == "Exact" and options.revision is not None:
        at = options.revision
        if at < collection.oldest:
            raise expired("The resourceVersion for the provided list is too old.")
    present = at == revision
    objects = collection.select(selection.namespace) if present else collection.at(at, selection.namespace)
    if start is not None:
        objects = [stored for stored in objects if stored.key > start]
    objects = selection.filter(objects)
    metadata: dict[str, Any] = {"resourceVersion": str(at)}
    if options.limit and len(objects) > options.limit:
        if selection.everything:
            metadata["remainingItemCount"] = len(objects) - options.limit
        objects = objects[: options.limit]
        metadata["continue"] = _token(at, objects[-1].key)
    return Page(objects=objects, metadata=metadata)


def _token(revision: int, start: Key) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([revision, *start])).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, Key]:
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        revision, namespace, name = msgspec.json.decode(raw, type=tuple[int, str, str])
    except ValueError as error:
        raise bad_request(f"invalid continue token: continue key is not valid: {error}") from error
    return revision, Key(namespace, name)
