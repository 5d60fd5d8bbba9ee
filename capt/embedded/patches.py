"""The patch formats: JSON patch (RFC 6902), merge patch (RFC 7386) and Kubernetes' strategic merge patch."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

from capt.embedded.errors import StatusError, bad_request
from capt.embedded.resource import Resource
from capt.embedded.schema import Schema
from capt.embedded.validation import same

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCHES = ("application/apply-patch+yaml", "application/apply-patch+cbor")

_DELETE_FROM, _ORDER = "$deleteFromPrimitiveList/", "$setElementOrder/"
_DIRECTIVE, _RETAIN = "$patch", "$retainKeys"


def accepted_by(resource: Resource) -> list[str]:
    """The patch formats that a resource takes."""
    return [JSON_PATCH, MERGE_PATCH, *(() if resource.custom else (STRATEGIC_PATCH,))]


def mutation(form: str, patch: Any, schema: Schema | None) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What a patch does to an object; the schema knows the merge keys of lists.

    Raises:
        StatusError: 400 for a malformed patch; from the function, 400 or 422 when it does not apply.
    """
    if form == JSON_PATCH:
        if not isinstance(patch, list) or not all(map(_is_operation, patch)):
            into = "[]handlers.jsonPatchOp"
            raise bad_request(
                f"error decoding patch: json: cannot unmarshal object into Go value of type {into}"
            )
    elif not isinstance(patch, dict):
        prefix = "error decoding patch: " if form == MERGE_PATCH else ""
        raise bad_request(
            f"{prefix}json: cannot unmarshal array into Go value of type map[string]interface {{}}"
        )

    forms: dict[str, Callable[[Any, Any], Any]] = {
        JSON_PATCH: json_patch,
        MERGE_PATCH: merge,
        STRATEGIC_PATCH: functools.partial(strategic, schema),
    }

    def mutate(content: dict[str, Any]) -> dict[str, Any]:
        patched = forms[form](content, patch)
        if not isinstance(patched, dict):
            raise _does_not_apply()
        return patched

    return mutate


def _is_operation(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(n, ""), str) for n in ("op", "path", "from"))


def _does_not_apply() -> StatusError:
    return StatusError(
        422, "Invalid", "the server rejected our request due to an error in our request", details={}
    )


def merge(target: Any, patch: Any) -> Any:
    """``target`` after a merge patch; a null removes. Shares what it does not change with its arguments."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result


def strategic(schema: Schema | None, target: Any, patch: Any) -> Any:
    """``target`` after a strategic merge patch: lists with a merge key are merged item by item.

    Raises:
        StatusError: 500 for an unknown ``$patch`` directive, as the API server has it; 400 for a list item without its
            merge key.
    """
    if not isinstance(patch, dict):
        return patch
    directive = patch.get(_DIRECTIVE, "merge")
    if directive == "replace":
        return {name: value for name, value in patch.items() if name != _DIRECTIVE}
    if directive == "delete":
        return {}
    if directive != "merge":
        text = f"unknown patch type: {directive} in map: map[{_DIRECTIVE}:{directive}]"
        raise StatusError(500, "", text)
    result = dict(target) if isinstance(target, dict) else {}
    if isinstance(kept := patch.get(_RETAIN), list):
        result = {name: value for name, value in result.items() if name in kept}
    for name, value in patch.items():
        if name.startswith(_DELETE_FROM):
            list_name = name.removeprefix(_DELETE_FROM)
            result[list_name] = [item for item in result.get(list_name) or [] if item not in value]
        elif name in (_DIRECTIVE, _RETAIN) or name.startswith(_ORDER):
            continue
        elif value is None:
            result.pop(name, None)
        else:
            child = (schema.properties.get(name) or schema.additional) if schema else None
            merge_values = _merge_lists if isinstance(value, list) else strategic
            result[name] = merge_values(child, result.get(name), value)
    return result


def _merge_lists(schema: Schema | None, target: Any, patch: list[Any]) -> list[Any]:
    directives = [item[_DIRECTIVE] for item in patch if isinstance(item, dict) and _DIRECTIVE in item]
    if schema is None or not isinstance(target, list) or "replace" in directives:
        return [item for item in patch if not (isinstance(item, dict) and _DIRECTIVE in item)]
    key = schema.merge_key
    if not key:  # of a set, what the patch names comes first
        return patch + [item for item in target if item not in patch] if schema.merges else patch
    result = {item.get(key): item for item in target}
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
        if item.get(_DIRECTIVE) == "delete":
            result.pop(item[key], None)
        else:
            result[item[key]] = strategic(schema.items, result.get(item[key]), item)
    return list(result.values())


def json_patch(target: Any, operations: list[dict[str, Any]]) -> Any:
    """``target`` after a JSON patch, changed in place.

    Raises:
        StatusError: 422 when it does not apply.
    """
    for operation in operations:
        try:
            target = _operate(target, operation)
        except (LookupError, ValueError, TypeError) as error:
            raise _does_not_apply() from error
    return target


def _operate(target: Any, operation: dict[str, Any]) -> Any:
    action, path = operation["op"], _pointer(operation["path"])
    match action:
        case "add" | "replace":
            return _put(target, path, operation.get("value"), insert=action == "add")
        case "remove":
            _at(target, path[:-1]).pop(_step(_at(target, path[:-1]), path[-1]))
        case "move" | "copy":
            source = _pointer(operation["from"])
            value = _at(target, source)
            if action == "move":
                _at(target, source[:-1]).pop(_step(_at(target, source[:-1]), source[-1]))
            return _put(target, path, value if action == "move" else copy.deepcopy(value), insert=True)
        case "test":
            if not same(_at(target, path), operation["value"]):
                raise ValueError(f"testing value {operation['path']} failed")
        case other:
            raise ValueError(f"unexpected kind: {other}")
    return target


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise ValueError(f"not a JSON pointer: {text}")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _step(parent: Any, part: str) -> Any:
    return int(part) if isinstance(parent, list) else part


def _at(target: Any, path: list[str]) -> Any:
    for part in path:
        target = target[_step(target, part)]
    return target


def _put(target: Any, path: list[str], value: Any, *, insert: bool) -> Any:
    """Replacing a field that is not there yet is no error to the API server."""
    if not path:
        return value
    parent, last = _at(target, path[:-1]), path[-1]
    if isinstance(parent, list) and insert:
        index = len(parent) if last == "-" else int(last)
        if not 0 <= index <= len(parent):
            raise IndexError(f"unable to access invalid index: {last}")
        parent.insert(index, value)
    else:
        parent[_step(parent, last)] = value
    return target
