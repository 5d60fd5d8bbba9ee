import base64
import ssl
import sys
import tempfile
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from capt.runtime import ClusterConfig, ConfigError, HttpTransport
from capt.runtime.client_tls import ClientTls
from tests.support.serving import listening


def kubeconfig(url, authority, **user):
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
        "clusters": [
            {"name": "c", "cluster": {"server": url, "certificate-authority-data": data(authority.cert_pem)}}
        ],
        "users": [{"name": "c", "user": user}],
    }


def data(blob):
    return base64.b64encode(blob.bytes()).decode()


def mutual_tls(authority):
    """TLS of a server that wants a client certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture
def left(tmp_path, monkeypatch):
    """Returns what is left in the directory for temporary files, and how many descriptors are open."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return lambda: ([each.name for each in tmp_path.rglob("*")], len(list(Path("/proc/self/fd").iterdir())))


async def test_certificates_that_are_data_leave_nothing_on_the_disk(left):
    """Loading a kubeconfig with embedded authority, certificate and key leaves no file behind and none open."""
    authority = trustme.CA()
    client = authority.issue_cert("client")
    user = {
        "client-certificate-data": data(client.cert_chain_pems[0]),
        "client-key-data": data(client.private_key_pem),
    }
    await ClusterConfig.from_dict(kubeconfig("https://one.example", authority, **user)).connect()
    before = left()
    assert before[0] == []
    for _ in range(3):
        client = authority.issue_cert("client")
        user["client-key-data"] = data(client.private_key_pem)
        user["client-certificate-data"] = data(client.cert_chain_pems[0])
        await ClusterConfig.from_dict(kubeconfig("https://one.example", authority, **user)).connect()
    assert left() == before


async def test_a_plugins_certificate_opens_the_door(left, tmp_path_factory):
    """A certificate that an exec plugin gives is presented to the server, and is in no file afterwards."""
    authority = trustme.CA()
    client = authority.issue_cert("client")
    script = tmp_path_factory.mktemp("plugin") / "plugin.py"
    status = {
        "clientCertificateData": client.cert_chain_pems[0].bytes().decode(),
        "clientKeyData": client.private_key_pem.bytes().decode(),
        "expirationTimestamp": "2100-01-01T00:00:00Z",
    }
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    script.write_text(f"import json\nprint(json.dumps({answer!r}))")
    exec_ = {"apiVersion": answer["apiVersion"], "command": sys.executable, "args": [str(script)]}

    async def welcome(_request):
        return web.Response(text="welcome")

    async with listening(welcome, mutual_tls(authority)) as url:
        config = ClusterConfig.from_dict(kubeconfig(url, authority, exec=exec_))
        async with HttpTransport(config) as transport:
            assert (await transport.request("GET", "/x")).body == b"welcome"
        assert (await config.connect()).expires is not None
    assert left()[0] == []


async def test_a_plugin_without_credentials_is_refused(tmp_path):
    """A plugin that gives neither token nor certificate is an error, not an anonymous user."""
    script = tmp_path / "plugin.py"
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {}}
    script.write_text(f"import json\nprint(json.dumps({answer!r}))")
    exec_ = {"apiVersion": answer["apiVersion"], "command": sys.executable, "args": [str(script)]}
    with pytest.raises(ConfigError, match="neither a token nor a certificate"):
        await ClusterConfig.from_dict(kubeconfig("http://one.example", trustme.CA(), exec=exec_)).connect()


def test_a_bundle_with_words_in_any_language_is_read():
    """Several authorities with text between them are all trusted."""
    bundle = "".join(f"# autorité {n}\n{trustme.CA().cert_pem.bytes().decode()}" for n in range(2))
    assert ClientTls(authority=bundle.encode()).context().cert_store_stats()["x509_ca"] == 2


def test_a_file_that_is_missing_is_named(tmp_path):
    """The error says which of the files is not there."""
    with pytest.raises(OSError, match="no-such-key"):
        ClientTls(key=Path("no-such-key"), certificate=tmp_path).context()


def test_a_certificate_may_hold_its_key():
    """One PEM with both, as some tools write it, is enough."""
    client = trustme.CA().issue_cert("client")
    context = ClientTls(certificate=client.private_key_and_cert_chain_pem.bytes()).context()
    assert context.verify_mode is ssl.CERT_REQUIRED
