from __future__ import annotations

import pytest

from capt.embedded.builtin import builtin_resources
from capt.embedded.protobuf import decode_protobuf

# As kubectl create secret generic s --from-literal=a=b and kubectl create namespace foo send them.
SECRET = (
    b'k8s\x00\n\x0c\n\x02v1\x12\x06Secret\x12\x1d\n\x11\n\x01s\x12\x00\x1a\x00"\x00*\x002\x008\x00B\x00\x12\x06\n\x01a'
    b'\x12\x01b\x1a\x00\x1a\x00"\x00'
)
NAMESPACE = (
    b'k8s\x00\n\x0f\n\x02v1\x12\tNamespace\x12\x1b\n\x13\n\x03foo\x12\x00\x1a\x00"\x00*\x002\x008\x00B\x00\x12\x00'
    b'\x1a\x02\n\x00\x1a\x00"\x00'
)
SCHEMAS = {resource.kind: resource.schema for resource in builtin_resources()}
# With an owner, a time of microseconds and a number.
LEASE = (
    b'k8s\x00\n\x1f\n\x16coordination.k8s.io/v1\x12\x05Lease\x12,\n\x14\n\x01lj\x0f\n\x01K\x1a\x01n"\x01u*\x02v10'
    b'\x01\x12\x14\n\x02me"\x0c\x08\xa5\xfa\xcd\xac\x06\x10\x88\xea\xdc\xc3\x02(\x03'
)


def test_what_kubectl_create_sends_is_read() -> None:
    """The envelope names the kind, empty fields are left out, bytes become base64."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "generation": 0},
        "data": {"a": "Yg=="},
    }
    assert decode_protobuf(SECRET, SCHEMAS["Secret"]) == secret
    assert decode_protobuf(NAMESPACE, SCHEMAS["Namespace"])["metadata"]["name"] == "foo"


def test_times_numbers_and_owners_are_read() -> None:
    """Field numbers with gaps, times of both precisions, numbers and flags."""
    lease = decode_protobuf(LEASE, SCHEMAS["Lease"])
    assert lease["spec"] == {
        "holderIdentity": "me",
        "renewTime": "2024-01-02T03:04:05.678901Z",
        "leaseTransitions": 3,
    }
    assert lease["metadata"]["ownerReferences"] == [
        {"kind": "K", "name": "n", "uid": "u", "apiVersion": "v1", "controller": True}
    ]


@pytest.mark.parametrize("raw", [b"{}", SECRET[:20], b"k8s\x00\xff", b"k8s\x00\x0d"])
def test_what_is_no_protobuf_is_told(raw: bytes) -> None:
    """Anything else is refused, whatever is wrong with it."""
    with pytest.raises(ValueError, match="protobuf"):
        decode_protobuf(raw, SCHEMAS["Secret"])
