"""The ``oidc`` auth provider of a kubeconfig: tokens that end are replaced in time, and nobody is lost for it."""

import base64
import json
import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme
import yaml
from aiohttp import web

from capt.runtime import ClusterConfig, ConfigError
from capt.runtime.oidc import expiry
from tests.support.serving import listening

NOW = datetime.now(UTC).replace(microsecond=0)


def jwt(ends):
    claims = {"exp": int(ends.timestamp()), "sub": "?>~"}  # whose base64 differs from base64url
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{payload}.c2ln"


OLD, NEW = jwt(NOW - timedelta(hours=1)), jwt(NOW + timedelta(hours=1))


class Issuer:
    """An OpenID provider that replaces a refresh token when it is used."""

    def __init__(self):
        self.valid, self.forms = "r0", []

    async def answer(self, request):
        if request.path.endswith("openid-configuration"):
            return web.json_response({"token_endpoint": f"{request.scheme}://{request.host}/token"})
        form = dict(await request.post())
        self.forms.append(form)
        if form["refresh_token"] != self.valid:
            return web.json_response({"error": "invalid_grant", "detail": form["refresh_token"]}, status=400)
        self.valid = f"r{len(self.forms)}"
        return web.json_response({"id_token": NEW, "refresh_token": self.valid})


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
async def issuer(authority):
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    provider = Issuer()
    async with listening(provider.answer, tls) as provider.url:
        yield provider


def written(folder, url, **settings):
    config = {"idp-issuer-url": url, "client-id": "me", "id-token": OLD, "refresh-token": "r0", **settings}
    content = {
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"auth-provider": {"name": "oidc", "config": config}}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return path


def kept(path):
    return yaml.safe_load(path.read_text())["users"][0]["user"]["auth-provider"]["config"]


def data(authority):
    return base64.b64encode(authority.cert_pem.bytes()).decode()


async def test_a_token_that_ended_is_replaced_and_kept(tmp_path, issuer, authority):
    """Both new tokens are in the file for the next process, and the new one's end is known beforehand."""
    path = written(
        tmp_path, issuer.url, **{"idp-certificate-authority-data": data(authority), "client-secret": "s"}
    )
    config = ClusterConfig.from_kubeconfig(path)
    endpoint = await config.connect()
    assert await endpoint.headers() == {"Authorization": f"Bearer {NEW}"}
    assert endpoint.expires == NOW + timedelta(hours=1)
    assert not endpoint.is_stale()
    assert (kept(path)["id-token"], kept(path)["refresh-token"]) == (NEW, "r1")
    assert issuer.forms == [
        {"grant_type": "refresh_token", "refresh_token": "r0", "client_id": "me", "client_secret": "s"}
    ]
    assert await (await config.connect()).headers() == {"Authorization": f"Bearer {NEW}"}
    assert len(issuer.forms) == 1


async def test_a_provider_that_is_not_trusted_gets_no_token(tmp_path, issuer):
    """Its certificate is verified, against the system's authorities where the kubeconfig names none."""
    with pytest.raises(ConfigError, match="certificate verify failed"):
        await ClusterConfig.from_kubeconfig(written(tmp_path, issuer.url)).connect()
    assert issuer.forms == []


async def test_a_refusal_is_one_line_without_secrets(tmp_path, issuer, authority):
    """What the provider repeats of the request is not shown."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca"))
    settings = {"idp-certificate-authority": str(tmp_path / "ca"), "refresh-token": "stolen"}
    with pytest.raises(ConfigError, match=r"answered 400 invalid_grant$") as caught:
        await ClusterConfig.from_kubeconfig(written(tmp_path, issuer.url, **settings)).connect()
    assert "stolen" not in str(caught.value)
    with pytest.raises(ConfigError, match="without refresh-token"):
        await ClusterConfig.from_kubeconfig(written(tmp_path, issuer.url, **{"refresh-token": ""})).connect()


@pytest.mark.parametrize("token", ["", "opaque", "a.b.c", "e30.e30.x"])
def test_a_token_that_does_not_say_when_it_ends(token):
    """No expiry is made up."""
    assert expiry(token) is None
    assert expiry(f"Bearer {NEW}") == NOW + timedelta(hours=1)
