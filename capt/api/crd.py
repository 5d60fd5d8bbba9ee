"""From a model to its CustomResourceDefinition.

`definition` is a pure function: the same model gives the same mapping, in the same order. The schema is
structural, as the API server demands: every field has a type, there is no `$ref`, an optional field is simply not
required.

What becomes what:

* A field without a Python default is required; so is one marked `Schema(required=True)`.
* In `spec`, a default other than None or an empty collection becomes the server's default, so that
  `kubectl get -o yaml` shows what is in force. In `status` nothing is defaulted: what no controller wrote is not
  there.
* Class docstrings and the docstrings under fields become descriptions.
* `Schema` and `Rule` in `Annotated`, and `RULES` of a model, become keywords and CEL rules.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, JsonValue
from pydantic.fields import FieldInfo

from capt.api.meta import ApiModel, ApiObject
from capt.api.schema import Column, Rule, Schema

JsonSchema = dict[str, Any]

_KEYWORDS = {
    "format": "format",
    "minimum": "minimum",
    "maximum": "maximum",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
    "min_items": "minItems",
    "max_items": "maxItems",
    "max_properties": "maxProperties",
    "list_type": "x-kubernetes-list-type",
    "map_type": "x-kubernetes-map-type",
}
_SCALARS: Mapping[Any, JsonSchema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer", "format": "int64"},
    str: {"type": "string"},
    datetime: {"type": "string", "format": "date-time"},
    JsonValue: {"x-kubernetes-preserve-unknown-fields": True},
}
_TYPE_DESCRIPTIONS = {
    "apiVersion": "Group and version of the API that the object is written for.",
    "kind": "Kind of the object.",
}


def definition(model: type[ApiObject]) -> dict[str, Any]:
    """Return the CustomResourceDefinition of a kind, ready to be written as YAML or sent to a server."""
    resource = model.RESOURCE
    metadata: dict[str, Any] = {"name": f"{resource.plural}.{resource.group}"}
    if resource.crd_labels:
        metadata["labels"] = dict(resource.crd_labels)
    if resource.crd_annotations:
        metadata["annotations"] = dict(resource.crd_annotations)
    names: dict[str, Any] = {
        "kind": resource.kind,
        "listKind": f"{resource.kind}List",
        "plural": resource.plural,
        "singular": resource.singular or resource.kind.lower(),
    }
    if resource.short_names:
        names["shortNames"] = list(resource.short_names)
    if resource.categories:
        names["categories"] = list(resource.categories)
    subresources: dict[str, Any] = {"status": {}} if "status" in model.model_fields else {}
    if resource.scale is not None:
        subresources["scale"] = {
            "specReplicasPath": resource.scale.spec_replicas,
            "statusReplicasPath": resource.scale.status_replicas,
            "labelSelectorPath": resource.scale.label_selector,
        }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": {
            "group": resource.group,
            "names": names,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "versions": [
                {
                    "name": resource.version,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": [_column(column) for column in resource.columns],
                    "schema": {"openAPIV3Schema": _root_schema(model)},
                    "subresources": subresources,
                }
            ],
        },
    }


def _column(column: Column) -> dict[str, Any]:
    result: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.json_path}
    if column.description:
        result["description"] = column.description
    if column.priority:
        result["priority"] = column.priority
    return result


def _root_schema(model: type[ApiObject]) -> JsonSchema:
    schema = _object(model, defaults=True)
    properties = schema["properties"]
    for name, description in _TYPE_DESCRIPTIONS.items():
        properties[name] = {"description": description, "type": "string"}
    properties["metadata"] = {"type": "object"}
    if "status" in properties:
        properties["status"] = _field(
            model.model_fields["status"], properties["status"].get("description"), defaults=False
        )
    return schema


def _object(model: type[ApiModel], *, defaults: bool) -> JsonSchema:
    schema: JsonSchema = {"description": _prose(model.__doc__ or ""), "type": "object", "properties": {}}
    docstrings = _field_docstrings(model)
    required = []
    for name, field in model.model_fields.items():
        wire_name = field.alias or name
        schema["properties"][wire_name] = _field(field, docstrings.get(name), defaults=defaults)
        if field.is_required() or any(mark.required for mark in field.metadata if isinstance(mark, Schema)):
            required.append(wire_name)
    if required:
        schema["required"] = required
    _add_rules(schema, model.RULES)
    return schema


def _field(field: FieldInfo, description: str | None, *, defaults: bool) -> JsonSchema:
    schema = _type(field.annotation, defaults=defaults)
    for mark in field.metadata:
        _add_mark(schema, mark)
    if description:
        schema = {**schema, "description": description}
    if defaults:
        _add_default(schema, field)
    return {key: schema[key] for key in ("description", "default", *schema) if key in schema}


def _add_default(schema: JsonSchema, field: FieldInfo) -> None:
    default = field.default
    if field.is_required() or field.default_factory is not None or default in (None, "", ()):
        return
    if isinstance(default, BaseModel):
        default = default.model_dump(mode="json", by_alias=True, exclude_none=True)
    elif isinstance(default, tuple):
        default = list(default)
    schema["default"] = default


def _type(annotation: Any, *, defaults: bool) -> JsonSchema:
    """Return the schema of a type annotation.

    Raises:
        TypeError: if a structural schema cannot say the type.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if inspect.isclass(annotation) and issubclass(annotation, ApiModel):
        return _object(annotation, defaults=defaults)
    if annotation in _SCALARS:
        return dict(_SCALARS[annotation])
    if origin is Annotated:
        schema = _type(arguments[0], defaults=defaults)
        for mark in arguments[1:]:
            _add_mark(schema, mark)
        return schema
    if origin in (Union, types.UnionType):
        members = [member for member in arguments if member is not type(None)]
        if set(members) == {int, str}:
            return {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
        if len(members) == 1:
            return _type(members[0], defaults=defaults)
    if origin is Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return {"type": "array", "items": _type(arguments[0], defaults=defaults)}
    if origin is Mapping:
        if arguments[1] is JsonValue:
            return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        return {"type": "object", "additionalProperties": _type(arguments[1], defaults=defaults)}
    msg = f"a structural schema cannot say {annotation!r}"
    raise TypeError(msg)


def _add_mark(schema: JsonSchema, mark: Any) -> None:
    if isinstance(mark, Rule):
        _add_rules(schema, (mark,))
    if not isinstance(mark, Schema):
        return
    for attribute, keyword in _KEYWORDS.items():
        value = getattr(mark, attribute)
        if value is not None:
            schema[keyword] = value
    if mark.enum:
        schema["enum"] = list(mark.enum)
    if mark.list_map_keys:
        schema["x-kubernetes-list-map-keys"] = list(mark.list_map_keys)
    if mark.preserve_unknown:
        schema["x-kubernetes-preserve-unknown-fields"] = True


def _add_rules(schema: JsonSchema, rules: tuple[Rule, ...]) -> None:
    for rule in rules:
        validation = {"rule": rule.rule, "message": rule.message}
        if rule.field_path is not None:
            validation["fieldPath"] = rule.field_path
        if rule.reason is not None:
            validation["reason"] = rule.reason
        schema.setdefault("x-kubernetes-validations", []).append(validation)


def _field_docstrings(model: type[ApiModel]) -> dict[str, str]:
    docstrings: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, ApiModel):
            docstrings.update(_module_docstrings(base.__module__).get(base.__qualname__, {}))
    return docstrings


@functools.cache
def _module_docstrings(module: str) -> Mapping[str, Mapping[str, str]]:
    """Return, by class, the strings that stand under the fields of a module's classes.

    Python throws them away, so they are read from the source; an installation of bytecode alone has none.
    """
    try:
        source = inspect.getsource(sys.modules[module])
    except OSError:
        return {}
    classes = [statement for statement in ast.parse(source).body if isinstance(statement, ast.ClassDef)]
    return {one.name: dict(_strings_under_fields(one.body)) for one in classes}


def _strings_under_fields(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    for statement, following in itertools.pairwise(body):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, _prose(text)


def _prose(docstring: str) -> str:
    """Return a docstring with each paragraph on one line."""
    paragraphs = inspect.cleandoc(docstring).split("\n\n")
    return "\n\n".join(" ".join(paragraph.splitlines()) for paragraph in paragraphs)
