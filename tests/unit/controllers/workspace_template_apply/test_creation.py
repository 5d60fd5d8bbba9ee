"""When an interrupted creation goes on."""

from __future__ import annotations

import pytest

from capt.controllers.workspace import EXTERNAL_NAME_ANNOTATION
from capt.controllers.workspace_template_apply.creation import (
    CREATE_PENDING_ANNOTATION,
    DURABLE_STATE_ANNOTATION,
    RESUMED_ANNOTATION,
    resumption,
)
from capt.controllers.workspace_template_apply.variable_check import Declarations
from capt.hcl import parse
from tests.support.chain import NOW, UNREAD, condition, template, workspace

WEDGE = "cannot determine creation result - remove the annotation if it is safe to proceed"
MARKS = {CREATE_PENDING_ANNOTATION: "2026-01-01T11:00:00Z", EXTERNAL_NAME_ANNOTATION: "w"}
REMOTE = parse('terraform {\n  backend "s3" {}\n}\n', "HCL")
LOCAL = parse('terraform {\n  backend "local" {}\n}\n', "HCL")


@pytest.mark.parametrize(
    ("marks", "message", "declared", "promised", "resumes"),
    [
        (MARKS, WEDGE, REMOTE, "", True),
        (MARKS, WEDGE, UNREAD, "true", True),
        (MARKS, WEDGE, LOCAL, "", False),
        (MARKS, WEDGE, UNREAD, "", False),
        (MARKS, WEDGE, UNREAD, "yes", False),
        (MARKS, "create failed", REMOTE, "true", False),
        ({EXTERNAL_NAME_ANNOTATION: "w"}, WEDGE, REMOTE, "true", False),
        ({CREATE_PENDING_ANNOTATION: "2026-01-01T11:00:00Z"}, WEDGE, REMOTE, "true", False),
    ],
)
def test_only_where_the_state_outlives_the_provider(
    marks: dict[str, str], message: str, declared: Declarations, promised: str, resumes: bool
) -> None:
    """The provider must be wedged, the state findable by name, and kept where a pod's end does not touch it."""
    status = {"conditions": [condition("Synced", "False", reason="ReconcileError", message=message)]}
    found = workspace(metadata={"annotations": marks}, status=status)
    base = template(metadata={"annotations": {DURABLE_STATE_ANNOTATION: promised}})
    patch = resumption(found, base, declared, NOW)
    assert bool(patch) == resumes
    if resumes:
        assert patch == {CREATE_PENDING_ANNOTATION: None, RESUMED_ANNOTATION: "2026-01-01T12:00:00+00:00"}
