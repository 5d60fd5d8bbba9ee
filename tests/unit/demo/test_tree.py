from __future__ import annotations

import pytest

from capt.api import Condition, ObjectMeta
from capt.demo.tree import state_of

NOW = "2026-01-01T00:00:00Z"


def ready(status: str, reason: str, observed_generation: int | None) -> Condition:
    return Condition.model_validate(
        {
            "type": "Ready",
            "status": status,
            "reason": reason,
            "message": "",
            "lastTransitionTime": NOW,
            "observedGeneration": observed_generation,
        }
    )


@pytest.mark.parametrize(
    ("metadata", "conditions", "state"),
    [
        ({"generation": 1}, [], "New"),
        ({"generation": 1}, [ready("True", "Complete", 1)], "Ready"),
        ({"generation": 2}, [ready("True", "Complete", 1)], "Changed"),
        ({"generation": 2}, [ready("True", "Available", None)], "Ready"),
        ({"generation": 2}, [ready("False", "RollingOut", 1)], "RollingOut"),
        ({"generation": 2, "deletionTimestamp": NOW}, [ready("True", "Complete", 2)], "Deleting"),
    ],
)
def test_a_state_is_one_word_that_is_true_of_the_current_spec(metadata, conditions, state):
    """What was Ready before a change that nobody has looked at yet is not called Ready."""
    assert state_of(ObjectMeta.model_validate({"name": "x"} | metadata), conditions) == state
