"""A Kubernetes API server in one process: zero-setup start, tests, benches.

Real HTTPS, real watch streams; ``kubectl`` and any client can talk to it. It serves the built-in kinds that controllers of
infrastructure meet, and whatever CustomResourceDefinitions say. Server-side apply, webhooks and RBAC are for a real one.

    async with ApiServer(ServerOptions(data_dir=None)) as server:
        server.write_kubeconfig(Path("kubeconfig"))
"""

from __future__ import annotations

from capt.embedded.audit import AuditEvent, RequestInfo
from capt.embedded.faults import (
    Answer,
    Delay,
    DropAfter,
    DropBefore,
    ExpireHistory,
    Fault,
    Faults,
    Hang,
    TruncateWatch,
)
from capt.embedded.server import ApiServer, ServerOptions

__all__ = [
    "Answer",
    "ApiServer",
    "AuditEvent",
    "Delay",
    "DropAfter",
    "DropBefore",
    "ExpireHistory",
    "Fault",
    "Faults",
    "Hang",
    "RequestInfo",
    "ServerOptions",
    "TruncateWatch",
]
