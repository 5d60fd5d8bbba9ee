"""Which flavour of Workspace is made."""

from __future__ import annotations

import pytest

from capt.controllers.workspace import FLAVOURS, choose

ALL = frozenset(flavour.group for flavour in FLAVOURS)


@pytest.mark.parametrize(
    ("served", "preferred", "group"),
    [
        (ALL, "", "tf.upbound.io"),
        (ALL, "opentofu.m.upbound.io", "opentofu.m.upbound.io"),
        (ALL - {"tf.upbound.io"}, "", "tf.m.upbound.io"),
        ({"opentofu.upbound.io"}, "", "opentofu.upbound.io"),
        (frozenset(), "", None),
        ({"tf.upbound.io"}, "opentofu.upbound.io", None),
        (ALL, "example.org", None),
    ],
)
def test_choice(served: frozenset[str], preferred: str, group: str | None) -> None:
    """The first served flavour is taken, or the one that the template asks for and no other."""
    flavour = choose(served, preferred)
    assert (flavour.group if flavour else None) == group


@pytest.mark.parametrize(("group", "namespace"), [("tf.upbound.io", ""), ("tf.m.upbound.io", "team")])
def test_namespace(group: str, namespace: str) -> None:
    """A namespaced Workspace lies in its apply's namespace."""
    flavour = next(flavour for flavour in FLAVOURS if flavour.group == group)
    assert flavour.namespace_for("team") == namespace
