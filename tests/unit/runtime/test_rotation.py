"""Credentials that are replaced on disk are used without a restart."""

import asyncio
import json
import ssl
from contextlib import aclosing

import pytest
import trustme
from aiohttp import web

from capt.runtime import ClusterConfig, ConnectionFailed, HttpTransport, transport
from tests.support.serving import listening


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Look at the files before each request."""
    monkeypatch.setattr(transport, "RECHECK_SECONDS", 0.0)


def kubeconfig(folder, url):
    return {
        "clusters": [{"name": "c", "cluster": {"server": url, "certificate-authority": str(folder / "ca")}}],
        "users": [
            {
                "name": "u",
                "user": {"client-certificate": str(folder / "cert"), "client-key": str(folder / "key")},
            }
        ],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }


def issue(folder, authority, name):
    """Put a client certificate in the place of the one that is there."""
    certificate = authority.issue_cert(name, common_name=name)
    certificate.cert_chain_pems[0].write_to_path(str(folder / "cert"))
    certificate.private_key_pem.write_to_path(str(folder / "key"))


async def who(request):
    """Answer with the name in the client's certificate."""
    subject = request.transport.get_extra_info("peercert")["subject"]
    return web.Response(text=dict(part[0] for part in subject)["commonName"], headers={"Connection": "close"})


async def test_inv_112_client_certificate_and_authority_are_read_again(tmp_path):
    """A new certificate is presented, a new authority believed; a half-written one leaves the old in use.

    controller-runtime's certificate watcher is about what its servers present, ours about what we present as a client.
    """
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.configure_trust(tls)
    tls.verify_mode = ssl.CERT_REQUIRED
    authority.cert_pem.write_to_path(str(tmp_path / "ca"))
    issue(tmp_path, authority, "first.example")
    async with listening(who, tls) as url:
        config = ClusterConfig.from_dict(kubeconfig(tmp_path, url))
        async with HttpTransport(config) as client:
            assert (await client.request("GET", "/")).body == b"first.example"
            issue(tmp_path, authority, "second.example")
            assert (await client.request("GET", "/")).body == b"second.example"
            (tmp_path / "key").write_text("half a k")
            assert (await client.request("GET", "/")).body == b"second.example"
            trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca"))
            issue(tmp_path, authority, "third.example")
            with pytest.raises(ConnectionFailed, match="certificate of"):
                await client.request("GET", "/")


async def test_open_watches_end_with_the_certificate_that_opened_them(tmp_path):
    """They end as if the server had ended them, so that they are opened again with the new one, as client-go does it.

    A request that is under way ends as it began, and files that were written anew with the same certificate end nothing.
    """
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.configure_trust(tls)
    tls.verify_mode = ssl.CERT_REQUIRED
    authority.cert_pem.write_to_path(str(tmp_path / "ca"))
    issue(tmp_path, authority, "first.example")
    under_way, release = asyncio.Event(), asyncio.Event()

    async def serve(request):
        name = (await who(request)).text
        if request.path == "/slow":
            under_way.set()
            await release.wait()
        if request.path != "/watch":
            return web.Response(text=name)
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(f"{name}\n".encode())
        await release.wait()
        return response

    async with asyncio.timeout(60), listening(serve, tls) as url, asyncio.TaskGroup() as tasks:
        config = ClusterConfig.from_dict(kubeconfig(tmp_path, url))
        async with (
            HttpTransport(config) as client,
            aclosing(client.stream("/watch", idle_timeout=60)) as old,
            aclosing(client.stream("/watch", idle_timeout=60)) as new,
        ):
            assert await anext(old) == b"first.example"
            (tmp_path / "cert").write_bytes((tmp_path / "cert").read_bytes())
            slow = tasks.create_task(client.request("GET", "/slow"))
            await under_way.wait()
            waiting = asyncio.ensure_future(anext(old, b"ended"))
            await asyncio.wait([waiting], timeout=0)
            assert not waiting.done()
            issue(tmp_path, authority, "second.example")
            assert await anext(new) == b"second.example"
            assert await waiting == b"ended"
            release.set()
            assert (await slow).body == b"first.example"


async def test_a_service_accounts_token_and_authority_are_read_again(tmp_path, monkeypatch):
    """In a pod, the kubelet replaces the token every hour and the authority when it is rotated."""
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)

    async def show(request):
        return web.Response(text=request.headers["Authorization"], headers={"Connection": "close"})

    async with listening(show, tls) as url:
        host, port = url.removeprefix("https://").split(":")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.crt"))
        (tmp_path / "token").write_text("one")
        async with HttpTransport(ClusterConfig.in_cluster(tmp_path)) as client:
            with pytest.raises(ConnectionFailed, match="certificate of"):
                await client.request("GET", "/")
            authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
            assert (await client.request("GET", "/")).body == b"Bearer one"
            (tmp_path / "token").write_text("two")
            assert (await client.request("GET", "/")).body == b"Bearer two"


async def test_a_kubeconfig_that_is_replaced_is_read_again(tmp_path):
    """Whoever mounts a kubeconfig from a Secret can rotate the token in it."""

    async def show(request):
        return web.Response(text=request.headers["Authorization"])

    async with listening(show) as url:
        path = tmp_path / "kubeconfig"

        def write(token):
            content = kubeconfig(tmp_path, url)
            content["clusters"][0]["cluster"] = {"server": url}
            content["users"][0]["user"] = {"token": token}
            path.write_text(json.dumps(content))

        write("one")
        async with HttpTransport(ClusterConfig.from_kubeconfig(path)) as client:
            assert (await client.request("GET", "/")).body == b"Bearer one"
            write("twelve")
            assert (await client.request("GET", "/")).body == b"Bearer twelve"
            path.unlink()
            assert (await client.request("GET", "/")).body == b"Bearer twelve"
