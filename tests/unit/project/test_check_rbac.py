from __future__ import annotations

from typing import Any

from capt.runtime import Resource, may
from hack.check_rbac import USER, problems

THINGS = Resource(group="example.com", version="v1", kind="Thing", plural="things")


def event(verb: str, code: int = 200, *, user: str = USER, subresource: str = "") -> dict[str, Any]:
    return {
        "user": {"username": user},
        "verb": verb,
        "objectRef": {"apiGroup": "example.com", "resource": "things", "subresource": subresource},
        "responseStatus": {"code": code},
    }


def test_a_role_that_was_used_up_is_right() -> None:
    """Every granted verb was used and nothing forbidden; `list` may go unused, and others' requests do not count."""
    rights = (may(THINGS, "list", "watch"), may(THINGS, "patch", subresource="status"))
    seen = [event("watch"), event("patch", subresource="status"), event("delete", 403, user="jane")]
    assert problems(seen, rights) == []


def test_what_is_forbidden_or_to_spare_is_told() -> None:
    """A forbidden request is a problem, a granted verb that nobody used is another."""
    seen = [event("create", 403)]
    assert problems(seen, (may(THINGS, "get"),)) == [
        "forbidden: create things.example.com",
        "granted and never used: get things.example.com",
    ]


def test_what_is_ending_forbids_nobody_in_particular() -> None:
    """A namespace or definition on its way out takes no new object from anybody: that is no lack of rights."""
    ended = event("create", 403)
    ended["annotations"] = {"authorization.k8s.io/decision": "allow"}
    ended["responseStatus"]["message"] = "create not allowed while custom resource definition is terminating"
    assert problems([ended], (may(THINGS, "create"),)) == []
    ended["responseStatus"]["message"] = (
        "cannot set blockOwnerDeletion if an ownerReference refers to a resource"
    )
    assert problems([ended], (may(THINGS, "create"),)) == ["forbidden: create things.example.com"]


def test_an_audit_log_without_the_manager_proves_nothing() -> None:
    """Where the manager asked for nothing, the comparison fails instead of passing."""
    assert problems([event("get", user="jane")], ()) != []
