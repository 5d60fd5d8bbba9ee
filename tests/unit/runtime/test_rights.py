from __future__ import annotations

from typing import Any

import pytest

from capt.runtime import Controller, Done, Request, Result, may, watch_mapped, watch_self
from tests.support.things import THING


class Idle:
    async def reconcile(self, request: Request) -> Result:
        return Done()


def test_watching_brings_its_own_rights() -> None:
    """A controller declares what it does beyond listing and watching; these two come with each watch."""
    declared = may(THING, "patch", subresource="status")
    controller = Controller(
        name="thing",
        reconciler=Idle(),
        watches=(watch_self(THING), watch_mapped(THING, lambda _: (), reason="other")),
        rights=(declared,),
    )
    assert set(controller.all_rights) == {may(THING, "list", "watch"), declared}
    assert declared.rbac_resource == f"{THING.resource.plural}/status"


@pytest.mark.parametrize("verbs", [(), ("*",), ("get", "deletecollection"), ("read",)])
def test_a_right_is_made_of_known_verbs(verbs: tuple[Any, ...]) -> None:
    """Neither a wildcard nor a misspelt verb gets into a role, and a right without verbs is none."""
    with pytest.raises(ValueError, match="among the verbs"):
        may(THING, *verbs)
