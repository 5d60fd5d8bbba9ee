"""Writes docs/conformance.md: what is compared between the embedded and a real API server, and what differs on purpose.

Run it as `python -m hack.generate_conformance`; a test says so when the file is stale.
"""

from __future__ import annotations

from pathlib import Path

from tests.conformance.catalogue import concerns
from tests.conformance.differences import DIFFERENCES

TARGET = Path(__file__).parent.parent / "docs" / "conformance.md"

_HEAD = """# The embedded API server compared with a real one

Every script below is played on the embedded server and on a real kube-apiserver (`make test-envtest`). Status codes,
warnings, `Status` reasons and causes, whole objects and the sequences of watch events must be the same; uids, times and
versions are compared by what they mean (which is which, whether a write made a new version). Random scripts over
ConfigMaps and custom objects (create, patch, status, labels, finalizers, owners, deletion policies, watches) are compared
in the same way, and after each request the state that the garbage collector comes to.

This file is generated: `python -m hack.generate_conformance`.

| concern | scripts | requests |
|---|---:|---:|
"""


def document() -> str:
    """Return the text of the file."""
    found = concerns()
    rows = [f"| {c.title} | {len(c.scripts)} | {c.requests} |" for c in found]
    total = f"| **all** | **{sum(len(c.scripts) for c in found)}** | **{sum(c.requests for c in found)}** |"
    parts = [_HEAD + "\n".join([*rows, total])]
    parts.append("## Differences that stay\n\n" + "\n".join(f"- {d.reason}" for d in DIFFERENCES))
    parts += [f"## {c.title}\n\n" + "\n".join(f"- {script.fact}" for script in c.scripts) for c in found]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    TARGET.write_text(document())
