"""How engines and providers differ for a reader."""

from __future__ import annotations

import pytest

from capt.api import WorkspaceStatus
from capt.terraform.conduct import Conduct, Generations
from tests.support.chain import conditions


@pytest.mark.parametrize(
    ("generations", "seen"), [("all", [3, 3]), ("synced", [None, 3]), ("none", [None, None])]
)
def test_which_conditions_tell_their_generation(generations: Generations, seen: list[int | None]) -> None:
    """This engine tells all, crossplane-runtime 2 that of Synced, older ones none."""
    status = WorkspaceStatus.model_validate(conditions("True", "True", generation=3))
    aged = Conduct(generations=generations).aged(status)
    assert [each.observed_generation for each in aged.conditions] == seen
