"""From a definition to what is served: one ``Resource`` per served version.

The built-in kinds are described in the same form, so a definition here may be one of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from capt.embedded.resource import Column, Resource, Scale, version_rank
from capt.embedded.scaling import scale_errors
from capt.embedded.schema import Schema
from capt.embedded.tables import column, json_path

Cells = Mapping[str, Callable[[dict[str, Any]], Any]]
_NAME = {"name": "Name", "type": "string", "format": "name", "jsonPath": ".metadata.name", "description": " "}
_AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


def complete_names(names: dict[str, Any]) -> dict[str, Any]:
    """Fill in, in place, the names that follow from the kind."""
    if kind := names.get("kind"):
        names.setdefault("singular", kind.lower())
        names.setdefault("listKind", f"{kind}List")
    return names


def custom_resources(definition: dict[str, Any]) -> list[Resource]:
    """The resources of an established CustomResourceDefinition."""
    spec, found = definition["spec"], []
    schemas = {v["name"]: Schema(v["schema"]["openAPIV3Schema"], root=True) for v in spec["versions"]}
    storage = next(version["name"] for version in spec["versions"] if version["storage"])
    for version in spec["versions"]:
        scale = _scale((version.get("subresources") or {}).get("scale") or {})
        printed = version.get("additionalPrinterColumns") or [_AGE]
        found.append(
            resource(
                spec,
                version,
                schemas[version["name"]],
                columns=[column(each) for each in (_NAME, *printed)],
                storage_version=storage,
                storage_schema=schemas[storage],
                scale=scale,
                custom=True,
                generation=True,
                unconditional_update=False,
                deprecation=_deprecation(spec, version),
                validate=lambda new, _old, scale=scale: scale_errors(scale, new) if scale else (),
                closing="deletionTimestamp" in definition["metadata"],
            )
        )
    return [each for each, version in zip(found, spec["versions"], strict=True) if version["served"]]


def builtin_resource(spec: dict[str, Any], cells: Cells, **rest: Any) -> Resource:
    """The resource of a built-in kind; ``cells`` computes what its columns cannot say by a path."""
    version = {"name": "v1", **spec["versions"][0]}
    schema = Schema(version["schema"]["openAPIV3Schema"], root=True)
    printed = version["additionalPrinterColumns"]
    columns = [column(each, cells.get(each["name"]) or _text_at(each["jsonPath"])) for each in printed]
    spec["names"] = complete_names(spec["names"])
    stored: dict[str, Any] = {"storage_version": "v1", "storage_schema": schema}
    return resource(spec, version, schema, columns=columns, **stored, **rest)


def resource(
    spec: dict[str, Any], version: dict[str, Any], schema: Schema, *, columns: list[Column], **rest: Any
) -> Resource:
    """What both kinds of definitions say in the same way."""
    names = spec["names"]
    selectable = [field["jsonPath"] for field in version.get("selectableFields") or []]
    fields = {path.lstrip("."): _text_at(path) for path in selectable} | rest.pop("fields", {})
    return Resource(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"],
        singular=names["singular"],
        kind=names["kind"],
        list_kind=names["listKind"],
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        schema=schema,
        columns=columns,
        status="status" in (version.get("subresources") or {}),
        fields=fields,
        **rest,
    )


def _text_at(path: str) -> Callable[[dict[str, Any]], str]:
    find = json_path(path)
    return lambda content: str((find(content) or [""])[0])


def _deprecation(spec: dict[str, Any], version: dict[str, Any]) -> str:
    if not version.get("deprecated"):
        return ""
    group, kind, rank = spec["group"], spec["names"]["kind"], version_rank(version["name"])
    current = [v["name"] for v in spec["versions"] if v["served"] and not v.get("deprecated")]
    newer = min((v for v in current if version_rank(v) < rank), key=version_rank, default="")
    advice = f"; use {group}/{newer} {kind}" if newer else ""
    return version.get("deprecationWarning") or f"{group}/{version['name']} {kind} is deprecated{advice}"


def _scale(source: Mapping[str, str]) -> Scale | None:
    def split(name: str) -> tuple[str, ...]:
        return tuple(part for part in source.get(name, "").split(".") if part)

    paths = (split(name) for name in ("specReplicasPath", "statusReplicasPath", "labelSelectorPath"))
    return Scale(*paths) if source else None
