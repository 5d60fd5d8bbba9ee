from __future__ import annotations

import pytest

from capt.api import FailureDomain
from capt.controllers.cluster.failure_domains import failure_domains

A, B = FailureDomain(name="a", control_plane=True), FailureDomain(name="b", control_plane=True)


@pytest.mark.parametrize(
    ("outputs", "domains"),
    [
        ({}, ()),
        ({"azs": []}, ()),
        ({"azs": ["b", "a", "a"]}, (A, B)),
        ({"availability_zones": ["a"], "azs": ["b"]}, (A,)),
        ({"failure_domains": {"a": None, "b": {"control_plane": True}}}, (A, B)),
        (
            {"failure_domains": [{"name": "a", "control_plane": False, "attributes": {"zone": 1}}]},
            (FailureDomain(name="a", control_plane=False, attributes={"zone": "1"}),),
        ),
        (
            {"failure_domains": {"a": {"controlPlane": False}}},
            (FailureDomain(name="a", control_plane=False),),
        ),
        ({"azs": "a"}, ()),
        ({"azs": [1, "", {"no": "name"}, "a"]}, (A,)),
    ],
)
def test_failure_domains_from_outputs(outputs, domains):
    """B2, B-C17: names are unique and sorted, whichever way the template says them."""
    assert failure_domains(outputs) == domains
