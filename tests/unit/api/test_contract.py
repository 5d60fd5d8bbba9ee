from __future__ import annotations

import re

import pytest

from capt.api import APIEndpoint, CAPTCluster
from capt.api.crd import definition


@pytest.mark.parametrize(
    ("region", "valid"),
    [
        ("us-west-2", True),
        ("us-gov-east-1", True),
        ("us-iso-east-1", True),
        ("us-isob-east-1", True),
        ("cn-northwest-1", True),
        ("us-west", False),
        ("US-WEST-2", False),
        ("", False),
    ],
)
def test_regions_of_every_partition(region: str, valid: bool) -> None:
    """B-P34: government and isolated regions are regions too."""
    (version,) = definition(CAPTCluster)["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["region"]
    assert bool(re.search(schema["pattern"], region)) is valid


@pytest.mark.parametrize(
    ("endpoint", "text"),
    [
        (APIEndpoint(host="a.example.org", port=6443), "a.example.org:6443"),
        (APIEndpoint(host="fd00::1"), "[fd00::1]:443"),
        (APIEndpoint(), ""),
    ],
)
def test_an_endpoint_is_shown_as_host_and_port(endpoint: APIEndpoint, text: str) -> None:
    """Seed 003: `kubectl get` shows `host:port`, and nothing while nothing is known."""
    assert str(endpoint) == text
