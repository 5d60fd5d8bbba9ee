from __future__ import annotations

from pathlib import Path

import pytest

from capt.runtime import Resource, may
from hack import generate_rbac

THINGS = Resource(group="example.com", version="v1", kind="Thing", plural="things")
OTHERS = Resource(group="example.org", version="v1", kind="Thing", plural="things")


def test_roles_are_those_that_the_code_declares(capsys: pytest.CaptureFixture[str]) -> None:
    """B-K04: The roles in manifests are what `make rbac` makes of the controllers' declarations."""
    assert generate_rbac.main(["--check"]) == 0, capsys.readouterr().err


def test_a_stale_role_is_found_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--check` fails on a role that is missing or differs and writes nothing; without it the file is written."""
    monkeypatch.setattr(generate_rbac, "MANIFESTS", tmp_path / "manifests")
    assert generate_rbac.main(["--check"]) == 1
    assert not (tmp_path / "manifests").exists()
    assert generate_rbac.main([]) == 0
    assert generate_rbac.main(["--check"]) == 0


def test_rules_are_few_and_grant_nothing_else() -> None:
    """Rights on one resource join, then resources with equal verbs, then groups; what differs stays apart."""
    assert generate_rbac.rules(
        (
            may(THINGS, "patch", "get"),
            may(THINGS, "watch"),
            may(THINGS, "patch", subresource="status"),
            may(OTHERS, "get", "watch", "patch"),
            may(OTHERS, "delete", names=("one",)),
        )
    ) == [
        {
            "apiGroups": ["example.com", "example.org"],
            "resources": ["things"],
            "verbs": ["get", "watch", "patch"],
        },
        {"apiGroups": ["example.com"], "resources": ["things/status"], "verbs": ["patch"]},
        {
            "apiGroups": ["example.org"],
            "resources": ["things"],
            "resourceNames": ["one"],
            "verbs": ["delete"],
        },
    ]


def test_the_engines_role_is_enough_for_the_engine() -> None:
    """Workspaces lie anywhere: a manager that minds one namespace has its own rights there only, its engine everywhere."""
    granted = {(right.rbac_resource, verb) for right in generate_rbac.engine_rights() for verb in right.verbs}
    assert {("events", "create"), ("secrets", "create"), ("workspaces", "watch")} <= granted
    assert not any(resource.startswith("capt") for resource, _ in granted)
