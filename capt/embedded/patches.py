"""The patch formats: JSON patch (RFC 6902), merge patch (RFC 7386) and Kubernetes' strategic merge patch."""

from __future__ import annotations

from typing import Any

from capt.embedded.errors import StatusError, bad_request
from capt.embedded.schema import Schema

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCHES = ("application/apply-patch+yaml", "application/apply-patch+cbor")

_DELETE_FROM, _ORDER, _RETAIN, _DIRECTIVE = (
    "$deleteFromPrimitiveList/",
    "$setElementOrder/",
    "$retainKeys",
    "$patch",
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
        StatusError: 400 for an unknown ``$patch`` directive or a list item without its merge key.
    """
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    match patch.get(_DIRECTIVE):
        case "replace":
            return {name: value for name, value in patch.items() if name != _DIRECTIVE}
        case "delete":
            return {}
        case None | "merge":
            pass
        case other:
            raise StatusError(500, "", f"unknown patch type: {other} in map: map[{_DIRECTIVE}:{other}]")
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
            if isinstance(value, list):
                result[name] = _merge_list(child, result.get(name), value)
            else:
                result[name] = strategic(child, result.get(name), value)
    return result


def _merge_list(schema: Schema | None, target: Any, patch: list[Any]) -> list[Any]:
    if schema is None or not isinstance(target, list):
        return _without_directives(patch)
    if any(isinstance(item, dict) and item.get(_DIRECTIVE) == "replace" for item in patch):
        return _without_directives(patch)
    if not schema.merge_key:
        if schema.merges:  # what the patch names comes first
            return patch + [item for item in target if item not in patch]
        return patch
    key, result = schema.merge_key, list(target)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
        index = next((i for i, known in enumerate(result) if known.get(key) == item[key]), None)
        if item.get(_DIRECTIVE) == "delete":
            if index is not None:
                del result[index]
        elif index is None:
            result.append(strategic(schema.items, {}, item))
        else:
            result[index] = strategic(schema.items, result[index], item)
    return result


def _without_directives(patch: list[Any]) -> list[Any]:
    return [item for item in patch if not (isinstance(item, dict) and _DIRECTIVE in item)]


def json_patch(target: Any, operations: Any) -> Any:
    """``target`` after a JSON patch, changed in place.

    Raises:
        StatusError: 400 for a malformed patch, 422 when it does not apply.
    """
    if not isinstance(operations, list) or not all(isinstance(each, dict) for each in operations):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        )
    for operation in operations:
        try:
            target = _operate(target, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            text = "the server rejected our request due to an error in our request"
            raise StatusError(422, "Invalid", text, details={}) from error
    return target


def _operate(target: Any, operation: dict[str, Any]) -> Any:
    path = _pointer(operation["path"])
    match operation["op"]:
        case "add":
            return _add(target, path, operation["value"])
        case "replace":
            return _replace(target, path, operation["value"]) if path else operation["value"]
        case "remove":
            return _remove(target, path)[0]
        case "move":
            target, value = _remove(target, _pointer(operation["from"]))
            return _add(target, path, value)
        case "copy":
            return _add(target, path, merge(None, _get(target, _pointer(operation["from"]))))
        case "test":
            if _get(target, path) != operation["value"]:
                raise ValueError(f"testing value {operation['path']} failed")
            return target
        case other:
            raise ValueError(f"unexpected kind: {other}")


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise ValueError(f"not a JSON pointer: {text}")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _get(target: Any, path: list[str]) -> Any:
    for part in path:
        target = target[int(part)] if isinstance(target, list) else target[part]
    return target


def _add(target: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _get(target, path[:-1]), path[-1]
    if isinstance(parent, list):
        index = len(parent) if last == "-" else int(last)
        if not 0 <= index <= len(parent):
            raise IndexError(f"unable to access invalid index: {last}")
        parent.insert(index, value)
    else:
        parent[last] = value
    return target


def _replace(target: Any, path: list[str], value: Any) -> Any:
    parent, last = _get(target, path[:-1]), path[-1]
    if isinstance(parent, list):
        parent[int(last)] = value
    else:
        parent[last] = value  # a field that is not there yet is no error to the API server
    return target


def _remove(target: Any, path: list[str]) -> tuple[Any, Any]:
    parent, last = _get(target, path[:-1]), path[-1]
    return target, parent.pop(int(last)) if isinstance(parent, list) else parent.pop(last)
