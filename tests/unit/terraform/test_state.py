"""What a local state file says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from capt.terraform import state


def written(**content: Any) -> str:
    return json.dumps({"version": 4, "serial": 1, "outputs": {}, "resources": [], **content})


MANAGED = {"mode": "managed", "type": "terraform_data", "name": "x", "instances": [{"attributes": {}}]}


@pytest.mark.parametrize(
    ("text", "holds", "empty"),
    [
        ("", False, True),
        (written(), False, True),
        (written(resources=[MANAGED]), True, False),
        (written(resources=[{**MANAGED, "mode": "data"}]), False, False),
        (written(resources=[{**MANAGED, "instances": []}]), False, False),
        (written(outputs={"id": {"value": "i-1", "type": "string"}}), False, False),
        ("{ half a fi", True, False),
        ("[]", True, False),
    ],
)
def test_a_state_is_thrown_away_only_if_nothing_stands(text: str, holds: bool, empty: bool) -> None:
    """Managed resources count, data sources and outputs do not; what cannot be read counts as resources."""
    assert state.holds_resources(text) is holds
    assert state.is_empty(text) is empty
