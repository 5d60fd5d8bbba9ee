"""Compare what the manager did on a real API server with what its roles grant.

Usage: python hack/check_rbac.py FOLDER

FOLDER holds audit logs (`*.log`, audit.k8s.io/v1 Events, one a line) of a run of the integration suite in which
the manager was its ServiceAccount. The exit code is 1 when it was forbidden anything, or when a granted verb was never
used and does not stand in `UNUSED` with a reason.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final, NamedTuple

from capt.manager import parse
from capt.runtime import Right
from capt.runtime.leader_election import rights as election_rights
from hack.envtest.control_plane import whole_lines
from hack.generate_rbac import NAMESPACE, SERVICE_ACCOUNT, engine_rights, manager_rights

USER: Final = f"system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}"

UNUSED: Final[Mapping[str, str]] = {
    "list *": "the fallback where a server cannot stream a list (before Kubernetes 1.34)",
    "update */finalizers.*": "asked for by OwnerReferencesPermissionEnforcement, which leaves no trace in the audit log",
}
"""What is granted and may go unused: `verb resource.group`, with wildcards, and why."""


_DECISION: Final = "authorization.k8s.io/decision"


class Use(NamedTuple):
    """One verb on one resource."""

    verb: str
    resource: str
    group: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{'.' if self.group else ''}{self.group}"


def granted(rights: Iterable[Right]) -> frozenset[Use]:
    """Return every single thing that these rights allow."""
    return frozenset(
        Use(verb, right.rbac_resource, right.resource.group) for right in rights for verb in right.verbs
    )


def requests(events: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Use, int]]:
    """Yield what the manager asked for of objects, and the code of the answer."""
    for event in events:
        reference = event.get("objectRef")
        if reference and event["user"]["username"] == USER:
            resource = "/".join(filter(None, (reference["resource"], reference.get("subresource", ""))))
            yield Use(event["verb"], resource, reference.get("apiGroup", "")), _code(event)


def _code(event: Mapping[str, Any]) -> int:
    answer = event.get("responseStatus", {})
    # to what is about to end nothing can be added, whoever asks; the server calls that forbidden too
    ending = event.get("annotations", {}).get(_DECISION) == "allow" and "terminat" in answer.get(
        "message", ""
    )
    return 410 if ending else int(answer.get("code", 0))


def problems(events: Iterable[Mapping[str, Any]], rights: Iterable[Right]) -> list[str]:
    """Return a line for each thing that was forbidden, and each that is granted for nothing."""
    seen = list(requests(events))
    if not seen:
        return [f"no request of {USER} is in the audit logs"]
    forbidden = sorted({use for use, code in seen if code == 403})
    unused = sorted(granted(rights) - {use for use, _ in seen})
    return [
        *(f"forbidden: {use}" for use in forbidden),
        *(
            f"granted and never used: {use}"
            for use in unused
            if not any(fnmatch(str(use), known) for known in UNUSED)
        ),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Print what is wrong with the roles, or what they were compared with."""
    (folder,) = sys.argv[1:] if arguments is None else arguments
    logs = sorted(Path(folder).glob("*.log"))
    lines = [json.loads(line) for log in logs for line in whole_lines(log, 0)]
    events = [event for event in lines if event["stage"] != "RequestReceived"]
    rights = manager_rights() | engine_rights() | set(election_rights(parse([]).leader_election_id))
    if found := problems(events, rights):
        print(*found, sep="\n", file=sys.stderr)
        return 1
    print(
        f"{sum(1 for _ in requests(events))} requests of {USER}: none forbidden, every granted verb used or explained"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
