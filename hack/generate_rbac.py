"""Write the roles of the manager, generated from the rights that its controllers declare, to `manifests/`.

Usage: python hack/generate_rbac.py [--check]

With `--check` nothing is written; the exit code is 1 when a file differs from the declarations.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from capt import terraform
from capt.manager import compose, parse
from capt.runtime import ClusterConfig, Manager, ManagerOptions, Right
from capt.runtime.leader_election import rights as election_rights

MANIFESTS = Path(__file__).resolve().parent.parent / "manifests"
HEADER = "# Generated from the rights that the controllers declare by hack/generate_rbac.py (make rbac). Do not edit.\n"
NAMESPACE = "capt-system"
SERVICE_ACCOUNT = "capt-manager"
GROUP = "rbac.authorization.k8s.io"
# the order in which kubectl and people name them
_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")

Rule = dict[str, list[str]]


class _Dumper(yaml.SafeDumper):
    """No anchors; lists of rules indented under their key, lists of words in one line."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)


def _sequence(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.SequenceNode:
    words = all(isinstance(value, str) for value in values)
    short = words and sum(len(value) + 2 for value in values) < 95
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=short)


_Dumper.add_representer(list, _sequence)


def manager_rights() -> frozenset[Right]:
    """Return what the controllers of a manager without an engine need, verb by verb."""
    return _one_by_one(
        compose(ClusterConfig.from_dict(_NOWHERE), parse([]), engine="external", data_dir=Path())
    )


def metrics_rights() -> frozenset[Right]:
    """Return what a manager with secure metrics needs beside that, verb by verb."""
    secure = Manager(ClusterConfig.from_dict(_NOWHERE), ManagerOptions(metrics_secure=True))
    return _one_by_one(secure) - manager_rights()


def engine_rights() -> frozenset[Right]:
    """Return what the built-in Workspace engine needs, verb by verb: everywhere, for Workspaces have no namespace."""
    manager = Manager(ClusterConfig.from_dict(_NOWHERE))
    # the simulated engine is the same controllers, and looks for no command on PATH
    terraform.add_to(manager, engine="simulated", data_dir=Path())
    return _one_by_one(manager)


def _one_by_one(manager: Manager) -> frozenset[Right]:
    return frozenset(
        replace(right, verbs=frozenset({verb})) for right in manager.rights for verb in right.verbs
    )


_NOWHERE = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "nowhere", "cluster": {"server": "https://nowhere.invalid"}}],
    "users": [{"name": "nobody", "user": {}}],
    "contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}],
    "current-context": "nowhere",
}


def rules(rights: Iterable[Right]) -> list[Rule]:
    """Return the fewest rules that grant exactly these rights."""
    verbs: dict[tuple[str, str, tuple[str, ...]], set[str]] = defaultdict(set)
    for right in rights:
        verbs[right.resource.group, right.rbac_resource, right.names] |= right.verbs
    # resources of one group with equal verbs share a rule, then groups with equal resources and verbs
    resources: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = defaultdict(list)
    for (group, resource, names), granted in sorted(verbs.items()):
        resources[group, tuple(verb for verb in _VERBS if verb in granted), names].append(resource)
    groups: dict[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], list[str]] = defaultdict(list)
    for (group, granted_verbs, names), named in resources.items():
        groups[tuple(named), granted_verbs, names].append(group)
    return [
        {
            "apiGroups": named,
            "resources": list(of),
            **({"resourceNames": list(names)} if names else {}),
            "verbs": list(granted_verbs),
        }
        for (of, granted_verbs, names), named in groups.items()
    ]


def role(kind: str, name: str, rights: Iterable[Right], *, namespace: str = "") -> list[dict[str, Any]]:
    """Return a Role or ClusterRole with these rights and its binding to the manager's ServiceAccount."""
    metadata = {
        "name": name,
        **({"namespace": namespace} if namespace else {}),
        "labels": {"app.kubernetes.io/name": "capt"},
    }
    return [
        {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": metadata, "rules": rules(rights)},
        {
            "apiVersion": f"{GROUP}/v1",
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": GROUP, "kind": kind, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": NAMESPACE}],
        },
    ]


def manifests() -> Mapping[Path, str]:
    """Return the content of every generated file by its path."""
    manager, engine = manager_rights(), engine_rights()
    namespaced = {right for right in manager if right.resource.namespaced}
    lease = parse([]).leader_election_id
    files = {
        "rbac/manager_role.yaml": role("ClusterRole", "capt-manager", manager),
        "rbac/leader_election_role.yaml": role(
            "Role", "capt-leader-election", election_rights(lease), namespace=NAMESPACE
        ),
        "terraform/engine_role.yaml": role("ClusterRole", "capt-workspace-engine", engine),
        "metrics-secure/auth_role.yaml": role("ClusterRole", "capt-metrics-auth", metrics_rights()),
        "namespaced/cluster_role.yaml": role("ClusterRole", "capt-cluster-scoped", manager - namespaced),
        "namespaced/manager_role.yaml": role("Role", "capt-manager", namespaced, namespace=NAMESPACE),
    }
    return {
        MANIFESTS / name: HEADER + yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=110)
        for name, documents in files.items()
    }


def main(arguments: list[str] | None = None) -> int:
    """Write the manifests, or compare them with what is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is stale")
    options = parser.parse_args(arguments)
    stale = {
        path: content
        for path, content in manifests().items()
        if not path.exists() or path.read_text(encoding="utf-8") != content
    }
    for path, content in stale.items():
        if options.check:
            print(f"{path.relative_to(MANIFESTS.parent)} is stale: run make rbac", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            print(f"wrote {path.relative_to(MANIFESTS.parent)}")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
