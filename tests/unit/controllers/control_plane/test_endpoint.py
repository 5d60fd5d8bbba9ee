from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capt.api import APIEndpoint
from capt.controllers.control_plane.endpoint import RefusedEndpoint, parse_endpoint

EKS = "0123456789abcdef0123456789abcdef.gr7.eu-west-1.eks.amazonaws.com"


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (f"https://{EKS}", EKS, 443),
        (f"https://{EKS}/", EKS, 443),
        (f"https://{EKS.upper()}:6443", EKS, 6443),
        (EKS, EKS, 443),
        (f"{EKS}:8443", EKS, 8443),
        ("api.example.com.", "api.example.com", 443),
        ("10.0.0.1:6443", "10.0.0.1", 6443),
        ("10.0.0.1", "10.0.0.1", 443),
        ("https://[2001:db8::1]:6443", "2001:db8::1", 6443),
        ("[2001:DB8:0::1]", "2001:db8::1", 443),
        ("2001:db8::1", "2001:db8::1", 443),
        ("  https://api.example.com\n", "api.example.com", 443),
        ("localhost:6443", "localhost", 6443),
    ],
)
def test_url_or_host_becomes_bare_host_and_port(text: str, host: str, port: int) -> None:
    """B-P01: a URL or host[:port] gives a bare host and a port, 443 where none is named."""
    assert parse_endpoint(text) == APIEndpoint(host=host, port=port)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "empty"),
        ("   ", "empty"),
        (None, "no text"),
        (443, "no text"),
        ({"host": "a"}, "no text"),
        ("http://api.example.com", "scheme is http"),
        ("ftp://api.example.com", "scheme is ftp"),
        ("https://", "host"),
        ("https://api.example.com/path", "path"),
        ("https://api.example.com?x=1", "query"),
        ("https://https://api.example.com", "path"),
        ("api.example.com:0", "port"),
        ("api.example.com:65536", "ort"),
        ("api.example.com:abc", "ort"),
        ("-api.example.com", "host"),
        ("api..example.com", "host"),
        ("a b.example.com", "host"),
        ("10.0.0.256", "host"),
        ("fe80::1%eth0", ""),
        ("a" * 64 + ".example.com", "host"),
        ("[::1", ""),
        ("${aws_eks_cluster.this.endpoint}", "host"),
    ],
)
def test_what_is_no_endpoint_is_refused_with_a_reason(value: object, problem: str) -> None:
    """Seed 004: an endpoint's form and required parts are validated."""
    refused = parse_endpoint(value)
    assert isinstance(refused, RefusedEndpoint)
    assert problem in refused.problem


def test_a_password_is_not_quoted() -> None:
    """What is refused is quoted to people, except where it may hold a credential."""
    refused = parse_endpoint("https://user:hunter2@api.example.com")
    assert isinstance(refused, RefusedEndpoint)
    assert "hunter2" not in refused.problem


@given(st.text())
def test_every_text_is_an_endpoint_or_refused(text: str) -> None:
    """No text raises, and what is accepted reads the same when it is read again."""
    found = parse_endpoint(text)
    if isinstance(found, APIEndpoint):
        assert parse_endpoint(str(found)) == found
        assert "/" not in found.host
        assert 1 <= found.port <= 65535
    else:
        assert found.problem
