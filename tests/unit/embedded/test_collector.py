from __future__ import annotations

import pytest

from tests.support.api_client import (
    CONFIG_MAPS,
    CRDS,
    WIDGETS,
    Client,
    config_map,
    definition,
    has_condition,
    owner,
    widget,
)

CLUSTER_WIDGETS = "/apis/example.com/v1/globals"


@pytest.fixture
async def parent(widgets: Client) -> dict[str, object]:
    """A Widget named parent."""
    created: dict[str, object] = await widgets.create(WIDGETS, widget("parent"))
    return created


async def test_dependents_go_after_their_owner(widgets: Client, parent: dict[str, object]) -> None:
    """Background, the default: the owner goes at once, then its dependents and theirs."""
    child = await widgets.create(
        WIDGETS, widget("child", meta={"ownerReferences": [owner(parent, controller=True)]})
    )
    await widgets.create(CONFIG_MAPS, config_map("grandchild", ownerReferences=[owner(child)]))
    answer = await widgets.delete(f"{WIDGETS}/parent")
    assert answer.body["status"] == "Success"
    await widgets.until_gone(f"{WIDGETS}/child")
    await widgets.until_gone(f"{CONFIG_MAPS}/grandchild")


async def test_foreground_deletion_waits_for_blocking_dependents(
    widgets: Client, parent: dict[str, object]
) -> None:
    """Foreground: the owner stays, marked, until dependents that block its deletion are gone."""
    reference = owner(parent, blockOwnerDeletion=True)
    held = {"ownerReferences": [reference], "finalizers": ["example.com/hold"]}
    await widgets.create(WIDGETS, widget("child", meta=held))
    marked = await widgets.delete(f"{WIDGETS}/parent", {"propagationPolicy": "Foreground"})
    assert marked.body["metadata"]["finalizers"] == ["foregroundDeletion"]
    await widgets.until(f"{WIDGETS}/child", lambda o: "deletionTimestamp" in o["metadata"])
    assert (await widgets.get(f"{WIDGETS}/parent")).code == 200
    await widgets.patch(f"{WIDGETS}/child", {"metadata": {"finalizers": None}})
    await widgets.until_gone(f"{WIDGETS}/parent")


async def test_orphans_lose_the_reference_only(widgets: Client, parent: dict[str, object]) -> None:
    """Orphan: dependents stay and no longer name the owner."""
    await widgets.create(CONFIG_MAPS, config_map("child", ownerReferences=[owner(parent)]))
    await widgets.delete(f"{WIDGETS}/parent", {"propagationPolicy": "Orphan"})
    await widgets.until_gone(f"{WIDGETS}/parent")
    assert "ownerReferences" not in (await widgets.get(f"{CONFIG_MAPS}/child")).body["metadata"]


async def test_a_dependent_with_another_owner_stays(widgets: Client, parent: dict[str, object]) -> None:
    """Only when all owners are gone does a dependent go; the reference to the one that went is dropped."""
    second = await widgets.create(WIDGETS, widget("second"))
    await widgets.create(CONFIG_MAPS, config_map("child", ownerReferences=[owner(parent), owner(second)]))
    await widgets.delete(f"{WIDGETS}/parent")
    child = await widgets.until(f"{CONFIG_MAPS}/child", lambda o: len(o["metadata"]["ownerReferences"]) == 1)
    assert child["metadata"]["ownerReferences"][0]["name"] == "second"


@pytest.mark.parametrize("change", [{"uid": "another-uid"}, {"name": "nobody"}])
async def test_a_dependent_of_nobody_is_collected(
    widgets: Client, parent: dict[str, object], change: dict[str, str]
) -> None:
    """An object whose only owner does not exist, by name and uid, does not live long."""
    await widgets.post(CONFIG_MAPS, config_map("child", ownerReferences=[owner(parent) | change]))
    await widgets.until_gone(f"{CONFIG_MAPS}/child")


async def test_references_that_cannot_be_looked_up_are_left_alone(
    widgets: Client, parent: dict[str, object]
) -> None:
    """A namespaced owner of a cluster-scoped object, and an owner of an unserved kind, collect nothing."""
    await widgets.define(definition("globals", "Global", scope="Cluster"))
    body = widget("g", meta={"ownerReferences": [owner(parent)]}) | {"kind": "Global"}
    await widgets.create(CLUSTER_WIDGETS, body)
    foreign = {"apiVersion": "nowhere.io/v1", "kind": "None", "name": "x", "uid": "x"}
    await widgets.create(CONFIG_MAPS, config_map("child", ownerReferences=[foreign]))
    await widgets.delete(f"{WIDGETS}/parent")
    await widgets.create(CONFIG_MAPS, config_map("later", ownerReferences=[owner(parent)]))
    await widgets.until_gone(f"{CONFIG_MAPS}/later")  # the collector has worked since
    assert (await widgets.get(f"{CLUSTER_WIDGETS}/g")).code == 200
    assert (await widgets.get(f"{CONFIG_MAPS}/child")).code == 200


async def test_a_namespace_takes_its_contents_along(widgets: Client) -> None:
    """Deleting a namespace empties it first, waits for finalizers, lets nothing new in, and then it is gone."""
    await widgets.create("/api/v1/namespaces", {"metadata": {"name": "brief"}})
    base = "/apis/example.com/v1/namespaces/brief/widgets"
    await widgets.create(base, widget("held", meta={"finalizers": ["example.com/hold"]}))
    await widgets.create("/api/v1/namespaces/brief/configmaps", config_map())
    terminating = await widgets.delete("/api/v1/namespaces/brief")
    assert terminating.body["status"]["phase"] == "Terminating"
    await widgets.until_gone("/api/v1/namespaces/brief/configmaps/c")
    refused = await widgets.post(base, widget("new"))
    assert refused.code == 403
    assert refused.body["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    assert refused.message.endswith(
        "unable to create new content in namespace brief because it is being terminated"
    )
    await widgets.patch(f"{base}/held", {"metadata": {"finalizers": None}})
    await widgets.until_gone("/api/v1/namespaces/brief")


async def test_a_definition_takes_its_objects_along(widgets: Client) -> None:
    """Deleting a definition deletes its objects first and lets no new ones in; then the resource is not served."""
    await widgets.create(WIDGETS, widget("held", meta={"finalizers": ["example.com/hold"]}))
    await widgets.delete(f"{CRDS}/widgets.example.com")
    await widgets.until(f"{WIDGETS}/held", lambda o: "deletionTimestamp" in o["metadata"])
    assert (await widgets.post(WIDGETS, widget("new"))).code == 405
    await widgets.patch(f"{WIDGETS}/held", {"metadata": {"finalizers": None}})
    await widgets.until_gone(f"{CRDS}/widgets.example.com")
    assert (await widgets.get(WIDGETS)).code == 404


async def test_taken_names_keep_a_definition_from_being_served(widgets: Client) -> None:
    """A second definition with the same kind is not accepted until the first one is gone."""
    await widgets.create(CRDS, definition("gadgets", "Widget"))
    path = f"{CRDS}/gadgets.example.com"
    refused = await widgets.until(path, lambda o: has_condition(o, "NamesAccepted", "False"))
    assert refused["status"]["acceptedNames"]["plural"] == "gadgets"
    reasons = {c["type"]: (c["reason"], c["message"]) for c in refused["status"]["conditions"]}
    assert reasons["NamesAccepted"] == ("ListKindConflict", '"WidgetList" is already in use')
    assert reasons["Established"] == ("NotAccepted", "not all names are accepted")
    await widgets.delete(f"{CRDS}/widgets.example.com")
    await widgets.until(path, lambda o: has_condition(o, "Established"))
