from __future__ import annotations

import asyncio
import base64
import os
import ssl
import stat
import subprocess
import sys
from datetime import UTC, datetime

import pytest
import trustme
import yaml

from capt.runtime import ClusterConfig, ConfigError
from tests.support.scripted import until


def kubeconfig(**user):
    """A kubeconfig with two contexts; plain HTTP, so that nothing but the user matters."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "team"}},
            {"name": "there", "context": {"cluster": "other", "user": "u"}},
            {"name": "nowhere", "context": {"cluster": "no-such", "user": "u"}},
            {"name": "nobody", "context": {"cluster": "c", "user": "no-such"}},
        ],
        "clusters": [
            {"name": "c", "cluster": {"server": "http://one.example:8080/"}},
            {"name": "other", "cluster": {"server": "http://two.example/prefix"}},
        ],
        "users": [{"name": "u", "user": user or {"token": "t0ken\n"}}],
    }


def write(tmp_path, content, name="config"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


async def test_file(tmp_path):
    """A kubeconfig file gives server, credentials and namespace of its current context, or of the one asked for."""
    path = write(tmp_path, kubeconfig())
    config = ClusterConfig.from_kubeconfig(path)
    endpoint = await config.connect()
    assert (endpoint.url, endpoint.host, config.namespace) == (
        "http://one.example:8080",
        "one.example:8080",
        "team",
    )
    assert await endpoint.headers() == {"Authorization": "Bearer t0ken"}
    other = ClusterConfig.from_kubeconfig(path, "there")
    assert ((await other.connect()).url, other.namespace) == ("http://two.example/prefix", "default")


async def test_dict():
    """The content of a kubeconfig serves as well as the file, and is not changed."""
    content = kubeconfig()
    endpoint = await ClusterConfig.from_dict(content, "there").connect()
    assert endpoint.url == "http://two.example/prefix"
    assert content == kubeconfig()


async def test_several_files(tmp_path):
    """Of several files, the first to name a thing wins, and missing ones are passed over, as kubectl does."""
    first, second = kubeconfig(token="first"), kubeconfig(token="second")
    first["contexts"] = first["contexts"][:1]
    del first["current-context"]
    second["current-context"] = "there"
    paths = f"{tmp_path}/no-such-file:{write(tmp_path, first, 'a')}:{write(tmp_path, second, 'b')}"
    config = ClusterConfig.from_kubeconfig(paths)
    endpoint = await config.connect()
    assert endpoint.url == "http://two.example/prefix"
    assert await endpoint.headers() == {"Authorization": "Bearer first"}
    with pytest.raises(ConfigError, match="no-such-file"):
        ClusterConfig.from_kubeconfig(f"{tmp_path}/no-such-file:{tmp_path}/neither")


@pytest.mark.parametrize(
    ("content", "context", "message"),
    [
        (None, "", "there is no kubeconfig"),
        ("a: [b", "", "is no YAML"),
        ("- just a list", "", "is no kubeconfig"),
        ("", "", "is no kubeconfig"),
        ("\x00", "", "is no YAML"),
        (kubeconfig(), "elsewhere", r"has no context 'elsewhere' \(it has: here, nobody, nowhere, there\)"),
        (kubeconfig(), "nowhere", "has no cluster 'no-such'"),
        (kubeconfig(), "nobody", "has no user 'no-such'"),
        (kubeconfig() | {"current-context": ""}, "", "names no current context"),
        (kubeconfig() | {"clusters": [{"name": "c", "cluster": {}}]}, "", "has no server for cluster 'c'"),
        (kubeconfig() | {"clusters": None}, "", "has no cluster 'c'"),
        (
            kubeconfig() | {"clusters": [{"name": "c", "cluster": {"server": "one.example:6443"}}]},
            "",
            "server 'one.example:6443' of cluster 'c' begins with neither https:// nor http://",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, content, context, message):
    """An unusable kubeconfig is refused when it is read, with one line that says what is wrong with which file."""
    path = tmp_path / "config" if content is None else write(tmp_path, content)
    with pytest.raises(ConfigError, match=message) as caught:
        ClusterConfig.from_kubeconfig(path, context)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_an_unreadable_file(tmp_path):
    """A file that cannot be read is an error of one line, not a traceback."""
    with pytest.raises(ConfigError, match="cannot read kubeconfig"):
        ClusterConfig.from_kubeconfig(tmp_path)


async def test_certificates(tmp_path):
    """Authority and client certificate come from data or files beside the kubeconfig; names and proxies are kept."""
    authority = trustme.CA()
    client = authority.issue_cert("client")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    def data(blob):
        return base64.b64encode(blob.bytes()).decode()

    content = kubeconfig(
        **{
            "client-certificate-data": data(client.cert_chain_pems[0]),
            "client-key-data": data(client.private_key_pem),
        }
    )
    content["clusters"][0]["cluster"] = {
        "server": "https://one.example",
        "certificate-authority": "ca.pem",
        "tls-server-name": "api.internal",
        "proxy-url": "http://proxy.example:3128",
    }
    endpoint = await ClusterConfig.from_kubeconfig(write(tmp_path, content)).connect()
    assert isinstance(endpoint.ssl, ssl.SSLContext)
    assert endpoint.ssl.verify_mode is ssl.CERT_REQUIRED
    assert endpoint.ssl.cert_store_stats()["x509_ca"] == 1
    assert (endpoint.server_hostname, endpoint.proxy) == ("api.internal", "http://proxy.example:3128")
    assert await endpoint.headers() == {}
    content["clusters"][0]["cluster"] = {"server": "https://one.example", "insecure-skip-tls-verify": True}
    endpoint = await ClusterConfig.from_dict(content).connect()
    assert endpoint.ssl.verify_mode is ssl.CERT_NONE
    content["clusters"][0]["cluster"] = {
        "server": "https://one.example",
        "certificate-authority": "/no/such/file",
    }
    with pytest.raises(ConfigError, match="/no/such/file"):
        await ClusterConfig.from_dict(content).connect()


async def test_an_authority_that_is_no_base64_is_not_taken_for_none():
    """Damaged certificate data is refused: without it any public authority would do."""
    content = kubeconfig()
    cluster = {"server": "https://one.example", "certificate-authority-data": "!!!"}
    content["clusters"][0]["cluster"] = cluster
    with pytest.raises(ConfigError, match="certificate-authority-data is no base64"):
        await ClusterConfig.from_dict(content).connect()
    pem = trustme.CA().cert_pem.bytes()
    cluster["certificate-authority-data"] = base64.encodebytes(
        pem
    ).decode()  # in lines, as some tools write it
    endpoint = await ClusterConfig.from_dict(content).connect()
    assert isinstance(endpoint.ssl, ssl.SSLContext)
    assert endpoint.ssl.cert_store_stats()["x509_ca"] == 1


def plugin(tmp_path, script):
    path = write(tmp_path, f"#!{sys.executable}\n{script}", "plugin")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(path),
            "interactiveMode": "Never",
        }
    }


async def test_exec_plugin(tmp_path):
    """An exec plugin is run each time credentials are loaded, and says when they end."""
    user = plugin(
        tmp_path,
        "import json, pathlib\n"
        "runs = pathlib.Path(__file__).with_name('runs')\n"
        "number = len(runs.read_text()) if runs.exists() else 0\n"
        "runs.write_text('x' * (number + 1))\n"
        "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', 'kind': 'ExecCredential',"
        " 'status': {'token': f'token-{number}', 'expirationTimestamp': '2020-01-01T00:00:00Z'}}))\n",
    )
    config = ClusterConfig.from_kubeconfig(write(tmp_path, kubeconfig(**user)))
    for number in range(2):
        endpoint = await config.connect()
        assert await endpoint.headers() == {"Authorization": f"Bearer token-{number}"}
    assert endpoint.expires == datetime(2020, 1, 1, tzinfo=UTC)
    assert endpoint.is_stale()


@pytest.mark.parametrize("script", ["raise SystemExit('login\\nfirst')", "print('nonsense')"])
async def test_exec_plugin_that_fails(tmp_path, script):
    """A plugin that fails, or prints nonsense, is one line of error."""
    config = ClusterConfig.from_dict(kubeconfig(**plugin(tmp_path, script)))
    with pytest.raises(ConfigError, match="exec") as caught:
        await config.connect()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"apiVersion": "v1"}, "exec: command missing"),
        ({"apiVersion": "v1", "command": "echo", "args": ["[]"]}, "no ExecCredential"),
        ({"apiVersion": "v1", "command": "echo", "args": ['{"apiVersion": "v1"}']}, "no ExecCredential"),
        (
            {"apiVersion": "v1", "command": "echo", "args": ['{"apiVersion": "v2", "status": {}}']},
            "speaks v2, not v1",
        ),
    ],
)
async def test_exec_plugin_that_is_none(settings, message):
    """What is no plugin, or none of this version, is said."""
    with pytest.raises(ConfigError, match=message):
        await ClusterConfig.from_dict(kubeconfig(exec=settings)).connect()


async def test_exec_plugin_is_told_what_it_needs_and_may_say_much(tmp_path):
    """It gets its arguments, its own variables and the request; megabytes on stderr do not stop it."""
    user = plugin(
        tmp_path,
        "import json, os, sys\n"
        "sys.stderr.write('x' * 1_000_000)\n"
        "asked = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "token = '-'.join([sys.argv[1], os.environ['MINE'], asked['kind']])\n"
        "print(json.dumps({'apiVersion': asked['apiVersion'], 'status': {'token': token}}))\n",
    )
    user["exec"] |= {"args": ["one"], "env": [{"name": "MINE", "value": "two"}]}
    async with asyncio.timeout(60):
        endpoint = await ClusterConfig.from_dict(kubeconfig(**user)).connect()
    assert await endpoint.headers() == {"Authorization": "Bearer one-two-ExecCredential"}


async def test_exec_plugin_that_nobody_waits_for_is_killed(tmp_path):
    """Who gives up leaves no plugin behind, and does not wait for what that started, which still holds its pipes."""
    started, held = tmp_path / "started", tmp_path / "held"
    user = plugin(
        tmp_path,
        "import os, pathlib, subprocess, sys, time\n"
        "subprocess.Popen(['cat', sys.argv[2]])\n"
        "pathlib.Path(sys.argv[1]).write_text(f'{os.getpid()}\\n')\n"
        "time.sleep(60)\n",
    )
    user["exec"]["args"] = [str(started), str(held)]
    os.mkfifo(held)
    writer = os.open(held, os.O_RDWR)  # cat ends when this is closed
    try:
        loading = asyncio.create_task(ClusterConfig.from_dict(kubeconfig(**user)).connect())
        await until(lambda: started.exists() and started.read_text().endswith("\n"))
        loading.cancel()
        await asyncio.wait([loading], timeout=30)
        assert loading.cancelled()
        with pytest.raises(ProcessLookupError):
            os.kill(int(started.read_text()), 0)
    finally:
        os.close(writer)


async def test_exec_plugin_that_is_not_there():
    """A plugin that is not installed is named."""
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin"}}
    with pytest.raises(ConfigError, match="no-such-plugin"):
        await ClusterConfig.from_dict(kubeconfig(**user)).connect()


@pytest.fixture
def pod(tmp_path, monkeypatch):
    """A directory as Kubernetes mounts it, and the environment of a pod."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    (tmp_path / "token").write_text("pod-token\n")
    (tmp_path / "namespace").write_text("capt-system")
    return tmp_path


async def test_in_cluster(pod):
    """In a pod, the service account's files say everything; a renewed token is read again."""
    config = ClusterConfig.in_cluster(pod)
    endpoint = await config.connect()
    assert (endpoint.url, config.namespace) == ("https://10.0.0.1:443", "capt-system")
    assert await endpoint.headers() == {"Authorization": "Bearer pod-token"}
    (pod / "token").write_text("next")
    assert await (await config.connect()).headers() == {"Authorization": "Bearer next"}


async def test_in_cluster_without_what_it_needs(pod, monkeypatch):
    """Outside of a pod, or without a service account, the reason is one clear line."""
    (pod / "ca.crt").unlink()
    with pytest.raises(ConfigError, match="service account"):
        await ClusterConfig.in_cluster(pod).connect()
    (pod / "token").unlink()
    with pytest.raises(ConfigError, match="token is missing"):
        ClusterConfig.in_cluster(pod)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    with pytest.raises(ConfigError, match="not in a cluster"):
        ClusterConfig.in_cluster(pod)


async def test_default(tmp_path, monkeypatch):
    """By default KUBECONFIG is used, then a pod's service account, then the file in the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConfigError, match=r"\.kube/config"):
        ClusterConfig.default()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with pytest.raises(ConfigError, match="no service account"):
        ClusterConfig.default()
    monkeypatch.setenv("KUBECONFIG", str(write(tmp_path, kubeconfig())))
    assert ClusterConfig.default().namespace == "team"
    assert (await ClusterConfig.default("there").connect()).url == "http://two.example/prefix"


def test_reading_a_configuration_is_quick():
    """kubernetes-asyncio, which takes half a second to import, is not imported before a connection is made.

    Then it is, and the garbage collector does not go through what it brought again and again.
    """
    code = (
        "import sys, capt.runtime as r; config = "
        "r.ClusterConfig.from_dict({'current-context': 'a', 'contexts': [{'name': 'a', 'context': {'cluster': 'a'}}],"
        " 'clusters': [{'name': 'a', 'cluster': {'server': 'http://a'}}]}); "
        "assert 'kubernetes_asyncio' not in sys.modules; "
        "import asyncio, gc; asyncio.run(config.connect()); "
        "assert 'kubernetes_asyncio' in sys.modules and gc.isenabled() and gc.get_freeze_count() > 10_000"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
