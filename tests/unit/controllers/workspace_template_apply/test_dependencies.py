"""Who waits for whom."""

from __future__ import annotations

from typing import Any

import pytest

from capt.api import Workspace, WorkspaceTemplateApply
from capt.controllers import names
from capt.controllers.workspace_template_apply.dependencies import (
    Dependency,
    blocking_deletion,
    cycle,
    lacking,
    refers_to,
)
from capt.runtime import Key
from tests.support.chain import NOW, apply_of, condition, conditions, workspace

KEY = Key("default", "vpc")


def key(name: str) -> Key:
    return Key("default", name)


def ready(status: str, *, observed: int = 1, **metadata: Any) -> WorkspaceTemplateApply:
    return apply_of(
        "vpc",
        metadata={"generation": 1, **metadata},
        status={
            "observedGeneration": observed,
            "conditions": [condition("Ready", status, reason="Applying")],
        },
    )


@pytest.mark.parametrize(
    ("apply", "found", "lack"),
    [
        (ready("True"), None, None),
        (ready("False"), None, "default/vpc (it is not ready: Applying)"),
        (ready("True", observed=0), None, "default/vpc (it is not reconciled yet)"),
        (apply_of("vpc"), None, "default/vpc (it is not reconciled yet)"),
        (ready("True", deletionTimestamp="2026-01-01T11:00:00Z"), None, "default/vpc (it is being deleted)"),
        (None, workspace(status=conditions("True", "True")), None),
        (
            None,
            workspace(status=conditions("True", "False")),
            "default/vpc (its Workspace is not ready: WorkspaceError)",
        ),
        (None, None, "default/vpc (there is no WorkspaceTemplateApply and no Workspace of that name)"),
    ],
)
def test_what_is_missing(
    apply: WorkspaceTemplateApply | None, found: Workspace | None, lack: str | None
) -> None:
    """A dependency is there when it is ready for its current spec and stays; otherwise it says what is missing."""
    assert lacking(Dependency(key=KEY, apply=apply, workspace=found), now=NOW) == lack


def test_what_another_namespace_does_not_show() -> None:
    """Absent and hidden read alike, with what would have to be done."""
    lack = lacking(Dependency(key=KEY, elsewhere=True), now=NOW)
    assert lack == (
        "default/vpc (there is no WorkspaceTemplateApply and no Workspace of that name that allows its use from here by "
        "capt.infrastructure.cluster.x-k8s.io/allowed-namespaces)"
    )


@pytest.mark.parametrize(
    ("reference", "refers"),
    [
        ({"name": "vpc"}, True),
        ({"name": "vpc", "namespace": "default"}, True),
        ({"name": "vpc", "namespace": "other"}, False),
        ({"name": names.workspace_name("default", "vpc")}, True),
        ({"name": "legacy"}, True),
        ({"name": "subnet"}, False),
    ],
)
def test_references(reference: dict[str, str], refers: bool) -> None:
    """An apply is referred to by its name within a namespace, or by its Workspace's name."""
    target = apply_of("vpc", status={"workspaceName": "legacy"})
    assert refers_to(apply_of(waitForWorkspaces=[reference]), target) is refers


A, B, C = key("a"), key("b"), key("c")


@pytest.mark.parametrize(
    ("graph", "circle"),
    [
        ({A: [B], B: [C], C: []}, ()),
        ({A: [A]}, (A, A)),
        ({A: [B], B: [A]}, (A, B, A)),
        ({A: [B, C], B: [C], C: [A]}, (A, C, A)),
        ({A: [B], B: [C], C: [B]}, ()),
        ({}, ()),
    ],
)
def test_circles(graph: dict[Key, list[Key]], circle: tuple[Key, ...]) -> None:
    """The shortest circle through an apply is found; one that it only leads to is not its own (B-W14)."""
    assert cycle(A, graph) == circle


def test_deletion_order() -> None:
    """Dependents that have built something go first; one in a circle with the apply does not hold it up."""
    built = {"workspaceName": "w"}
    dependents = [apply_of("c", status=built), apply_of("b", status=built), apply_of("d")]
    assert blocking_deletion(A, dependents, {A: []}) == (B, C)
    assert blocking_deletion(A, dependents, {A: [B], B: [A]}) == (C,)
    assert blocking_deletion(A, [apply_of("a", status=built)], {A: [A]}) == ()
