from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml

from capt.api import APIEndpoint, Secret
from capt.controllers.control_plane.kubeconfig import (
    Kubeconfig,
    NoKubeconfig,
    contract_kubeconfig,
    user_kubeconfig,
)
from capt.controllers.control_plane.outputs import Outputs, certificate_authority, read_outputs

ENDPOINT = APIEndpoint(host="a.example.com", port=6443)
PEM = "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n"


def encoded(text: str) -> str:
    """Return base64 of a text."""
    return base64.b64encode(text.encode()).decode()


def outputs(**texts: str) -> Outputs:
    """Return outputs from a connection Secret."""
    return Outputs(texts=texts, has_secret=True)


def kubeconfig(**user: Any) -> str:
    """Return a kubeconfig with that user."""
    return yaml.safe_dump(
        {
            "clusters": [{"name": "c", "cluster": {"server": "https://a.example.com"}}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )


@pytest.mark.parametrize("text", [PEM, encoded(PEM), encoded(encoded(PEM)), f"  {encoded(PEM)}\n"])
def test_a_certificate_authority_in_any_wrapping(text: str) -> None:
    """EKS gives base64 of PEM, which a Secret's data wraps once more; all come out as PEM."""
    assert certificate_authority(outputs(cluster_certificate_authority_data=text)) == PEM


@pytest.mark.parametrize("text", ["", "no", encoded("no PEM"), "ü", encoded(encoded(encoded(PEM)))])
def test_what_is_no_certificate_is_none(text: str) -> None:
    """B-P21: nothing that merely decodes is taken for a certificate."""
    assert certificate_authority(outputs(cluster_certificate_authority_data=text)) == ""


def test_built_from_endpoint_authority_and_token() -> None:
    """Without a kubeconfig output it is built, has its credential inline, and is renewed."""
    found = contract_kubeconfig(
        "prod", ENDPOINT, outputs(cluster_certificate_authority_data=encoded(PEM), token="t")
    )
    assert isinstance(found, Kubeconfig)
    assert found.expires
    content = yaml.safe_load(found.text)
    assert content["clusters"][0]["cluster"]["server"] == "https://a.example.com:6443"
    assert content["users"][0]["user"] == {"token": "t"}
    assert content["current-context"] == content["contexts"][0]["name"]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({}, "cluster_certificate_authority_data and token are missing"),
        ({"token": "t"}, "cluster_certificate_authority_data is missing"),
        ({"cluster_certificate_authority_data": encoded(PEM)}, "token is missing"),
        ({"token": "t", "cluster_certificate_authority_data": "no"}, "neither PEM nor base64"),
    ],
)
def test_what_is_missing_is_named(texts: dict[str, str], words: str) -> None:
    """Where no credential is to be had, the missing outputs are named."""
    found = contract_kubeconfig("prod", ENDPOINT, outputs(**texts))
    assert isinstance(found, NoKubeconfig)
    assert words in found.problem


def test_terraforms_own_kubeconfig_comes_first() -> None:
    """A usable output `kubeconfig` is taken as it is."""
    text = kubeconfig(**{"client-certificate-data": "a", "client-key-data": "b"})
    found = contract_kubeconfig("prod", ENDPOINT, outputs(kubeconfig=text, token="t"))
    assert isinstance(found, Kubeconfig)
    assert yaml.safe_load(found.text) == yaml.safe_load(text)
    assert not found.expires


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no YAML"),
        ("[]", "current context"),
        ("a: b", "current context"),
        (kubeconfig(exec={"command": "aws"}, token="t"), "exec"),
        (kubeconfig(tokenFile="/var/run/secrets/kubernetes.io/serviceaccount/token"), "tokenFile"),
        (kubeconfig(**{"client-key": "/etc/key", "token": "t"}), "client-key"),
        (kubeconfig(**{"auth-provider": {"name": "gcp"}}), "auth-provider"),
        (kubeconfig(), "no credential"),
        (kubeconfig(token="t").replace("https://", "http://"), "no https"),
        (kubeconfig(token="t") + "#" * 300_000, "characters"),
    ],
)
def test_what_core_cannot_use_is_refused(text: str, words: str) -> None:
    """A kubeconfig that runs a program or reads a file of the controller's disk is refused, and built if it can be."""
    found = contract_kubeconfig("prod", ENDPOINT, outputs(kubeconfig=text))
    assert isinstance(found, NoKubeconfig)
    assert words in found.problem
    texts = {"token": "t", "cluster_certificate_authority_data": PEM}
    assert isinstance(contract_kubeconfig("prod", ENDPOINT, outputs(kubeconfig=text, **texts)), Kubeconfig)


@pytest.mark.parametrize("region", [None, "us-west-2"])
def test_people_log_in_with_the_aws_cli(region: str | None) -> None:
    """The kubeconfig for people runs `aws eks get-token`, and holds no credential."""
    content = yaml.safe_load(user_kubeconfig("prod", ENDPOINT, PEM, eks_name="eks", region=region))
    user = content["users"][0]["user"]
    assert list(user) == ["exec"]
    wanted = ["eks", "get-token", "--cluster-name", "eks", *(["--region", region] if region else [])]
    assert user["exec"]["args"] == wanted


def test_credentials_do_not_show() -> None:
    """What holds a secret does not show it in `repr`, hence not in a log or a traceback."""
    secret = Secret.model_validate({"metadata": {"name": "s"}, "data": {"token": encoded("hunter2")}})
    read = read_outputs({"a": "b", "n": 1}, secret)
    assert read.get("token") == "hunter2"
    assert read.get("n") == ""
    found = contract_kubeconfig("prod", ENDPOINT, outputs(kubeconfig=kubeconfig(token="hunter2")))
    assert "hunter2" not in f"{read!r}{found!r}"
