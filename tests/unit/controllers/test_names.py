from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from capt.controllers import names

dns_names = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,120}[a-z0-9])?", fullmatch=True)
NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


@given(dns_names, st.integers(0, 10_000))
def test_names_of_sets_and_machines_are_label_values_too(parent, ordinal):
    """Whatever the parent is called, its children's names are valid and fit into a label."""
    for name in (names.machine_set_name(parent, "0123abcd"), names.machine_name(parent, "uid", ordinal)):
        assert len(name) <= 63
        assert NAME.fullmatch(name)
        assert names.label_value(name) == name


@given(dns_names, dns_names)
def test_workspace_names_fit_into_a_label_and_are_dns_labels(namespace, apply):
    """A Workspace's name fits into the label that Terraform's Kubernetes backend makes of it."""
    name = names.workspace_name(namespace, apply)
    assert len(name) <= 63
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)


def test_namespace_and_name_are_told_apart():
    """Two applies whose namespace and name run together the same way have two Workspaces (B-W02)."""
    assert names.workspace_name("a-b", "c") != names.workspace_name("a", "b-c")


def test_long_parents_never_meet_in_one_child():
    """Names that differ only after the place where they are cut stay different."""
    one, other = "x" * 80 + "1", "x" * 80 + "2"
    assert names.machine_set_name(one, "0123abcd") != names.machine_set_name(other, "0123abcd")
    assert names.machine_name(one, "u", 0) != names.machine_name(other, "u", 0)
    assert names.label_value(one) != names.label_value(other)


def test_machine_names_do_not_change():
    """The name at an ordinal is a function of the set: asked again after a crash, it is the same."""
    assert names.machine_name("s", "u", 0) == names.machine_name("s", "u", 0)
    assert names.machine_name("s", "u", 0) != names.machine_name("s", "u", 1)
    assert names.machine_name("s", "u", 0) != names.machine_name("s", "other", 0)
    assert names.apply_name("m") == "m-machine"


def test_each_kind_has_a_finalizer_of_its_own():
    """B-C26, B-M32: two kinds with one finalizer would each take the other's off."""
    finalizers = [value for name, value in vars(names).items() if name.endswith("_FINALIZER")]
    assert len(finalizers) == len(set(finalizers)) == 7
