from __future__ import annotations

import asyncio

import pytest

from tests.support.api_client import CONFIG_MAPS, WIDGETS, Client, config_map, widget


def names(body: dict[str, list[dict[str, dict[str, str]]]]) -> list[str]:
    return [item["metadata"]["name"] for item in body["items"]]


@pytest.fixture
async def five(api: Client) -> Client:
    """A client of a server with the config maps c0 to c4, the even ones labelled."""
    for index in range(5):
        labels = {"parity": "even"} if index % 2 == 0 else {"parity": "odd", "extra": "x"}
        await api.create(CONFIG_MAPS, config_map(f"c{index}", labels=labels))
    return api


async def test_pages_show_one_moment(five: Client) -> None:
    """limit and continue walk through the state of the first page, whatever is written meanwhile."""
    first = await five.get(CONFIG_MAPS, limit="2")
    meta = first.body["metadata"]
    assert (names(first.body), meta["remainingItemCount"]) == (["c0", "c1"], 3)
    await five.delete(f"{CONFIG_MAPS}/c3")
    await five.create(CONFIG_MAPS, config_map("c2a"))
    await five.patch(f"{CONFIG_MAPS}/c4", {"data": {"late": "yes"}})
    second = await five.get(CONFIG_MAPS, limit="2", **{"continue": meta["continue"]})
    third = await five.get(CONFIG_MAPS, limit="2", **{"continue": second.body["metadata"]["continue"]})
    assert (names(second.body), names(third.body)) == (["c2", "c3"], ["c4"])
    assert "late" not in third.body["items"][0]["data"]
    assert first.rv == second.rv == third.rv
    assert "continue" not in third.body["metadata"]


async def test_an_old_continue_token_is_expired(five: Client) -> None:
    """When the first page's moment is forgotten the answer is 410 with a token that goes on without it."""
    token = (await five.get(CONFIG_MAPS, limit="2")).body["metadata"]["continue"]
    for index in range(51):
        await five.patch(f"{CONFIG_MAPS}/c0", {"data": {"n": str(index)}})
    refused = await five.get(CONFIG_MAPS, limit="2", **{"continue": token})
    assert (refused.code, refused.body["reason"]) == (410, "Expired")
    assert refused.message.startswith("The provided continue parameter is too old")
    onward = refused.body["metadata"]["continue"]
    assert names((await five.get(CONFIG_MAPS, **{"continue": onward})).body) == ["c2", "c3", "c4"]


async def test_a_broken_token_is_a_bad_request(five: Client) -> None:
    """A continue token that the server never gave is 400."""
    assert (await five.get(CONFIG_MAPS, **{"continue": "nonsense"})).code == 400


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("parity=even", ["c0", "c2", "c4"]),
        ("parity!=even", ["c1", "c3"]),
        ("parity in (odd, none)", ["c1", "c3"]),
        ("parity notin (odd),parity", ["c0", "c2", "c4"]),
        ("extra", ["c1", "c3"]),
        ("!extra,parity==even", ["c0", "c2", "c4"]),
    ],
)
async def test_label_selectors(five: Client, selector: str, expected: list[str]) -> None:
    """Equality and set based requirements select as kubectl users know it."""
    assert names((await five.get(CONFIG_MAPS, labelSelector=selector)).body) == expected


async def test_field_selectors(five: Client) -> None:
    """Names can be selected everywhere, other fields where the kind offers them; an unknown one is 400."""
    assert names((await five.get(CONFIG_MAPS, fieldSelector="metadata.name=c1")).body) == ["c1"]
    excluded = await five.get(
        "/api/v1/configmaps", fieldSelector="metadata.name!=c1,metadata.namespace=default"
    )
    assert names(excluded.body) == ["c0", "c2", "c3", "c4"]
    unknown = await five.get(CONFIG_MAPS, fieldSelector="data.a=b")
    assert (unknown.code, unknown.message) == (
        400,
        '"data.a" is not a known field selector: only "metadata.name", "metadata.namespace"',
    )


async def test_resource_version_match(five: Client) -> None:
    """Exact lists the state of that version, NotOlderThan the present one, the future is 504."""
    then = (await five.get(CONFIG_MAPS)).rv
    await five.delete(f"{CONFIG_MAPS}/c0")
    exact = await five.get(CONFIG_MAPS, resourceVersion=then, resourceVersionMatch="Exact")
    assert (names(exact.body), exact.rv) == (["c0", "c1", "c2", "c3", "c4"], then)
    newer = await five.get(CONFIG_MAPS, resourceVersion=then, resourceVersionMatch="NotOlderThan")
    assert names(newer.body) == ["c1", "c2", "c3", "c4"]
    future = await five.get(CONFIG_MAPS, resourceVersion="99999")
    assert (future.code, future.body["reason"]) == (504, "Timeout")
    assert future.message.startswith("Timeout: Too large resource version: 99999, current: ")


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (
            {"resourceVersionMatch": "Exact"},
            "resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        ({"resourceVersionMatch": "Exact", "resourceVersion": "0"}, 'is forbidden for resourceVersion "0"'),
        (
            {"resourceVersionMatch": "Older", "resourceVersion": "1"},
            'supported values: "Exact", "NotOlderThan"',
        ),
        ({"sendInitialEvents": "true"}, "sendInitialEvents is forbidden for list"),
        (
            {"watch": "1", "resourceVersionMatch": "Exact", "resourceVersion": "1"},
            "is forbidden for watch unless",
        ),
        ({"watch": "1", "sendInitialEvents": "1"}, "requires setting resourceVersionMatch to NotOlderThan"),
        (
            {"resourceVersion": "new"},
            'Invalid value: "new": strconv.ParseUint: parsing "new": invalid syntax',
        ),
        ({"limit": "few"}, 'strconv.ParseInt: parsing "few": invalid syntax'),
        ({"labelSelector": "a=b=c"}, "found '=', expected: ',' or 'end of string'"),
        ({"labelSelector": "-a=b"}, "unable to parse requirement"),
        ({"fieldSelector": "metadata.name"}, "can't understand 'metadata.name'"),
    ],
)
async def test_meaningless_options_are_refused(api: Client, query: dict[str, str], text: str) -> None:
    """Options that contradict each other or cannot be read are 400 or 422, with the reason."""
    answer = await api.get(CONFIG_MAPS, **query)
    assert answer.code in (400, 422)
    assert text in answer.message


async def test_items_of_custom_resources_name_their_kind(widgets: Client) -> None:
    """A list of custom resources repeats kind and version in its items; one of a built-in kind does not."""
    await widgets.create(WIDGETS, widget())
    await widgets.create(CONFIG_MAPS, config_map())
    custom, built_in = (await widgets.get(WIDGETS)).body, (await widgets.get(CONFIG_MAPS)).body
    assert (custom["kind"], custom["items"][0]["kind"]) == ("WidgetList", "Widget")
    assert (built_in["kind"], "kind" in built_in["items"][0]) == ("ConfigMapList", False)


async def test_metadata_only(widgets: Client) -> None:
    """Clients that ask for PartialObjectMetadata get no spec."""
    await widgets.create(WIDGETS, widget())
    accept = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
    listed = (await widgets.send("GET", WIDGETS, headers=accept)).body
    assert listed["kind"] == "PartialObjectMetadataList"
    assert set(listed["items"][0]) == {"kind", "apiVersion", "metadata"}
    one = {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}
    assert (await widgets.send("GET", f"{WIDGETS}/w", headers=one)).body["kind"] == "PartialObjectMetadata"


async def test_deleting_a_collection(five: Client) -> None:
    """deletecollection deletes what the selector holds and answers the list of it."""
    answer = await five.delete(CONFIG_MAPS, labelSelector="parity=even")
    assert names(answer.body) == ["c0", "c2", "c4"]
    assert names((await five.get(CONFIG_MAPS)).body) == ["c1", "c3"]


async def test_a_long_list_does_not_hold_up_others(api: Client) -> None:
    """While a list of 30 MB is on its way, other requests are answered."""
    big = "x" * 100_000
    for index in range(300):
        await api.create(CONFIG_MAPS, config_map(f"c{index:03}") | {"data": {"big": big}})
    listing = asyncio.create_task(api.get(CONFIG_MAPS))
    answered = 0
    while not listing.done():
        assert (await api.get("/version")).code == 200
        answered += 1
    assert len((await listing).body["items"]) == 300
    assert answered > 5
