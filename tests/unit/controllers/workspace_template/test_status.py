"""What a template's status says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from capt.controllers.workspace_template.status import describe
from capt.runtime import Key
from capt.runtime.conditions import find_condition
from tests.support.chain import NOW, template

GOING = {"deletionTimestamp": "2026-01-01T11:00:00Z"}
USERS = [Key("default", f"a{index:02}") for index in range(12)]


@pytest.mark.parametrize(
    ("module", "metadata", "users", "expected"),
    [
        ("# x", {}, 0, ("True", "Valid", "the template can be used")),
        ("# x", {}, 2, ("True", "Valid", "the template can be used")),
        (" ", {}, 0, ("False", "Invalid", "module must not be blank")),
        (
            "# x",
            GOING,
            2,
            ("False", "InUse", "deletion waits for WorkspaceTemplateApplies default/a00, default/a01"),
        ),
    ],
)
def test_ready(module: str, metadata: dict[str, Any], users: int, expected: tuple[str, str, str]) -> None:
    """Ready says whether the template can be used, and who holds up its deletion."""
    status = describe(template(module, metadata=metadata), users=USERS[:users], now=NOW)
    ready = find_condition(status.conditions, "Ready")
    assert ready is not None
    assert (ready.status, ready.reason, ready.message) == expected


def test_many_users() -> None:
    """The list of users is cut, not the truth about their number."""
    status = describe(template(metadata=GOING), users=USERS, now=NOW)
    assert status.conditions[0].message.endswith("default/a09 and 2 more")


def test_revision() -> None:
    """The revision changes with the content and with nothing else."""
    first = describe(template(), users=[], now=NOW).revision
    assert first == describe(template(metadata={"labels": {"a": "b"}}), users=USERS, now=NOW).revision
    assert first != describe(template("# other"), users=[], now=NOW).revision


def test_silence() -> None:
    """While nothing changes the status does not either."""
    base = template()
    status = describe(base, users=[], now=NOW)
    again = base.model_copy(update={"status": status})
    assert describe(again, users=[], now=NOW + timedelta(hours=1)) == status
