"""The rules of writing: create, update and delete, whatever the kind.

Each is one synchronous function from the request's object to the stored one, so no two writes interleave. What a write
does to others - dependents of a deleted owner, the contents of a namespace - is the collector's work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from capt.embedded import errors, metadata
from capt.embedded.errors import FieldError, StatusError
from capt.embedded.request import DeleteOptions, WriteOptions
from capt.embedded.resource import Resource
from capt.embedded.store import Key, Store, Stored
from capt.embedded.validation import ABSENT, check_rules, check_structure, same, type_name

_GENERATE_TRIES = 8
ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
_MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"

Mutation = Callable[[dict[str, Any]], dict[str, Any]]


class Writer:
    """Writes to a store under the API's rules. Every method returns the JSON to answer with."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(
        self, resource: Resource, namespace: str, body: dict[str, Any], options: WriteOptions
    ) -> bytes:
        """Store a new object.

        Raises:
            StatusError: 400, 403, 404 (no such namespace), 409 or 422.
        """
        if resource.closing:
            text = "create not allowed while custom resource definition is terminating"
            raise StatusError(405, "MethodNotAllowed", text)
        check_kind(resource, body)
        meta: dict[str, Any] = body["metadata"]
        self._check_namespace(resource, namespace, meta.get("name", ""))
        found = read_fields(resource, body, options)
        if meta.get("resourceVersion"):
            raise StatusError(500, "", "resourceVersion should not be set on objects to be created")
        _check_place(meta, Key(namespace, meta.get("name") or ""))
        if not meta.get("name") and (base := meta.get("generateName")):
            meta["name"] = self._unused_name(resource, namespace, base)
        metadata.begin(meta, namespace, generation=resource.generation)
        if resource.status:
            body.pop("status", None)
        resource.prepare(body, None)
        _admit(resource, body, None, found)
        key = Key(namespace, meta["name"])
        if (existing := self._store.get(resource.id, key)) is not None:
            raise errors.already_exists(resource.group, resource.plural, key.name, deleting=existing.deleting)
        options.warnings += metadata.finalizer_warnings(meta)
        return self._put(resource, key, body, options)

    def update(
        self,
        resource: Resource,
        key: Key,
        mutate: Mutation,
        options: WriteOptions,
        *,
        subresource: str = "",
        replace: bool = False,
    ) -> bytes:
        """Store what ``mutate`` makes of the present object; nothing is written when it makes no difference.

        ``replace`` means a PUT: ``mutate`` does not look at the present object.

        Raises:
            StatusError: 400, 404, 409 or 422.
        """
        stored = self.existing(resource, key)
        old = resource.decode(stored)
        new = mutate(resource.decode(stored))
        check_target(resource, key, new, patched=not replace)
        meta: dict[str, Any] = new["metadata"]
        found = read_fields(resource, new, options, old, patched=not replace)
        self._check_preconditions(resource, stored, meta, replace=replace)
        metadata.restore(meta, old["metadata"])
        new = _isolate(resource, new, old, subresource)
        meta = new["metadata"]
        resource.prepare(new, old)
        _admit(resource, new, old, found)
        if same(new, old):
            return resource.encode(stored)
        if meta.get("finalizers") != old["metadata"].get("finalizers"):
            options.warnings += metadata.finalizer_warnings(meta)
        if "generation" in meta and not same(_desired(resource, new), _desired(resource, old)):
            meta["generation"] += 1
        if "deletionTimestamp" in meta and not meta.get("finalizers") and not _namespace_pending(new):
            if not options.dry_run:
                self._store.remove(resource.id, key)
            return msgspec.json.encode(new)
        return self._put(resource, key, new, options)

    def delete(self, resource: Resource, key: Key, options: DeleteOptions, write: WriteOptions) -> bytes:
        """Remove an object, or mark it when finalizers hold it.

        Raises:
            StatusError: 403, 404 or 409.
        """
        stored = self.existing(resource, key)
        content = resource.decode(stored)
        meta = content["metadata"]
        self._check_delete(resource, stored, options)
        if resource.terminate is not None and not stored.deleting:
            resource.terminate(content)
        finalizers = _collector_finalizers(meta.get("finalizers") or [], options.propagation)
        if not finalizers and not _namespace_pending(content):
            if not write.dry_run:
                self._store.remove(resource.id, key)
            details = {"name": key.name, "group": resource.group, "kind": resource.plural, "uid": stored.uid}
            return msgspec.json.encode(errors.success({k: v for k, v in details.items() if v}))
        if "deletionTimestamp" in meta and finalizers == (meta.get("finalizers") or []):
            return resource.encode(stored)
        metadata.mark_deleting(meta, plain=resource.terminate is not None)
        if finalizers:
            meta["finalizers"] = finalizers
        return self._put(resource, key, content, write)

    def _put(self, resource: Resource, key: Key, content: dict[str, Any], options: WriteOptions) -> bytes:
        if options.dry_run:
            return msgspec.json.encode(content)
        kept = {name: value for name, value in content.items() if name not in ("apiVersion", "kind")}
        kept = {"metadata": kept.pop("metadata"), **kept}
        if resource.version != resource.storage_version:
            resource.storage_schema.prune(kept, [])
        stored = self._store.put(resource.id, key, resource.storage_version, kept)
        if resource.version == resource.storage_version:
            stored.views[resource.schema.token] = stored.body
        return resource.encode(stored)

    def existing(self, resource: Resource, key: Key) -> Stored:
        """The object's present state.

        Raises:
            StatusError: 404.
        """
        stored = self._store.get(resource.id, key)
        if stored is None:
            raise errors.not_found(resource.group, resource.plural, key.name)
        return stored

    def _unused_name(self, resource: Resource, namespace: str, base: str) -> str:
        name = ""
        for _ in range(_GENERATE_TRIES):
            name = metadata.generate_name(base)
            if self._store.get(resource.id, Key(namespace, name)) is None:
                break
        return name

    def _check_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        if not resource.namespaced:
            return
        found = self._store.get("namespaces", Key("", namespace))
        if found is None:
            raise errors.not_found("", "namespaces", namespace)
        if found.deleting:
            cause = {"reason": "NamespaceTerminating", "field": "metadata.namespace"}
            cause["message"] = f"namespace {namespace} is being terminated"
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise errors.forbidden(resource.group, resource.plural, name, why, [cause])

    def _check_preconditions(
        self, resource: Resource, stored: Stored, meta: dict[str, Any], *, replace: bool
    ) -> None:
        name, version = stored.key.name, meta.get("resourceVersion") or ""
        if replace and meta.get("uid", stored.uid) != stored.uid:
            why = f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {stored.uid}"
            raise errors.conflict(resource.group, resource.plural, name, why)
        if not version and not resource.unconditional_update:
            error = errors.invalid("metadata.resourceVersion", 0, "must be specified for an update")
            raise errors.unprocessable(resource.group, resource.plural, name, [error])
        if version and version != str(stored.revision):
            raise errors.conflict(resource.group, resource.plural, name, _MODIFIED)

    def _check_delete(self, resource: Resource, stored: Stored, options: DeleteOptions) -> None:
        name, version = stored.key.name, str(stored.revision)
        for word, wanted, actual, hint in (
            ("UID", options.uid, stored.uid, "deleted and then recreated"),
            ("ResourceVersion", options.resource_version, version, "modified"),
        ):
            if wanted and wanted != actual:
                why = f"the {word} in the precondition ({wanted}) does not match the {word} in record ({actual})."
                why += f" The object might have been {hint}"
                raise errors.conflict(resource.group, resource.kind, name, why)
        if resource.id == "namespaces" and name in ("default", "kube-system"):
            raise errors.forbidden("", "namespaces", name, "this namespace may not be deleted", [])


def check_target(resource: Resource, key: Key, body: dict[str, Any], *, patched: bool = False) -> None:
    """The object must be of the kind that its path serves, and be the one that the path names.

    Raises:
        StatusError: 400 or 422.
    """
    check_kind(resource, body, patched=patched)
    if not body["metadata"].get("name"):
        why = "was undeterminable: name must be provided"
        raise errors.bad_request(f"the name of the object ({key.name} based on URL) {why}")
    _check_place(body["metadata"], key)


def _check_place(meta: dict[str, Any], key: Key) -> None:
    """Name and namespace in the object, where it gives them, are those of the URL."""
    if key.namespace and meta.get("namespace") not in (None, "", key.namespace):
        text = "the namespace of the provided object does not match the namespace sent on the request"
        raise errors.bad_request(text)
    if key.namespace:
        meta["namespace"] = key.namespace
    if (name := meta.setdefault("name", key.name)) != key.name:
        text = f"the name of the object ({name}) does not match the name on the URL ({key.name})"
        raise errors.bad_request(text)


def check_kind(resource: Resource, body: dict[str, Any], *, patched: bool = False) -> None:
    """The body must be of the kind and version that its path serves; built-in kinds may leave both out."""
    kind, api_version = body.get("kind") or "", body.get("apiVersion") or ""
    meta = body.get("metadata")
    name = meta.get("name", "") if isinstance(meta, dict) else ""
    wanted = {"apiVersion": resource.api_version, "kind": resource.kind}
    if not isinstance(kind, str):
        problem = (
            f"json: cannot unmarshal {_go_kind(type_name(kind))} into Go struct field .kind of type string"
        )
        raise errors.bad_request(f"couldn't get version/kind; json parse error: {problem}")
    if resource.custom and not kind:
        problem = f"Object 'Kind' is missing in '{msgspec.json.encode(body).decode()}'"
        if patched:
            raise _refused_patch(body, problem)
        text = f"the object provided is unrecognized (must be of type {resource.kind}): {problem}"
        raise errors.bad_request(text)
    for field in ("apiVersion", "kind") if resource.custom else ():
        if body.get(field, "") != wanted[field] and (
            patched or (field == "kind" and api_version == wanted["apiVersion"])
        ):
            error = errors.invalid(field, body.get(field, ""), f"must be {wanted[field]}")
            raise errors.unprocessable(resource.group, kind, name, [error])
    if (api_version or resource.custom) and api_version != wanted["apiVersion"]:
        text = f"the API version in the data ({api_version}) does not match the expected API version"
        raise errors.bad_request(f"{text} ({resource.api_version})")
    if kind and kind != resource.kind:
        text = f"converting ({kind}) to ({resource.kind}): unknown conversion"
        raise errors.bad_request(
            f'{kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {text}'
        )
    if not isinstance(meta, dict | None):
        given = _go_kind(type_name(meta))
        problem = f"json: cannot unmarshal {given} into Go value of type v1.ObjectMeta"
        raise errors.cannot_handle(resource.kind, resource.version, problem)
    body.update(wanted, metadata=meta or {})


def read_fields(
    resource: Resource,
    body: dict[str, Any],
    options: WriteOptions,
    before: Any = ABSENT,
    *,
    patched: bool = False,
) -> list[FieldError]:
    """Prune and default in place; say, as ``fieldValidation`` asks, what was not known.

    Metadata and built-in kinds are checked here, as they are decoded; what is wrong with their values is returned.

    Raises:
        StatusError: 400 (422 for a patch) for unknown fields under Strict; 400 for a field of a wrong type in metadata or
            in a built-in kind.
    """

    def refuse(problem: str) -> StatusError:
        refused = errors.cannot_handle(resource.kind, resource.version, problem)
        return _refused_patch(body, problem) if patched else refused

    unknown: list[str] = []
    resource.schema.prune(body, unknown)
    texts = [f'unknown field "{path}"' for path in unknown]
    if texts and options.field_validation == "Strict":
        raise refuse(f"strict decoding error: {', '.join(texts)}")
    if options.field_validation == "Warn":
        options.warnings += texts
    resource.schema.default(body)
    checked = {"metadata": body["metadata"]} if resource.custom else body
    found = check_structure(resource.typed, checked, before)
    for error in found:
        if error.reason == "FieldValueTypeInvalid":
            into = f"into Go struct field {resource.kind}.{error.field}"
            problem = f"json: cannot unmarshal {_go_kind(error.value)} {into}"
            if "must be of type byte" in error.detail:
                problem = "illegal base64 data"
            raise refuse(problem)
    return found


def _refused_patch(body: dict[str, Any], problem: str) -> StatusError:
    shown = msgspec.json.encode(body).decode()
    return errors.unprocessable("", "", "", [errors.invalid("patch", shown, problem)])


def _go_kind(json_type: str) -> str:
    return {"integer": "number", "boolean": "bool"}.get(json_type, json_type)


def _admit(
    resource: Resource, new: dict[str, Any], old: dict[str, Any] | None, found: list[FieldError]
) -> None:
    """Structure, the kind's own rules (which, of a built-in kind, rely on a sound structure), metadata, CEL rules."""
    meta, before = new["metadata"], ABSENT if old is None else old
    wrong = check_structure(resource.schema, new, before) if resource.custom else found
    if not resource.custom:
        wrong += metadata.finalizer_errors(meta)
    if resource.custom or not wrong:
        wrong += resource.validate(new, old)
    if old is None:
        wrong += metadata.validate_new(meta, label_name=resource.id == "namespaces")
    else:
        wrong += metadata.validate_change(meta, old["metadata"])
    if resource.custom or not wrong:
        wrong += check_rules(resource.schema, new, before, wrong)
    if wrong:
        raise errors.unprocessable(resource.group, resource.kind, meta.get("name", ""), wrong)


def _isolate(
    resource: Resource, new: dict[str, Any], old: dict[str, Any], subresource: str
) -> dict[str, Any]:
    """Keep a write to the object out of its status, and a write to the status out of the rest."""
    if subresource == "status":
        kept = {name: value for name, value in old.items() if name != "status"}
        status = {"status": new["status"]} if "status" in new else {}
        return kept | {"metadata": dict(old["metadata"])} | status
    if resource.id == "namespaces" and subresource != "finalize":
        new["spec"] = old["spec"]
    if resource.status:
        new.pop("status", None)
        if "status" in old:
            new["status"] = old["status"]
    return new


def _desired(resource: Resource, content: dict[str, Any]) -> dict[str, Any]:
    ignored = ("metadata", "status") if resource.status else ("metadata",)
    return {name: value for name, value in content.items() if name not in ignored}


def _namespace_pending(content: dict[str, Any]) -> bool:
    return content["kind"] == "Namespace" and bool((content.get("spec") or {}).get("finalizers"))


def _collector_finalizers(finalizers: list[str], propagation: str) -> list[str]:
    """The finalizers after a deletion with this policy; without a policy those of an earlier one stay."""
    if not propagation:
        return finalizers
    wanted = {"Orphan": [ORPHAN], "Foreground": [FOREGROUND]}.get(propagation, [])
    return [name for name in finalizers if name not in (ORPHAN, FOREGROUND)] + wanted
