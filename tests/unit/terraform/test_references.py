"""From a Workspace to the input of a run."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from capt.api import Secret, Workspace
from capt.runtime import Kind
from capt.terraform.executor import InvalidInputError, VariableFile, WorkspaceInput
from capt.terraform.kinds import CONFIG_MAP, SECRET, ConfigMap
from capt.terraform.references import MissingReferenceError, resolve

Stored = dict[tuple[Kind[Any], str, str], Any]
HERE = {"name": "inputs", "key": "k"}
THERE = {**HERE, "namespace": "n"}


class LiveReads:
    """The one method of a client that resolving uses."""

    def __init__(self, stored: Stored) -> None:
        self.stored = stored

    async def get_live(self, kind: Kind[Any], namespace: str, name: str) -> Any:
        return self.stored.get((kind, namespace, name))


def secret(value: str) -> Secret:
    return Secret.model_validate({"data": {"k": base64.b64encode(value.encode()).decode()}})


async def resolved(
    stored: Stored, *, namespace: str | None = None, deleting: bool = False, **inputs: Any
) -> WorkspaceInput:
    metadata: dict[str, Any] = {"name": "node", "uid": "0a1b", "namespace": namespace}
    if deleting:
        metadata["deletionTimestamp"] = datetime(2026, 1, 1, tzinfo=UTC)
    workspace = Workspace.model_validate(
        {"metadata": metadata, "spec": {"forProvider": {"source": "Inline", "module": "#", **inputs}}}
    )
    return await resolve(LiveReads(stored), workspace)  # type: ignore[arg-type]  # it needs no more of a client


async def test_everything_reaches_the_run() -> None:
    """Values, references, types and arguments arrive as they were written; a value wins over a reference."""
    asked = await resolved(
        {
            (SECRET, "n", "inputs"): secret("hush"),
            (CONFIG_MAP, "n", "inputs"): ConfigMap(data={"k": "a = 1"}),
        },
        inlineFormat="JSON",
        vars=[{"key": "a", "value": "1"}],
        varmap={"deep": [{"x": None}]},
        env=[
            {"name": "PLAIN", "value": "p", "secretKeyRef": {**THERE, "name": "ignored"}},
            {"name": "HIDDEN", "secretKeyRef": THERE},
            {"name": "EMPTY", "value": ""},
        ],
        varFiles=[
            {"source": "ConfigMapKey", "configMapKeyRef": THERE},
            {"source": "SecretKey", "format": "JSON", "secretKeyRef": THERE},
        ],
        planArgs=["-parallelism=1"],
        enableTerraformCLILogging=True,
    )
    assert asked == WorkspaceInput(
        uid="0a1b",
        name="node",
        external_name="node",
        module="#",
        inline_format="JSON",
        variables=(("a", "1"),),
        varmap={"deep": [{"x": None}]},
        environment={"PLAIN": "p", "HIDDEN": "hush", "EMPTY": ""},
        variable_files=(VariableFile(content="a = 1"), VariableFile(format="JSON", content="hush")),
        plan_args=("-parallelism=1",),
        log_output=True,
    )


async def test_a_namespaced_workspace_cannot_reach_out_of_its_namespace() -> None:
    """Whatever the reference says, the Workspace's own namespace is read: others' secrets stay theirs."""
    stored = {(SECRET, "own", "inputs"): secret("own"), (SECRET, "n", "inputs"): secret("theirs")}
    asked = await resolved(stored, namespace="own", env=[{"name": "A", "secretKeyRef": THERE}])
    assert asked.environment == {"A": "own"}
    assert asked.name == "own/node"


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ({}, "env A: Secret n/inputs has no key k, or is not there"),
        ({(SECRET, "n", "inputs"): Secret()}, "env A: Secret n/inputs has no key k, or is not there"),
    ],
)
async def test_what_is_missing_is_named(stored: Stored, words: str) -> None:
    """The error says what, where, and for which field."""
    with pytest.raises(MissingReferenceError, match=words):
        await resolved(stored, env=[{"name": "A", "secretKeyRef": THERE}])


async def test_a_reference_needs_a_namespace_where_there_is_none() -> None:
    """A cluster-scoped Workspace has no namespace that a reference could default to."""
    with pytest.raises(InvalidInputError, match="inputs needs a namespace"):
        await resolved({}, env=[{"name": "A", "secretKeyRef": HERE}])


async def test_deletion_does_without_what_has_gone() -> None:
    """A Secret that was deleted first does not keep the infrastructure standing."""
    gone = {
        "env": [{"name": "A", "secretKeyRef": THERE}],
        "varFiles": [{"source": "SecretKey", "secretKeyRef": THERE}],
    }
    asked = await resolved({}, deleting=True, **gone)
    assert (asked.environment, asked.variable_files) == ({}, ())
