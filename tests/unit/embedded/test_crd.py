from __future__ import annotations

from typing import Any

import pytest

from tests.support.api_client import CRDS, WIDGET_SCHEMA, WIDGETS, Client, definition, widget

V1BETA1 = "/apis/example.com/v1beta1/namespaces/default/widgets"


async def test_a_definition_is_accepted_and_served(api: Client) -> None:
    """Names are completed; conditions come a moment later; then the resource is in discovery."""
    created = await api.create(CRDS, definition())
    assert created["spec"]["names"]["listKind"] == "WidgetList"
    assert created["spec"]["names"]["singular"] == "widget"
    assert created["spec"]["conversion"] == {"strategy": "None"}
    assert created["status"] == {
        "conditions": None,
        "acceptedNames": {"plural": "", "kind": ""},
        "storedVersions": ["v1"],
    }
    served = await api.until(f"{CRDS}/widgets.example.com", lambda o: o["status"]["conditions"])
    conditions = {c["type"]: (c["status"], c["reason"]) for c in served["status"]["conditions"]}
    assert conditions == {
        "NamesAccepted": ("True", "NoConflicts"),
        "Established": ("True", "InitialNamesAccepted"),
    }
    assert served["status"]["acceptedNames"]["plural"] == "widgets"
    assert (await api.get("/apis/example.com/v1")).code == 200


def change(**rest: Any) -> dict[str, Any]:
    """The test's definition with parts of spec replaced."""
    manifest = definition()
    manifest["spec"] |= rest
    return manifest


def schema(node: dict[str, Any]) -> dict[str, Any]:
    """The test's definition whose spec has this schema."""
    return definition(schema={"openAPIV3Schema": {"type": "object", "properties": {"spec": node}}})


SPEC = "spec.validation.openAPIV3Schema.properties[spec]"  # an only version is looked at as a part of spec


@pytest.mark.parametrize(
    ("manifest", "text"),
    [
        (
            change(group="other.com"),
            'metadata.name: Invalid value: "widgets.example.com": must be spec.names.plural',
        ),
        (
            change(scope="Everywhere"),
            'spec.scope: Unsupported value: "Everywhere": supported values: "Cluster", ',
        ),
        (change(versions=[]), "must have exactly one version marked as storage version"),
        (change(names={"plural": "widgets"}), "spec.names.kind: Required value"),
        (definition(storage=False), "must have exactly one version marked as storage version"),
        (
            definition(schema=None),
            "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required",
        ),
        (change(conversion={"strategy": "Webhook"}), "spec.conversion.strategy: Unsupported value"),
        (
            schema({"properties": {}}),
            f"{SPEC}.type: Required value: must not be empty for specified object fields",
        ),
        (schema({"type": "text"}), f'{SPEC}.type: Unsupported value: "text"'),
        (schema({"type": "array"}), f"{SPEC}.items: Required value: must be specified"),
        (schema({"type": "string", "pattern": "("}), f"{SPEC}.pattern: Invalid value"),
        (schema({"type": "object", "$ref": "x"}), f"{SPEC}.$ref: Forbidden: $ref is not supported"),
        (
            schema(
                {
                    "type": "object",
                    "properties": {"a": {"type": "string"}},
                    "additionalProperties": {"type": "string"},
                }
            ),
            "additionalProperties and properties are mutual exclusive",
        ),
        (
            schema({"type": "string", "anyOf": [{"default": "x"}]}),
            f"{SPEC}.anyOf[0].default: Forbidden: must be undefined to be structural",
        ),
        (
            schema({"type": "integer", "default": "x"}),
            f'{SPEC}.default: Invalid value: "string":  in body must be of type integer: "string"',
        ),
        (
            schema({"type": "object", "x-kubernetes-validations": [{"rule": "self.("}]}),
            f"{SPEC}.x-kubernetes-validations[0].rule: Invalid value",
        ),
        (
            definition(additionalPrinterColumns=[{"name": "x", "type": "text", "jsonPath": ".a"}]),
            'spec.additionalPrinterColumns[0].type: Invalid value: "text": must be one of boolean,date,',
        ),
        (
            definition(additionalPrinterColumns=[{"name": "x", "type": "string", "jsonPath": "a b"}]),
            'JSONPath: Invalid value: "a b": must be a simple json path starting with .',
        ),
        (
            definition(subresources={"scale": {"specReplicasPath": ".a[0]", "statusReplicasPath": ".b"}}),
            'scale.specReplicasPath: Invalid value: ".a[0]": should be a json path under .spec',
        ),
    ],
)
async def test_definitions_that_make_no_sense_are_refused(
    api: Client, manifest: dict[str, Any], text: str
) -> None:
    """A definition that is not structural, or contradicts itself, is 422 and names the place."""
    answer = await api.post(CRDS, manifest)
    assert answer.code == 422
    assert text in answer.message


async def test_names_and_scope_of_a_served_definition_stay(widgets: Client) -> None:
    """What clients rely on does not change under them."""
    for patch in ({"scope": "Cluster"}, {"names": {"kind": "Other"}}):
        answer = await widgets.patch(f"{CRDS}/widgets.example.com", {"spec": patch})
        assert answer.code == 422
        assert "field is immutable" in answer.message


async def test_versions_convert_by_name_alone(api: Client) -> None:
    """An object stored at one version is served at the others, pruned for them; their defaults are for requests."""
    manifest = definition()
    spec = {
        "type": "object",
        "properties": {"color": {"type": "string"}, "era": {"type": "string", "default": "old"}},
    }
    old_schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    old = {"name": "v1beta1", "served": True, "storage": False, "deprecated": True, "schema": old_schema}
    manifest["spec"]["versions"].append(old)
    await api.define(manifest)
    await api.create(WIDGETS, widget(replicas=3))
    seen = await api.get(f"{V1BETA1}/w")
    assert (seen.body["apiVersion"], seen.body["spec"]) == (
        "example.com/v1beta1",
        {"color": "red"},
    )
    assert seen.warnings == ["example.com/v1beta1 Widget is deprecated; use example.com/v1 Widget"]
    assert (await api.get(V1BETA1)).body["items"][0]["apiVersion"] == "example.com/v1beta1"
    old_body = widget("old") | {"apiVersion": "example.com/v1beta1"}
    assert (await api.create(V1BETA1, old_body))["spec"] == {"color": "red"}
    assert (await api.get(f"{WIDGETS}/old")).body["spec"] == {"color": "red", "replicas": 1}
    stream = await api.watch(V1BETA1, fieldSelector="metadata.name=w")
    assert (await stream.next())["object"]["spec"] == {"color": "red"}
    versions = (await api.get("/apis/example.com")).body["versions"]
    assert [version["version"] for version in versions] == ["v1", "v1beta1"]


async def test_a_schema_changes_while_it_is_served(widgets: Client) -> None:
    """A new default reaches stored objects when they are read; a stricter rule leaves them writable where it is kept."""
    await widgets.create(WIDGETS, widget(replicas=5))
    spec = WIDGET_SCHEMA["properties"]["spec"]
    changed = spec["properties"] | {
        "replicas": {"type": "integer", "maximum": 3},
        "mood": {"type": "string", "default": "calm"},
    }
    new = WIDGET_SCHEMA | {
        "properties": WIDGET_SCHEMA["properties"] | {"spec": spec | {"properties": changed}}
    }
    version = definition(schema={"openAPIV3Schema": new})["spec"]["versions"]
    await widgets.patch(f"{CRDS}/widgets.example.com", {"spec": {"versions": version}})
    assert (await widgets.get(f"{WIDGETS}/w")).body["spec"]["mood"] == "calm"
    kept = await widgets.patch(f"{WIDGETS}/w", {"spec": {"color": "blue"}})
    assert (kept.code, kept.body["spec"]["replicas"]) == (200, 5)
    broken = await widgets.patch(f"{WIDGETS}/w", {"spec": {"replicas": 4}})
    assert "spec.replicas in body should be less than or equal to 3" in broken.message


async def test_selectable_fields(api: Client) -> None:
    """Fields that a version declares selectable can be used in field selectors."""
    await api.define(definition(selectableFields=[{"jsonPath": ".spec.color"}]))
    for color in ("red", "blue"):
        await api.create(WIDGETS, widget(color, color=color))
    listed = (await api.get(WIDGETS, fieldSelector="spec.color=blue")).body
    assert [item["metadata"]["name"] for item in listed["items"]] == ["blue"]


async def test_errors_reach_the_client_in_the_servers_words(widgets: Client) -> None:
    """A refused object comes with one cause per field, as kubectl prints them."""
    answer = await widgets.post(WIDGETS, widget(color="green", replicas="many"))
    assert (answer.code, answer.body["reason"]) == (422, "Invalid")
    assert answer.message.startswith('Widget.example.com "w" is invalid: [')
    details = answer.body["details"]
    assert (details["name"], details["group"], details["kind"]) == ("w", "example.com", "Widget")
    causes = {cause["field"]: (cause["reason"], cause["message"]) for cause in details["causes"]}
    assert causes["spec.color"] == (
        "FieldValueNotSupported",
        'Unsupported value: "green": supported values: "red", "blue"',
    )
    assert causes["spec.replicas"] == (
        "FieldValueTypeInvalid",
        'Invalid value: "string": spec.replicas in body must be of type integer: "string"',
    )


async def test_rules_reach_the_client(widgets: Client) -> None:
    """A CEL rule that does not hold answers with its message at its field."""
    answer = await widgets.post(WIDGETS, widget(replicas=11))
    assert answer.message == 'Widget.example.com "w" is invalid: spec: Invalid value: at most ten'


async def test_scale(widgets: Client) -> None:
    """The scale subresource reads and writes the replicas where the definition says they are."""
    await widgets.create(WIDGETS, widget(replicas=2))
    await widgets.patch(f"{WIDGETS}/w/status", {"status": {"replicas": 1, "selector": "app=w"}})
    scale = (await widgets.get(f"{WIDGETS}/w/scale")).body
    assert (scale["kind"], scale["apiVersion"], scale["spec"]) == ("Scale", "autoscaling/v1", {"replicas": 2})
    assert scale["status"] == {"replicas": 1, "selector": "app=w"}
    patched = await widgets.patch(f"{WIDGETS}/w/scale", {"spec": {"replicas": 4}})
    assert (patched.code, patched.body["spec"]) == (200, {"replicas": 4})
    read = (await widgets.get(f"{WIDGETS}/w")).body
    assert (read["spec"]["replicas"], read["metadata"]["generation"]) == (4, 2)
    stale = await widgets.put(f"{WIDGETS}/w/scale", scale)
    assert stale.code == 409
    text = await widgets.post(WIDGETS, widget("text", replicas="two"))
    assert (
        ".spec.replicas: Invalid value: 0: .spec.replicas accessor error: two is of the type string, expected int64"
        in text.message
    )
    negative = await widgets.patch(f"{WIDGETS}/w/scale", {"spec": {"replicas": -1}})
    assert ".spec.replicas: Invalid value: -1: should be a non-negative integer" in negative.message
