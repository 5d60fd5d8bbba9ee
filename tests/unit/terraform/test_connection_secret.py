"""The Secret with all outputs."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from capt.api import Secret, Workspace
from capt.runtime import Key
from capt.terraform import connection_secret
from capt.terraform.connection_secret import ForeignSecretError
from capt.terraform.executor import Output
from capt.terraform.kinds import FLAVOURS

CLUSTER = next(kind for kind in FLAVOURS if kind.resource.group == "tf.upbound.io")
OUTPUTS = {
    "text": Output(value="a b"),
    "number": Output(value=1.5),
    "map": Output(value={"ä": [1, True]}),
    "secret": Output(value="hush", sensitive=True),
}


def workspace(*, namespace: str | None = None, **reference: str) -> Workspace:
    return Workspace.model_validate(
        {
            "metadata": {"name": "node", "uid": "0a1b", "namespace": namespace},
            "spec": {
                "forProvider": {"source": "Inline", "module": "#"},
                "writeConnectionSecretToRef": reference or None,
            },
        }
    )


def secret(**fields: Any) -> Secret:
    metadata = {"name": "s", "namespace": "n", **fields.pop("metadata", {})}
    return Secret.model_validate({"metadata": metadata, **fields})


def owner(uid: str) -> dict[str, Any]:
    reference = {"apiVersion": "v1", "kind": "X", "name": "x", "uid": uid, "controller": True}
    return {"ownerReferences": [reference]}


def test_all_outputs_are_in_it_strings_as_they_are() -> None:
    """Sensitive outputs too; everything that is no string is JSON."""
    assert connection_secret.encode(OUTPUTS) == {
        "text": b"a b",
        "number": b"1.5",
        "map": '{"ä":[1,true]}'.encode(),
        "secret": b"hush",
    }


def test_where_it_lies() -> None:
    """A cluster-scoped Workspace names the namespace, a namespaced one cannot leave its own."""
    assert connection_secret.key(workspace()) is None
    assert connection_secret.key(workspace(name="s")) == Key("", "s")
    named = Workspace.model_validate(
        {
            **workspace().model_dump(),
            "spec": {
                "forProvider": {"source": "Inline", "module": "#"},
                "writeConnectionSecretToRef": {"name": "s", "namespace": "n"},
            },
        }
    )
    assert connection_secret.key(named) == Key("n", "s")
    inside = named.model_copy(update={"metadata": named.metadata.model_copy(update={"namespace": "own"})})
    assert connection_secret.key(inside) == Key("own", "s")


def test_a_new_one_goes_with_its_workspace() -> None:
    """It is controlled by the Workspace and has Crossplane's type."""
    body = connection_secret.manifest(CLUSTER, workspace(name="s"), Key("n", "s"), OUTPUTS)
    assert body["type"] == "connection.crossplane.io/v1alpha1"
    (reference,) = body["metadata"]["ownerReferences"]
    assert reference["apiVersion"] == "tf.upbound.io/v1beta1"
    assert (reference["uid"], reference["controller"]) == ("0a1b", True)
    assert base64.b64decode(body["data"]["secret"]) == b"hush"


@pytest.mark.parametrize(
    ("present", "ours"),
    [
        (secret(metadata=owner("0a1b")), True),
        (secret(type=connection_secret.TYPE), True),
        (secret(type="Opaque"), False),
        (secret(metadata=owner("other"), type=connection_secret.TYPE), False),
    ],
)
def test_somebody_elses_secret_is_left_alone(present: Secret, ours: bool) -> None:
    """Only a Secret that we control, or a connection secret that nobody controls, is written."""
    if ours:
        connection_secret.check_ours(workspace(name="s"), present)
        return
    with pytest.raises(ForeignSecretError, match="n/s"):
        connection_secret.check_ours(workspace(name="s"), present)


def test_outputs_that_are_gone_leave_the_secret() -> None:
    """A key without output is removed; a Secret without controller gets one, and keeps its other owners."""
    other = {"apiVersion": "v1", "kind": "Y", "name": "y", "uid": "u"}
    present = secret(
        metadata={"ownerReferences": [other]},
        type=connection_secret.TYPE,
        data={"old": base64.b64encode(b"stale").decode()},
    )
    fields = connection_secret.desired(CLUSTER, workspace(name="s"), present, {"new": Output(value="x")})
    assert fields["data"] == {"old": None, "new": base64.b64encode(b"x").decode()}
    assert [reference["uid"] for reference in fields["metadata"]["ownerReferences"]] == ["u", "0a1b"]
    controlled = secret(metadata=owner("0a1b"), type=connection_secret.TYPE)
    assert "metadata" not in connection_secret.desired(CLUSTER, workspace(name="s"), controlled, {})
