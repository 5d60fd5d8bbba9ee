"""Server-side apply: on a real API server fields have owners; a server without it says so."""

from __future__ import annotations

import pytest

from capt.runtime import ApiError, Client, ClusterConfig, FieldConflict, HttpTransport, Kind, Resource
from tests.support.api_servers import REAL
from tests.support.cluster import NAMESPACE, Cluster
from tests.support.scripted import Thing

CONFIG_MAP = Kind(Resource(group="", version="v1", kind="ConfigMap", plural="configmaps"), Thing)


def body(**data: str):
    return {"metadata": {"name": "applied", "namespace": NAMESPACE}, "data": data}


@pytest.mark.envtest
@pytest.mark.skipif(not REAL, reason="needs a server with server-side apply")
async def test_applied_fields_have_one_owner(cluster: Cluster):
    """Fields that are applied no more go, those of others stay, and taking one over needs force."""
    client = cluster.client
    await client.apply(CONFIG_MAP, body(a="1", b="1"), field_manager="one")
    await client.apply(CONFIG_MAP, body(c="1"), field_manager="two")
    applied = await client.apply(CONFIG_MAP, body(a="2"), field_manager="one")
    assert client.content(applied)["data"] == {"a": "2", "c": "1"}
    with pytest.raises(FieldConflict, match=r"data\.c") as caught:
        await client.apply(CONFIG_MAP, body(a="2", c="2"), field_manager="one")
    assert caught.value.details["causes"][0]["field"] == ".data.c"
    applied = await client.apply(CONFIG_MAP, body(a="2", c="2"), field_manager="one", force=True)
    assert client.content(applied)["data"] == {"a": "2", "c": "2"}
    await client.delete(CONFIG_MAP, NAMESPACE, "applied")


@pytest.mark.embedded
@pytest.mark.skipif(REAL, reason="the embedded server does no server-side apply")
async def test_a_server_without_it_refuses(cluster: Cluster):
    """415, not a patch that is taken for another kind of patch."""
    async with HttpTransport(ClusterConfig.from_dict(cluster.api.kubeconfig())) as transport:
        with pytest.raises(ApiError) as caught:
            await Client(transport).apply(CONFIG_MAP, body(a="1"), field_manager="one")
        assert caught.value.status == 415
