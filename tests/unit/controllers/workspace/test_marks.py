"""Whose a Workspace is."""

from __future__ import annotations

from typing import Any

import pytest

from capt.controllers import names
from capt.controllers.workspace import Ownership, owner_labels, owner_of, ownership
from capt.runtime import Key, parse_object
from tests.support.chain import TERRAFORM, apply_of, workspace

UID = names.WORKSPACE_APPLY_UID_LABEL
KEY = names.WORKSPACE_APPLY_ANNOTATION


@pytest.mark.parametrize(
    ("labels", "annotations", "named", "relation"),
    [
        ({UID: "uid-one"}, {KEY: "default/one"}, None, Ownership.OURS),
        ({UID: "uid-one"}, {}, None, Ownership.OURS),
        ({UID: "uid-old"}, {KEY: "default/one"}, None, Ownership.FORMER),
        ({}, {KEY: "default/one"}, None, Ownership.FORMER),
        ({UID: "uid-two"}, {KEY: "default/two"}, None, Ownership.FOREIGN),
        ({UID: "uid-two"}, {KEY: "default/two"}, "w", Ownership.FOREIGN),
        ({UID: "uid-two"}, {}, "w", Ownership.FOREIGN),
        ({}, {}, None, Ownership.FOREIGN),
        ({}, {}, "other", Ownership.FOREIGN),
        ({}, {}, "w", Ownership.NAMED),
    ],
)
def test_ownership(
    labels: dict[str, str], annotations: dict[str, str], named: str | None, relation: Ownership
) -> None:
    """Marks decide; a Workspace without any belongs to the apply whose status names it, and to nobody else."""
    item = workspace(metadata={"labels": labels, "annotations": annotations})
    apply = apply_of(status={"workspaceName": named} if named else {})
    assert ownership(item, apply) is relation


def test_labels() -> None:
    """The labels name the apply and its cluster, within the length that a label can have."""
    name = "n" * 100
    apply = apply_of(name, metadata={"labels": {names.CLUSTER_NAME_LABEL: "prod", "other": "x"}})
    labels = owner_labels(apply.metadata)
    assert labels[UID] == f"uid-{name}"
    assert labels[names.CLUSTER_NAME_LABEL] == "prod"
    assert len(labels[names.WORKSPACE_APPLY_NAME_LABEL]) <= 63
    assert "other" not in labels


@pytest.mark.parametrize(
    ("annotations", "owner"),
    [
        ({KEY: "default/one"}, Key("default", "one")),
        ({KEY: "one"}, None),
        ({KEY: "/one"}, None),
        ({}, None),
    ],
)
def test_owner(annotations: dict[str, Any], owner: Key | None) -> None:
    """An event of a Workspace leads to the apply that its annotation names, however long that name is."""
    raw = workspace(metadata={"annotations": annotations}).model_dump_json(by_alias=True, exclude_none=True)
    assert owner_of(parse_object(raw.encode(), TERRAFORM.kind.resource)) == owner
