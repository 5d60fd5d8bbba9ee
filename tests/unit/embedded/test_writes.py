from __future__ import annotations

import re

import pytest

from tests.support.api_client import (
    CONFIG_MAPS,
    JSON_PATCH,
    STRATEGIC,
    WIDGETS,
    Client,
    config_map,
    widget,
)


async def test_create_fills_in_what_the_server_owns(widgets: Client) -> None:
    """A new object gets uid, time, generation 1, defaults; what it claims of these itself, and its status, is not taken."""
    claims = {"uid": "mine", "generation": 7, "deletionTimestamp": "2020-01-01T00:00:00Z", "labels": {}}
    created = await widgets.create(WIDGETS, widget(meta=claims) | {"status": {"x": 1}})
    meta = created["metadata"]
    assert re.fullmatch(r"[0-9a-f-]{36}", meta["uid"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", meta["creationTimestamp"])
    assert (meta["generation"], meta["namespace"]) == (1, "default")
    assert created["spec"] == {"color": "red", "replicas": 1}
    assert "status" not in created
    assert "deletionTimestamp" not in meta
    assert "labels" not in meta
    assert (await widgets.get(f"{WIDGETS}/w")).body == created


async def test_a_taken_name_is_a_conflict(widgets: Client) -> None:
    """Creating an object twice answers 409 AlreadyExists in the API's words."""
    await widgets.create(WIDGETS, widget())
    again = await widgets.post(WIDGETS, widget())
    assert (again.code, again.body["reason"]) == (409, "AlreadyExists")
    assert again.message == 'widgets.example.com "w" already exists'
    assert again.body["details"] == {"name": "w", "group": "example.com", "kind": "widgets"}


async def test_generate_name_adds_five_characters(widgets: Client) -> None:
    """With generateName every creation gets a name of its own."""
    body = widget()
    body["metadata"] = {"generateName": "w-"}
    names = {(await widgets.create(WIDGETS, body))["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(re.fullmatch(r"w-[a-z0-9]{5}", name) for name in names)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "metadata.name: Required value: name or generateName is required"),
        ("Up", 'metadata.name: Invalid value: "Up": a lowercase RFC 1123 subdomain must consist of'),
    ],
)
async def test_bad_names_are_refused(widgets: Client, name: str, text: str) -> None:
    """A missing or malformed name answers 422 and says what a name looks like."""
    answer = await widgets.post(WIDGETS, widget(name))
    assert answer.code == 422
    assert text in answer.message


async def test_namespaces_must_exist_and_agree(api: Client) -> None:
    """Creating in a missing namespace is 404; a body of another namespace than the path's is 400."""
    missing = await api.post("/api/v1/namespaces/nowhere/configmaps", config_map())
    assert (missing.code, missing.message) == (404, 'namespaces "nowhere" not found')
    other = await api.post(CONFIG_MAPS, config_map(namespace="kube-system"))
    assert other.code == 400
    assert other.message.startswith("the namespace of the provided object does not match")


async def test_a_resource_version_may_not_be_set_on_creation(api: Client) -> None:
    """An object that carries a resourceVersion is no new object."""
    answer = await api.post(CONFIG_MAPS, config_map(resourceVersion="1"))
    assert answer.message == "resourceVersion should not be set on objects to be created"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"kind": "Gadget"}, 'kind: Invalid value: "Gadget": must be Widget'),
        ({"apiVersion": "example.com/v2"}, "does not match the expected API version (example.com/v1)"),
        ({"kind": ""}, "Object 'Kind' is missing"),
        ({"metadata": []}, "json: cannot unmarshal array into Go value of type v1.ObjectMeta"),
    ],
)
async def test_the_body_must_be_of_the_kind_served(
    widgets: Client, change: dict[str, object], text: str
) -> None:
    """A body of another kind is 422; of another version, or without metadata worth the name, 400."""
    answer = await widgets.post(WIDGETS, widget() | change)
    assert answer.code == (422 if change.get("kind") else 400)
    assert text in answer.message


async def test_replacing_needs_the_version_that_was_read(widgets: Client) -> None:
    """PUT of a custom resource with no resourceVersion is 422, with an old one 409 in the API's words."""
    created = await widgets.create(WIDGETS, widget())
    updated = await widgets.put(f"{WIDGETS}/w", created | {"spec": {"color": "blue"}})
    assert updated.code == 200
    assert updated.body["spec"] == {"color": "blue", "replicas": 1}
    stale = await widgets.put(f"{WIDGETS}/w", created)
    assert (stale.code, stale.body["reason"]) == (409, "Conflict")
    assert stale.message == (
        'Operation cannot be fulfilled on widgets.example.com "w": the object has been modified; please apply your '
        "changes to the latest version and try again"
    )
    without = await widgets.put(f"{WIDGETS}/w", widget())
    assert without.code == 422
    assert "metadata.resourceVersion: Invalid value: 0: must be specified for an update" in without.message


async def test_built_in_kinds_may_be_replaced_unseen(api: Client) -> None:
    """PUT of a ConfigMap needs no resourceVersion, as with the real one."""
    await api.create(CONFIG_MAPS, config_map())
    answer = await api.put(f"{CONFIG_MAPS}/c", config_map() | {"data": {"x": "y"}})
    assert (answer.code, answer.body["data"]) == (200, {"x": "y"})


async def test_replacing_checks_name_and_uid(widgets: Client) -> None:
    """PUT under another name is 400; with another uid it is a conflict with an object that is gone."""
    created = await widgets.create(WIDGETS, widget())
    renamed = await widgets.put(f"{WIDGETS}/w", created | {"metadata": created["metadata"] | {"name": "v"}})
    assert renamed.code == 400
    assert renamed.message == "the name of the object (v) does not match the name on the URL (w)"
    recreated = await widgets.put(
        f"{WIDGETS}/w", created | {"metadata": created["metadata"] | {"uid": "other"}}
    )
    assert recreated.code == 409
    assert "Precondition failed: UID in precondition: other" in recreated.message


async def test_generation_counts_changes_of_the_desired_state(widgets: Client) -> None:
    """Spec changes count; labels and status do not; claims about the generation are not taken."""
    await widgets.create(WIDGETS, widget())
    generations = [
        (await widgets.patch(f"{WIDGETS}/w{path}", patch)).body["metadata"]["generation"]
        for path, patch in (
            ("", {"spec": {"color": "blue"}}),
            ("", {"metadata": {"labels": {"a": "b"}, "generation": 9}}),
            ("/status", {"status": {"ready": True}}),
            ("", {"spec": {"replicas": 3}}),
        )
    ]
    assert generations == [2, 2, 2, 3]


async def test_a_write_without_a_difference_is_no_write(widgets: Client) -> None:
    """A patch that changes nothing answers 200 and leaves the resourceVersion alone."""
    created = await widgets.create(WIDGETS, widget())
    answer = await widgets.patch(f"{WIDGETS}/w", {"spec": {"color": "red"}})
    assert (answer.code, answer.body) == (200, created)


async def test_status_and_spec_do_not_mix(widgets: Client) -> None:
    """A write to the status changes nothing else, metadata included; a write to the object leaves the status alone."""
    await widgets.create(WIDGETS, widget())
    patch = {"status": {"ready": True}, "spec": {"color": "blue"}, "metadata": {"labels": {"a": "b"}}}
    status = (await widgets.patch(f"{WIDGETS}/w/status", patch)).body
    assert (status["spec"]["color"], status["status"]) == ("red", {"ready": True})
    assert "labels" not in status["metadata"]
    spec = (await widgets.patch(f"{WIDGETS}/w", patch | {"status": {"ready": False}})).body
    assert (spec["spec"]["color"], spec["status"]) == ("blue", {"ready": True})


async def test_preconditions_in_a_patch(widgets: Client) -> None:
    """A patch that names an old resourceVersion is a conflict; one that names another uid is refused."""
    created = await widgets.create(WIDGETS, widget())
    await widgets.patch(f"{WIDGETS}/w", {"spec": {"color": "blue"}})
    meta = created["metadata"]
    stale = await widgets.patch(f"{WIDGETS}/w", {"metadata": {"resourceVersion": meta["resourceVersion"]}})
    assert stale.code == 409
    other = await widgets.patch(f"{WIDGETS}/w", {"metadata": {"uid": "other"}, "spec": {"color": "red"}})
    assert other.code == 422
    assert 'metadata.uid: Invalid value: "other": field is immutable' in other.message


async def test_finalizers_hold_an_object(widgets: Client) -> None:
    """Deletion waits for finalizers; none can be added then; the last one's removal removes the object."""
    await widgets.create(WIDGETS, widget(meta={"finalizers": ["example.com/hold"]}))
    deleted = await widgets.delete(f"{WIDGETS}/w")
    meta = deleted.body["metadata"]
    assert (deleted.code, meta["generation"], meta["deletionGracePeriodSeconds"]) == (200, 2, 0)
    assert "deletionTimestamp" in meta
    again = await widgets.delete(f"{WIDGETS}/w")
    assert again.body == deleted.body
    added = await widgets.patch(
        f"{WIDGETS}/w", {"metadata": {"finalizers": ["example.com/hold", "example.com/new"]}}
    )
    assert added.code == 422
    assert (
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new "
        'finalizers []string{"example.com/new"}'
    ) in added.message
    last = await widgets.patch(f"{WIDGETS}/w", {"metadata": {"finalizers": None}})
    assert last.code == 200
    assert (await widgets.get(f"{WIDGETS}/w")).code == 404


async def test_deletion_answers_with_what_is_gone(widgets: Client) -> None:
    """Deleting at once answers a Status with the object's uid; deleting nothing is 404."""
    created = await widgets.create(WIDGETS, widget())
    answer = await widgets.delete(f"{WIDGETS}/w")
    details = {"name": "w", "group": "example.com", "kind": "widgets", "uid": created["metadata"]["uid"]}
    assert (answer.code, answer.body["status"], answer.body["details"]) == (200, "Success", details)
    gone = await widgets.delete(f"{WIDGETS}/w")
    assert (gone.code, gone.message) == (404, 'widgets.example.com "w" not found')


@pytest.mark.parametrize(("field", "words"), [("uid", "UID"), ("resourceVersion", "ResourceVersion")])
async def test_deletion_preconditions(widgets: Client, field: str, words: str) -> None:
    """A deletion meant for another uid or resourceVersion is a conflict and deletes nothing."""
    created = await widgets.create(WIDGETS, widget())
    refused = await widgets.delete(f"{WIDGETS}/w", {"preconditions": {field: "1"}})
    assert refused.code == 409
    assert f"the {words} in the precondition (1) does not match the {words} in record" in refused.message
    actual = created["metadata"][field]
    assert (await widgets.delete(f"{WIDGETS}/w", {"preconditions": {field: actual}})).code == 200


async def test_unknown_fields_are_pruned_and_told(widgets: Client) -> None:
    """Unknown fields go; Warn (the default) tells, Ignore does not, Strict refuses."""
    body = widget(zoo=1)
    body["metadata"]["zig"] = 1
    told = await widgets.post(WIDGETS, body)
    assert told.code == 201
    assert "zoo" not in told.body["spec"]
    assert set(told.warnings) == {'unknown field "metadata.zig"', 'unknown field "spec.zoo"'}
    quiet = await widgets.post(WIDGETS, widget("v", zoo=1), fieldValidation="Ignore")
    assert (quiet.code, quiet.warnings) == (201, [])
    strict = await widgets.post(WIDGETS, widget("u", zoo=1), fieldValidation="Strict")
    assert strict.code == 400
    assert strict.message.endswith('strict decoding error: unknown field "spec.zoo"')
    patched = await widgets.patch(f"{WIDGETS}/v", {"spec": {"zoo": 1}}, fieldValidation="Strict")
    assert patched.code == 422
    assert patched.message.endswith('strict decoding error: unknown field "spec.zoo"')
    unknown = await widgets.post(WIDGETS, widget("t"), fieldValidation="Maybe")
    assert (unknown.code, unknown.body["reason"]) == (422, "Invalid")


async def test_fields_given_twice_are_told(api: Client) -> None:
    """The last of two equal fields counts; Warn tells, Strict refuses."""
    raw = b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c"},"data":{"a":"1","a":"2"}}'
    strict = await api.send("POST", CONFIG_MAPS, raw=raw, fieldValidation="Strict")
    assert strict.code == 400
    assert strict.message.endswith('strict decoding error: duplicate field "data.a"')
    told = await api.send("POST", CONFIG_MAPS, raw=raw)
    assert (told.body["data"], told.warnings) == ({"a": "2"}, ['duplicate field "data.a"'])


async def test_a_dry_run_stores_nothing(widgets: Client) -> None:
    """With dryRun=All create, patch and delete answer as they would, and everything stays as it was."""
    created = await widgets.post(WIDGETS, widget(), dryRun="All")
    assert (created.code, created.body["spec"]["replicas"]) == (201, 1)
    assert (await widgets.get(f"{WIDGETS}/w")).code == 404
    real = await widgets.create(WIDGETS, widget())
    patched = await widgets.patch(f"{WIDGETS}/w", {"spec": {"color": "blue"}}, dryRun="All")
    assert (patched.body["spec"]["color"], patched.body["metadata"]["generation"]) == ("blue", 2)
    assert (await widgets.delete(f"{WIDGETS}/w", {"dryRun": ["All"]})).code == 200
    assert (await widgets.get(f"{WIDGETS}/w")).body == real
    assert (await widgets.post(WIDGETS, widget("v"), dryRun="Some")).code == 422


async def test_json_patch(widgets: Client) -> None:
    """JSON patches apply in order; a failed test or a missing path is 422 and changes nothing."""
    await widgets.create(WIDGETS, widget())
    operations = [
        {"op": "test", "path": "/spec/color", "value": "red"},
        {"op": "replace", "path": "/spec/color", "value": "blue"},
        {"op": "add", "path": "/metadata/labels", "value": {"a/b": "c"}},
        {"op": "add", "path": "/metadata/labels/a~1d", "value": "e"},
    ]
    answer = await widgets.patch(f"{WIDGETS}/w", operations, JSON_PATCH)
    assert answer.body["metadata"]["labels"] == {"a/b": "c", "a/d": "e"}
    for bad in (
        {"op": "test", "path": "/spec/color", "value": "red"},
        {"op": "remove", "path": "/spec/none"},
    ):
        refused = await widgets.patch(f"{WIDGETS}/w", [bad], JSON_PATCH)
        assert (refused.code, refused.body["reason"]) == (422, "Invalid")
    assert (await widgets.get(f"{WIDGETS}/w")).rv == answer.rv


async def test_strategic_patches_are_for_built_in_kinds(widgets: Client) -> None:
    """A ConfigMap takes a strategic merge patch; for a custom resource that media type is 415, as is server-side apply."""
    await widgets.create(CONFIG_MAPS, config_map())
    merged = await widgets.patch(f"{CONFIG_MAPS}/c", {"data": {"a": None, "x": "y"}}, STRATEGIC)
    assert merged.body["data"] == {"x": "y"}
    await widgets.create(WIDGETS, widget())
    refused = await widgets.patch(f"{WIDGETS}/w", {}, STRATEGIC)
    assert (refused.code, refused.body["reason"]) == (415, "UnsupportedMediaType")
    assert "application/json-patch+json, application/merge-patch+json" in refused.message
    apply = await widgets.patch(f"{WIDGETS}/w", {}, "application/apply-patch+yaml")
    assert apply.code == 415
    assert "server-side apply is not served" in apply.message


async def test_patching_nothing_is_not_found(widgets: Client) -> None:
    """A patch never creates."""
    answer = await widgets.patch(f"{WIDGETS}/w", {"spec": {"color": "red"}})
    assert (answer.code, answer.message) == (404, 'widgets.example.com "w" not found')
