"""The rules of ``metadata``, the same for every kind: what the server sets, what may change, what is well-formed."""

from __future__ import annotations

import datetime as dt
import re
import secrets
import uuid
from collections.abc import Iterator
from typing import Any

from capt.embedded.errors import FieldError, forbidden_field, go_quote, invalid, required

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = rf"({_QUALIFIED})?"
_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_STANDARD_FINALIZERS = ("orphan", "foregroundDeletion", "kubernetes")
_TOTAL_ANNOTATIONS = 256 * 1024

_NOTE = "regex used for validation is"
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and"
    f" end with an alphanumeric character (e.g. 'example.com', {_NOTE} '{_SUBDOMAIN}')"
)
_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with"
    f" an alphanumeric character (e.g. 'my-name',  or '123-abc', {_NOTE} '{_LABEL}')"
)
_QUALIFIED_TEXT = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric"
    f" character (e.g. 'MyName',  or 'my.name',  or '123-abc', {_NOTE} '{_QUALIFIED}')"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and"
    f" end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', {_NOTE} '{_VALUE}')"
)


def now() -> str:
    """The present second as the API writes times."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def generate_name(base: str) -> str:
    """A name for ``metadata.generateName``: the base, cut to fit, and five random characters."""
    return base[:58] + "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(5))


def tidy(metadata: dict[str, Any]) -> None:
    """Drop empty maps and lists and what the server does not keep."""
    for name in ("labels", "annotations", "finalizers", "ownerReferences"):
        if name in metadata and not metadata[name]:
            del metadata[name]
    for name in ("managedFields", "selfLink"):
        metadata.pop(name, None)


def begin(metadata: dict[str, Any], namespace: str, *, generation: bool) -> None:
    """Give a new object what only the server may set."""
    for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "generation", "resourceVersion"):
        metadata.pop(name, None)
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = now()
    if namespace:
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
    if generation:
        metadata["generation"] = 1
    tidy(metadata)


def restore(metadata: dict[str, Any], old: dict[str, Any]) -> None:
    """Put back what an update may not change and what it may leave out."""
    for name in ("generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if metadata.get(name) is None or not name.startswith("deletion"):
            metadata.pop(name, None)
            metadata |= {name: old[name]} if name in old else {}
    metadata.setdefault("uid", old["uid"])
    metadata["resourceVersion"] = old["resourceVersion"]
    tidy(metadata)


def mark_deleting(metadata: dict[str, Any], *, plain: bool) -> None:
    """Set the deletion timestamp, once; that is a change of the desired state, unless ``plain``."""
    if "deletionTimestamp" not in metadata:
        metadata["deletionTimestamp"] = now()
        if plain:
            return
        metadata["deletionGracePeriodSeconds"] = 0
        if "generation" in metadata:
            metadata["generation"] += 1


def is_subdomain(text: str) -> bool:
    """Whether the text is an RFC 1123 subdomain of at most 253 characters."""
    return len(text) <= 253 and re.fullmatch(_SUBDOMAIN, text) is not None


def is_label(text: str) -> bool:
    """Whether the text is an RFC 1123 label of at most 63 characters."""
    return len(text) <= 63 and re.fullmatch(_LABEL, text) is not None


def validate_new(metadata: dict[str, Any], *, label_name: bool) -> Iterator[FieldError]:
    """What is wrong with a new object's metadata. ``label_name``: the name is a DNS label, else a subdomain."""
    name, base = metadata.get("name", ""), (metadata.get("generateName") or "").rstrip("-")
    pattern, text, longest = (_LABEL, _LABEL_TEXT, 63) if label_name else (_SUBDOMAIN, _SUBDOMAIN_TEXT, 253)
    if base and not re.fullmatch(_SUBDOMAIN, base):
        yield invalid("metadata.generateName", metadata["generateName"], _SUBDOMAIN_TEXT)
    if not name:
        yield required("metadata.name", "name or generateName is required")
    elif label_name and "." in name:
        yield invalid("metadata.name", name, "must not contain dots")
    elif not re.fullmatch(pattern, name):
        yield invalid("metadata.name", name, text)
    elif len(name) > longest:
        yield invalid("metadata.name", name, f"must be no more than {longest} characters")
    yield from _validate_contents(metadata)


def validate_change(metadata: dict[str, Any], old: dict[str, Any]) -> Iterator[FieldError]:
    """What is wrong with an update's metadata."""
    for name in ("name", "namespace", "uid", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if metadata.get(name) != old.get(name):
            yield invalid(f"metadata.{name}", metadata.get(name), "field is immutable")
    if "deletionTimestamp" in old:
        kept = old.get("finalizers") or []
        added = [finalizer for finalizer in metadata.get("finalizers") or [] if finalizer not in kept]
        if added:
            names = ", ".join(go_quote(finalizer) for finalizer in added)
            text = "no new finalizers can be added if the object is being deleted, found new finalizers"
            yield forbidden_field("metadata.finalizers", f"{text} []string{{{names}}}")
    yield from _validate_contents(metadata)


def unqualified_finalizers(metadata: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """Finalizers that are neither the system's own nor qualified by a domain."""
    for index, finalizer in enumerate(metadata.get("finalizers") or []):
        if "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            yield index, finalizer


def finalizer_errors(metadata: dict[str, Any]) -> Iterator[FieldError]:
    """Unqualified finalizers, which a built-in kind does not take."""
    text = "name is neither a standard finalizer name nor is it fully qualified"
    for index, finalizer in unqualified_finalizers(metadata):
        yield invalid(f"metadata.finalizers[{index}]", finalizer, text)


def finalizer_warnings(metadata: dict[str, Any]) -> Iterator[str]:
    """Warnings for finalizers that anyone might use by accident."""
    return (
        f"metadata.finalizers: {go_quote(name)}: prefer a domain-qualified finalizer name"
        f"{' including a path (/)' if '.' in name else ''} to avoid accidental conflicts with other finalizer writers"
        for _, name in unqualified_finalizers(metadata)
    )


def qualified_name_problems(key: str) -> Iterator[str]:
    """What is wrong with a label key, annotation key or finalizer."""
    prefix, slash, name = key.partition("/") if "/" in key else ("", "", key)
    if "/" in name:
        hint = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        yield f"a valid label key {_QUALIFIED_TEXT} {hint}"
        return
    if slash and not prefix:
        yield "prefix part must be non-empty"
    elif slash and not re.fullmatch(_SUBDOMAIN, prefix):
        yield f"prefix part {_SUBDOMAIN_TEXT}"
    if not name:
        yield "name part must be non-empty"
    elif len(name) > 63:
        yield "name part must be no more than 63 bytes"
    if not re.fullmatch(_QUALIFIED, name):
        yield f"name part {_QUALIFIED_TEXT}"


def label_value_problems(value: str) -> Iterator[str]:
    """What is wrong with a label value."""
    if len(value) > 63:
        yield "must be no more than 63 bytes"
    if not re.fullmatch(_VALUE, value):
        yield _VALUE_TEXT


def _validate_contents(metadata: dict[str, Any]) -> Iterator[FieldError]:
    for key, value in (metadata.get("labels") or {}).items():
        for text in qualified_name_problems(key):
            yield invalid("metadata.labels", key, text)
        for text in label_value_problems(value):
            yield invalid("metadata.labels", value, text)
    annotations = metadata.get("annotations") or {}
    for key in annotations:
        for text in qualified_name_problems(key.lower()):
            yield invalid("metadata.annotations", key, text)
    if sum(len(key) + len(value) for key, value in annotations.items()) > _TOTAL_ANNOTATIONS:
        text = f"may not be more than {_TOTAL_ANNOTATIONS} bytes"
        yield FieldError("FieldValueTooLong", "metadata.annotations", text)
    for finalizer in metadata.get("finalizers") or []:
        for text in qualified_name_problems(finalizer):
            yield invalid("metadata.finalizers", finalizer, text)
    yield from _validate_owners(metadata.get("ownerReferences") or [])


def _validate_owners(owners: list[dict[str, Any]]) -> Iterator[FieldError]:
    for owner in owners:
        for name in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(name):
                text = "version must not be empty" if name == "apiVersion" else "must not be empty"
                yield invalid(f"metadata.ownerReferences.{name}", "", text)
    controllers = [f"{owner.get('kind')}/{owner.get('name')}" for owner in owners if owner.get("controller")]
    if len(controllers) > 1:
        text = 'Only one reference can have Controller set to true. Found "true" in references for'
        yield invalid("metadata.ownerReferences", owners, f"{text} {' and '.join(controllers[:2])}")
